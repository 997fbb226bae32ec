"""What stands between the linear layers: one pass over the numbers each, computed in fp32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from chatglm_slim_llm.kernels.library import native, runs_natively


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """LayerNorm over the last dimension, computed in fp32; shape and dtype of ``x``."""
    if not runs_natively(x, weight, bias) or not weight.shape == bias.shape == x.shape[-1:]:
        return F.layer_norm(x.float(), weight.shape, weight.float(), bias.float(), eps).to(x.dtype)
    x, width = x.contiguous(), x.shape[-1]
    y = torch.empty_like(x)
    pointers = (x.data_ptr(), weight.data_ptr(), bias.data_ptr())
    native().chatglm_layer_norm(*pointers, eps, x.numel() // width, width, y.data_ptr(), torch.get_num_threads())
    return y


def gelu(x: Tensor) -> Tensor:
    """The tanh approximation of GELU; may overwrite ``x``."""
    if not runs_natively(x) or not x.is_contiguous():
        return F.gelu(x, approximate="tanh")
    native().chatglm_gelu(x.data_ptr(), x.numel(), torch.get_num_threads())
    return x


def scale_add(x: Tensor, alpha: float, y: Tensor) -> Tensor:
    """x * alpha + y, of the same shape; may overwrite ``x``."""
    if not runs_natively(x, y) or x.shape != y.shape or not (x.is_contiguous() and y.is_contiguous()):
        return x * alpha + y
    native().chatglm_scale_add(x.data_ptr(), alpha, y.data_ptr(), x.numel(), torch.get_num_threads())
    return x
