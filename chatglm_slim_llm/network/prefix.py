"""P-tuning v2: a learned prefix of keys and values in front of every layer's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from chatglm_slim_llm.network.configuration_chatglm import ChatGLMConfig
from chatglm_slim_llm.network.embedding import new_embedding


class PrefixEncoder(nn.Module):
    """Gives the prefix as one row of numbers for each of its positions.

    Source: P-tuning v2, arXiv:2110.07602.
    """

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        assert config.pre_seq_len
        width = 2 * config.num_layers * config.hidden_size
        self.embedding = new_embedding(config.pre_seq_len, config.hidden_size if config.prefix_projection else width)
        if config.prefix_projection:
            hidden = nn.Linear(config.hidden_size, config.hidden_size)
            self.trans = nn.Sequential(hidden, nn.Tanh(), nn.Linear(config.hidden_size, width))
        self.dropout = nn.Dropout(0.1)
        self.heads, self.head_size = config.num_attention_heads, config.head_size

    def forward(self, batch_size: int, dtype: torch.dtype) -> Tensor:
        """Keys and values of every layer.

        Returns:
            [2 * layers, batch, heads, pre_seq_len, d]; row 2i is layer i's key, row 2i + 1 its value.
        """
        flat: Tensor = self.embedding.weight  # [pre, h] with projection, else [pre, 2 * layers * h]
        if hasattr(self, "trans"):
            flat = self.trans(flat)
        rows = flat.view(len(flat), -1, self.heads, self.head_size)  # [pre, 2 * layers, heads, d]
        rows = self.dropout(rows).permute(1, 2, 0, 3).to(dtype)  # [2 * layers, heads, pre, d]
        return rows[:, None].expand(-1, batch_size, -1, -1, -1)
