"""Muon for the matrices: momentum whose singular values are all made one by a Newton-Schulz iteration.

Source: Keller Jordan and others, "Muon: An optimizer for hidden layers in neural networks", 2024.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Steps every matrix by an orthogonal update whose size matches AdamW's.

    Args:
        params: the matrices.
        lr: learning rate.
        share: (worker, workers, sum over workers in place). Each worker makes its part of the updates orthogonal.
        momentum: share of the past in the running mean of the gradients.
        weight_decay: pull towards zero, times the learning rate.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        share: tuple[int, int, Callable[[Tensor], object]],
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._worker, self._workers, self._add = share

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Matrices of one shape are stacked and done together."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for param in group["params"]:
                shapes[param.shape].append(param)
            for shape, params in shapes.items():
                means = torch.stack([self._momentum(p, group["momentum"]) for p in params])
                update, mine = torch.zeros_like(means), slice(self._worker, None, self._workers)
                update[mine] = _orthogonal(means[mine])
                self._add(update)
                scale = group["lr"] * 0.2 * max(shape) ** 0.5
                for param, change in zip(params, update, strict=True):
                    param.mul_(1 - group["lr"] * group["weight_decay"]).sub_(change, alpha=scale)

    def _momentum(self, param: Tensor, momentum: float) -> Tensor:
        assert param.grad is not None
        average = self.state[param].setdefault("momentum", torch.zeros_like(param))
        average.lerp_(param.grad, 1 - momentum)
        nesterov: Tensor = param.grad.lerp(average, momentum)
        return nesterov


def _orthogonal(x: Tensor, steps: int = 4) -> Tensor:
    """The nearest orthogonal matrices, roughly; [n, rows, columns], computed in bf16."""
    tall = x.shape[1] > x.shape[2]
    y = (x.mT if tall else x).bfloat16()
    y = y / (y.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = y @ y.mT
        y = 3.4445 * y + (-4.7750 * gram + 2.0315 * gram @ gram) @ y
    out: Tensor = (y.mT if tall else y).float()
    return out
