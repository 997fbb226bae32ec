"""A checkpoint becomes a model whose weights lie as the compiled kernels read them.

The linears of the blocks take the level that is asked for; at int8 and int4 the embedding, which is also the head,
takes int8: it decides between tokens, and is a tenth of the work. At int4 a step reads half of its bits for all tokens
and the others for those that score best. Weights are quantised and packed while they are read, so the fp16 model is
never there as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from chatglm_slim_llm.checkpoint.files import Shard, Weights, check_finite, open_shard, read_in_chunks
from chatglm_slim_llm.checkpoint.filling import INT4_GROUP_SIZE, Filling, assign
from chatglm_slim_llm.checkpoint.layout import EMBEDDING, is_block_linear, is_ignored
from chatglm_slim_llm.checkpoint.progress import Meter, Progress
from chatglm_slim_llm.checkpoint.safetensors_file import TensorSpec
from chatglm_slim_llm.kernels import PackedEmbedding, PackedFormat, PackedLinear, library, replace_linears
from chatglm_slim_llm.kernels.memory import empty_huge
from chatglm_slim_llm.kernels.packed import PANEL_ROWS, pack_rows, pack_scale, quantize_rows
from chatglm_slim_llm.kernels.quantization import unpack
from chatglm_slim_llm.network import ChatGLMConfig, Network

SHORTLIST = 4096
"""Tokens whose lower bits are read at int4, those that score best by the upper ones. On SmolLM2-135M, which has 49,152,
a shortlist of 1,024 adds 5 % to the KL divergence that int4 costs, 4,096 add 1.3 % (`python -m benchmarks.quality MODEL
--only shortlist`). The same share of 130,528 tokens as the 1,024 is 2,719; four thousand are read in half a millisecond
on two cores."""
_TIMES_AS_MANY = 4
"""Tokens in all, at least; of a smaller vocabulary the whole head is read sooner than a part of it is chosen (6,336 of
width 256: 33 against 75 microseconds)."""


@dataclass(frozen=True)
class Packing:
    """How the weights of a model are to be packed."""

    blocks: PackedFormat
    head: PackedFormat
    stored: ChatGLMConfig
    """What the checkpoint itself holds: fp16, or integers with their scales."""

    @classmethod
    def of(cls, stored: ChatGLMConfig, bits: int) -> Packing:
        """The formats for a level; a quantised checkpoint keeps its integers, and so the groups they were made in."""
        group = stored.quantization_group_size if stored.quantization_bit else {4: INT4_GROUP_SIZE, 8: 0}[bits]
        head_bits = stored.quantization_bit if stored.quantization_embeddings else 8
        has_shortlist = (bits, head_bits) == (4, 8) and stored.vocab_size >= _TIMES_AS_MANY * SHORTLIST
        head = PackedFormat(head_bits, shortlist=SHORTLIST if has_shortlist else 0)
        return cls(PackedFormat(bits, group), head, stored)

    def model_of(self, config: ChatGLMConfig) -> Network:
        """The model, its weights not there yet. ``config`` is the stored one, not quantised."""
        with torch.device("meta"):
            model = Network(config)
            replace_linears(model, lambda old: _packed(old, self.blocks))
            assert isinstance(model.lm_head, nn.Linear)  # the config is not quantised
            head = model.lm_head = _packed(model.lm_head, self.head)
            model.transformer.word_embeddings = PackedEmbedding(head)
        model.config.quantization_bit, model.config.quantization_group_size = self.blocks.bits, self.blocks.group
        return model

    def fill(self, model: Network, weights: Weights, progress: Progress | None) -> None:
        """Read, quantise and pack every tensor of the checkpoint."""
        allocate(model)
        meter = Meter(progress, f"packing {weights.folder.name}", sum(s.size_bytes for s in weights.specs.values()))
        plain = Filling(0, torch.device("cpu"), torch.float32)
        for path, specs in weights.shards.items():
            with open_shard(path) as shard:
                for spec in specs.values():
                    if not is_ignored(spec.name):
                        self._read(plain, shard, spec, model)
                    meter.advance(spec.size_bytes)

    def _read(self, plain: Filling, shard: Shard, spec: TensorSpec, model: nn.Module) -> None:
        name = spec.name.removesuffix("_scale")
        if not (is_block_linear(name) or name == EMBEDDING):
            plain.read(shard, spec, model)
            return
        form = self.head if name == EMBEDDING else self.blocks
        packed = model.get_parameter(name).detach()
        low = model.get_parameter(f"{name}_low").detach() if form.shortlist else None
        scales = [model.get_parameter(f"{name}_scale").detach()]
        if form.group:
            scales.append(model.get_parameter(f"{name}_group_scale").detach())
        for rows, chunk in read_in_chunks(shard, spec):
            panels = slice(rows.start // PANEL_ROWS, -(-rows.stop // PANEL_ROWS))
            if spec.name != name:  # a stored scale
                check_finite(chunk, spec.name, shard.path)
                pack_scale(chunk.reshape(len(chunk), -1), *(out[panels] for out in scales))
            elif not chunk.is_floating_point():
                pack_rows(unpack(chunk, form.bits), form, packed[panels])
            else:
                half = chunk.half()
                check_finite(half, spec.name, shard.path)
                levels, scale = quantize_rows(half, form)
                pack_rows(levels, form, packed[panels], None if low is None else low[rows])
                pack_scale(scale, *(out[panels] for out in scales))


def can_pack(device: torch.device, bits: int) -> bool:
    """Whether a model of that level on that device runs on packed weights."""
    return bits > 0 and device.type == "cpu" and library() is not None


def allocate(model: Network) -> None:
    """Give every parameter memory; the embedding shares the head's."""
    for name, old in list(model.named_parameters(remove_duplicate=False)):
        if not name.startswith("transformer.word_embeddings."):
            dtype = torch.float32 if old.dtype.is_floating_point and not name.endswith("_scale") else old.dtype
            assign(model, name, empty_huge(tuple(old.shape), dtype))
    for name, parameter in list(model.lm_head.named_parameters()):
        setattr(model.transformer.word_embeddings, name, parameter)


def _packed(old: nn.Linear, form: PackedFormat) -> PackedLinear:
    return PackedLinear(old.in_features, old.out_features, form, bias=old.bias is not None)
