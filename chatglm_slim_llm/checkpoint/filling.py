"""Stored tensors become parameters, each in its final dtype, on its final device and at its final level.

A linear that is to be quantised is quantised while it is read, block of rows by block of rows, so
the fp16 model is never there as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chatglm_slim_llm.checkpoint.files import Shard, Weights, check_finite, open_shard, read_in_chunks, row_blocks
from chatglm_slim_llm.checkpoint.layout import PREFIX, is_block_linear, is_ignored
from chatglm_slim_llm.checkpoint.progress import Meter, Progress
from chatglm_slim_llm.checkpoint.safetensors_file import TensorSpec
from chatglm_slim_llm.kernels import quantize_weight
from chatglm_slim_llm.kernels.memory import empty_huge
from chatglm_slim_llm.network.network import AnyModel

_ALWAYS_FP32 = re.compile(rf"layernorm\.(weight|bias)$|^{re.escape(PREFIX)}")

INT4_GROUP_SIZE = 128
"""Columns that share a scale when a checkpoint is quantised to int4 while it is loaded."""


@dataclass(frozen=True)
class Filling:
    """How the parameters of a model are to lie in memory."""

    quantize_to: int
    """Bits of the linears that the file holds as fp16; 0 takes everything as it is stored."""
    device: torch.device
    dtype: torch.dtype
    """Of what is neither quantised nor fp32 always."""

    def fill(self, model: AnyModel, weights: Weights, progress: Progress | None = None) -> None:
        """Give every parameter of a model that was built on the meta device its numbers."""
        self.allocate(model)
        meter = Meter(progress, f"reading {weights.folder.name}", sum(s.size_bytes for s in weights.specs.values()))
        for path, specs in weights.shards.items():
            with open_shard(path) as shard:
                for spec in specs.values():
                    if not is_ignored(spec.name):
                        self.read(shard, spec, model)
                    meter.advance(spec.size_bytes)

    def allocate(self, model: AnyModel) -> None:
        """Make room for everything at once: memory taken between short-lived pieces would be scattered and grow."""
        for name, old in model.transformer.named_parameters(prefix="transformer"):
            dtype = self._dtype_of(name, old.dtype)
            assign(model, name, self._empty(tuple(old.shape), dtype))
        for name, parameter in model.transformer.word_embeddings.named_parameters():
            setattr(model.lm_head, name, parameter)  # tied always, as transformers does, whatever the file holds

    def _empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        if self.device.type == "cpu":
            return empty_huge(shape, dtype)
        return torch.empty(shape, dtype=dtype, device=self.device)

    def _dtype_of(self, name: str, declared: torch.dtype) -> torch.dtype:
        if not declared.is_floating_point or name.endswith("weight_scale"):
            return declared
        return torch.float32 if _ALWAYS_FP32.search(name) else self.dtype

    def read(self, shard: Shard, spec: TensorSpec, model: nn.Module) -> None:
        """Read one tensor into the parameter of its name."""
        out = model.get_parameter(spec.name).detach()
        if self.quantize_to and is_block_linear(spec.name):
            self._read_quantized(shard, spec, out, model.get_parameter(f"{spec.name}_scale").detach())
        elif out.device.type == "cpu" and out.dtype == spec.dtype:
            for rows in row_blocks(spec):
                shard.read_rows(spec.name, rows.start, out[rows])
                check_finite(out[rows], spec.name, shard.path)
        else:
            for rows, chunk in read_in_chunks(shard, spec):
                converted = chunk.to(out.dtype)
                check_finite(converted, spec.name, shard.path)
                out[rows] = converted.to(self.device)

    def _read_quantized(self, shard: Shard, spec: TensorSpec, packed: Tensor, scale: Tensor) -> None:
        for rows, chunk in read_in_chunks(shard, spec):
            half = chunk.half()
            check_finite(half, spec.name, shard.path)
            group_size = INT4_GROUP_SIZE if self.quantize_to == 4 else 0
            packed[rows], scale[rows] = quantize_weight(half.to(self.device), self.quantize_to, group_size)


def assign(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Put ``tensor`` in place of the parameter of that name."""
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    old = module.get_parameter(leaf)
    assert old.shape == tensor.shape, f"{name}: {tuple(old.shape)} is not {tuple(tensor.shape)}"
    setattr(module, leaf, nn.Parameter(tensor, requires_grad=old.requires_grad))
