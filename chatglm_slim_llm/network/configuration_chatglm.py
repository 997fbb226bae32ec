"""The shape of a ChatGLM-6B model, as its ``config.json`` states it."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

from chatglm_slim_llm.kernels.quantization import GROUPS

_NUMBERS: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "hidden_size", "num_layers", "num_attention_heads", "inner_hidden_size"), int),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id", "mask_token_id", "gmask_token_id"), int),
    "max_sequence_length": int,
    "layernorm_epsilon": (int, float),
    "deepnorm_layers": (int, float),
}
_POSITION_VARIANTS = ("v1.0", "v1.1")


class ChatGLMConfig(PreTrainedConfig):
    """Sizes, ids and storage of a ChatGLM-6B(-Slim) checkpoint; the defaults are those of the slim 6B model.

    Attributes:
        vocab_size: rows of the embedding, padding rows included.
        num_layers: transformer blocks.
        inner_hidden_size: width inside the MLP.
        max_sequence_length: prompt and reply together that the model was trained for; no table depends on it.
        deepnorm_layers: the residual branch is scaled by ``sqrt(2 * deepnorm_layers)``. ChatGLM-6B uses 28
            whatever its number of layers.
        position_variant: ``v1.1`` is what training used; ``v1.0`` gives <sop> its own index, as the code of
            March 2023 did.
        quantization_bit: 0, 8 or 4 bits in the linears of each block.
        quantization_group_size: columns of a linear that share a scale, 32 or 128 at 4 bits; 0, the original's
            format, is the whole row.
        quantization_embeddings: the embedding and the head are quantised too.
        pre_seq_len: P-tuning v2 prefix length, or ``None``.
        prefix_projection: the prefix comes from an MLP over its embedding.
    """

    model_type = "chatglm"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {
        "num_hidden_layers": "num_layers",
        "max_position_embeddings": "max_sequence_length",
        "intermediate_size": "inner_hidden_size",
    }

    vocab_size: int = 130_528
    hidden_size: int = 4096
    num_layers: int = 28
    num_attention_heads: int = 32
    inner_hidden_size: int = 16_384
    layernorm_epsilon: float = 1e-5
    max_sequence_length: int = 2048
    use_cache: bool = True
    bos_token_id: int = 130_004
    eos_token_id: int = 130_005
    pad_token_id: int = 3
    mask_token_id: int | None = None
    gmask_token_id: int | None = None
    position_encoding_2d: bool = True
    position_variant: str = "v1.1"
    deepnorm_layers: float = 28
    quantization_bit: int = 0
    quantization_group_size: int = 0
    quantization_embeddings: bool = False
    pre_seq_len: int | None = None
    prefix_projection: bool = False
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True
    tokenizer_class: str | None = "ChatGLMTokenizer"

    def __post_init__(self, **kwargs: Any) -> None:
        self.quantization_bit = self.quantization_bit or 0  # some checkpoints say null
        self.pad_token_id = 3 if self.pad_token_id is None else self.pad_token_id
        # The first configs name neither; the special pieces stand in one order in every checkpoint.
        self.mask_token_id = self.bos_token_id - 4 if self.mask_token_id is None else self.mask_token_id
        self.gmask_token_id = self.bos_token_id - 3 if self.gmask_token_id is None else self.gmask_token_id
        self._check()
        super().__post_init__(**kwargs)

    def _check(self) -> None:
        for name, kind in _NUMBERS.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name} is {value!r}; it must be a {'whole ' * (kind is int)}number of 0 or more")
        if self.quantization_embeddings and not self.quantization_bit:
            raise ValueError("quantization_embeddings is true, but quantization_bit does not say to how many bits")
        heads, width = self.num_attention_heads, self.hidden_size
        if width % (4 * heads):
            raise ValueError(
                f"hidden_size {width} cannot be cut into {heads} heads whose width is a multiple of 4, "
                "as the 2-D rotary positions need; correct hidden_size or num_attention_heads"
            )
        if self.position_variant not in _POSITION_VARIANTS:
            raise ValueError(f"position_variant {self.position_variant!r} is unknown; choose v1.1 or v1.0")
        if not self.position_encoding_2d:
            raise ValueError("position_encoding_2d is false, but ChatGLM-6B has 2-D positions only; set it to true")
        if self.quantization_bit not in (0, 4, 8):
            raise ValueError(f"quantization_bit is {self.quantization_bit!r}; it must be 0, 4 or 8")
        if self.quantization_group_size and (self.quantization_bit != 4 or self.quantization_group_size not in GROUPS):
            raise ValueError(
                f"quantization_group_size is {self.quantization_group_size!r} at {self.quantization_bit} bits; "
                "there are groups of 32 and 128, at 4 bits"
            )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads
