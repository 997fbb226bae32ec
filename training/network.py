"""The network in training: the project's own model, a faster forward pass over its weights, and a first guess at them.

`hidden_states` computes what `model.transformer` computes (a test compares the two), with attention as two plain bf16
products: on a CPU torch's fused attention has a backward pass that is three times as slow.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatglm_slim_llm.model import ChatGLMConfig, ChatGLMForConditionalGeneration
from chatglm_slim_llm.network.layers import GLMBlock, SelfAttention
from chatglm_slim_llm.network.rotary import rotary_table
from training.samples import Batch

_OFFSETS = (-1, 1, -2, 2)
"""Where the heads of the first layer look before training."""


def new_model(
    vocab_size: int, specials: dict[str, int], *, num_layers: int, hidden_size: int
) -> ChatGLMForConditionalGeneration:
    """A demo-sized ChatGLM with heads of width 64 and a plain residual (alpha = 1)."""
    config = ChatGLMConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        num_attention_heads=hidden_size // 64,
        inner_hidden_size=4 * hidden_size,
        deepnorm_layers=0.5,
        bos_token_id=specials["<sop>"],
        eos_token_id=specials["<eop>"],
        mask_token_id=specials["[MASK]"],
        gmask_token_id=specials["[gMASK]"],
        pad_token_id=specials["<pad>"],
    )
    model = ChatGLMForConditionalGeneration(config)
    _set_first_weights(model)
    return model


def hidden_states(model: ChatGLMForConditionalGeneration, batch: Batch, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Output of the final LayerNorm at the batch's selected positions, [selected, hidden]."""
    body = model.transformer
    x = body.word_embeddings(batch.input_ids)  # [batch, seq, hidden]
    cos, sin = (t.transpose(1, 2).to(dtype) for t in rotary_table(batch.position_ids, model.config.head_size))
    mask = torch.zeros(batch.attention_mask.shape, dtype=dtype).masked_fill_(batch.attention_mask, -10_000.0)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        for layer in body.layers:
            assert isinstance(layer, GLMBlock)
            a = _norm(layer.input_layernorm, x)
            x = a * layer.alpha + _attention(layer.attention, a, cos, sin, mask)
            b = _norm(layer.post_attention_layernorm, x)
            inner = F.gelu(_linear(layer.mlp.dense_h_to_4h, b), approximate="tanh")  # [batch, seq, 4 * hidden]
            x = b * layer.alpha + _linear(layer.mlp.dense_4h_to_h, inner)
        return _norm(body.final_layernorm, x.flatten(0, 1)[batch.selected])


def logits(model: ChatGLMForConditionalGeneration, batch: Batch, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Scores at the selected positions, [selected, vocab], fp32."""
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        return F.linear(
            hidden_states(model, batch, dtype), model.transformer.word_embeddings.get_parameter("weight")
        ).float()


def _attention(module: SelfAttention, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
    size, seq, hidden = x.shape
    heads = module.config.num_attention_heads
    mixed = _linear(module.query_key_value, x).view(size, seq, heads, 3, hidden // heads)
    query_key, value = mixed[..., :2, :].permute(3, 0, 2, 1, 4), mixed[..., 2, :].transpose(1, 2)
    query, key = _rotate(query_key, cos, sin)  # [batch, heads, seq, d] each
    scores = (query * query.shape[-1] ** -0.5) @ key.mT + mask  # [batch, heads, seq, seq]
    mixed = scores.softmax(-1).to(value.dtype) @ value
    return _linear(module.dense, mixed.transpose(1, 2).reshape(size, seq, hidden))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """[2, batch, heads, seq, d] by the angles of both halves, [batch, 1, seq, 2, d / 4]."""
    first, second = x.view(*x.shape[:-1], 2, 2, -1).unbind(-2)
    return torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-2).flatten(-3)


def _linear(linear: nn.Module, x: Tensor) -> Tensor:
    return F.linear(x, linear.get_parameter("weight"), linear.get_parameter("bias"))


def _norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


@torch.no_grad()
def _set_first_weights(model: ChatGLMForConditionalGeneration) -> None:
    """Random weights, but with heads that can look things up from the first step.

    Finding a value by its key takes one head that fetches the neighbouring token and one that compares contents. A
    random network of this size needs tens of millions of tokens to find the pair; given as a first guess it is there at
    once and training only has to shape it. The first layer's heads look at fixed offsets (by their biases alone); in
    the later layers one head looks for the token whose predecessor equals this token, one for equal predecessors, one
    for equal tokens, and the rest are random.
    """
    hidden, d = model.config.hidden_size, model.config.head_size
    nn.init.normal_(model.transformer.word_embeddings.get_parameter("weight"), std=hidden**-0.5)
    for name, param in model.transformer.layers.named_parameters():
        if param.dim() == 2:
            nn.init.normal_(param, std=param.shape[1] ** -0.5 * (0.5 if "dense" in name else 1.0))
        elif "layernorm" not in name:
            param.zero_()
    frequencies = rotary_table(torch.ones(1, 2, 1), d)[0][0, 0, 0, 0].arccos()  # [d / 4]
    fetched = [_look_at(model, head, offset, frequencies) for head, offset in enumerate(_OFFSETS)]
    own, previous = fetched[0]
    previous = previous.T * (d / hidden) ** 0.5
    for layer in range(1, model.config.num_layers):
        anything = torch.randn(d, hidden) * hidden**-0.5
        for head, (query, key) in enumerate(((own, previous), (previous, previous), (anything, anything))):
            _compare(model, layer, head, query, key, frequencies)


def _head(model: ChatGLMForConditionalGeneration, layer: int, head: int) -> tuple[Tensor, Tensor, Tensor]:
    """Views of one head: weights [3, d, hidden], biases [3, d], output [hidden, d]."""
    hidden, d = model.config.hidden_size, model.config.head_size
    attention = model.transformer.get_submodule(f"layers.{layer}.attention")
    weight = attention.get_parameter("query_key_value.weight").view(-1, 3, d, hidden)[head]
    bias = attention.get_parameter("query_key_value.bias").view(-1, 3, d)[head]
    return weight, bias, attention.get_parameter("dense.weight").view(hidden, -1, d)[:, head]


def _look_at(
    model: ChatGLMForConditionalGeneration, head: int, offset: int, frequencies: Tensor
) -> tuple[Tensor, Tensor]:
    """Make a first-layer head attend to the token at a fixed offset; return what it reads and where it writes it."""
    weight, bias, out = _head(model, 0, head)
    d, hidden, quarter = weight.shape[1], weight.shape[2], len(frequencies)
    strength = torch.zeros(quarter)
    strength[:6] = 6.0
    weight[:2] *= 0.1
    bias[1, :quarter] = strength
    bias[0, :quarter], bias[0, quarter : 2 * quarter] = (
        strength * (offset * frequencies).cos(),
        strength * (offset * frequencies).sin(),
    )
    weight[2] = torch.randn(d, hidden) * hidden**-0.5
    out.copy_(torch.randn(hidden, d) * d**-0.5)
    return weight[2].clone(), out.clone()


def _compare(
    model: ChatGLMForConditionalGeneration, layer: int, head: int, query: Tensor, key: Tensor, frequencies: Tensor
) -> None:
    """Make a head attend where `key` reads what `query` reads here, and copy what stands there."""
    weight, _, out = _head(model, layer, head)
    d, hidden, quarter = weight.shape[1], weight.shape[2], len(frequencies)
    still = (frequencies < 0.02).repeat(2)  # the position turns these pairs too slowly to matter
    keep = torch.cat((still, torch.ones(2 * quarter, dtype=torch.bool)))  # the second half stands still in the context
    mixing = torch.randn(d, d) * d**-0.5
    weight[:2] = 0.0
    weight[0, keep], weight[1, keep] = 1.4 * (mixing @ query)[keep], 1.4 * (mixing @ key)[keep]
    basis = torch.linalg.qr(torch.randn(hidden, d))[0]  # [hidden, d]
    weight[2] = basis.T
    out.copy_(2.0 * basis)
