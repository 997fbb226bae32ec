"""An embedding that can be made without memory at little cost."""

from __future__ import annotations

import torch
from torch import nn


def new_embedding(num_rows: int, width: int) -> nn.Embedding:
    """As ``nn.Embedding``; on the meta device without drawing numbers, for which torch imports its whole compiler."""
    if torch.get_default_device().type == "meta":
        return nn.Embedding.from_pretrained(torch.empty(num_rows, width), freeze=False)
    return nn.Embedding(num_rows, width)
