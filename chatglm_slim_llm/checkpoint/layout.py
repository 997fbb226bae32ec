"""Which tensors a ChatGLM-6B checkpoint has, by its config, and what is likely wrong when it has others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chatglm_slim_llm.checkpoint.files import Weights
from chatglm_slim_llm.checkpoint.safetensors_file import TensorSpec
from chatglm_slim_llm.errors import CheckpointFormatError, QuantizationError, VocabularyMismatchError
from chatglm_slim_llm.kernels import QUANTIZED_LINEARS
from chatglm_slim_llm.network import ChatGLMConfig

EMBEDDING = "transformer.word_embeddings.weight"
HEAD = "lm_head.weight"
PREFIX = "transformer.prefix_encoder."
VOCABULARY_TENSORS = frozenset({EMBEDDING, f"{EMBEDDING}_scale", HEAD, f"{HEAD}_scale"})
"""One row for each token."""


@dataclass(frozen=True)
class Slot:
    """A place that the config promises: the shape of its tensor, and whether it holds packed integers."""

    shape: tuple[int, ...]
    is_packed: bool = False


def expected_tensors(config: ChatGLMConfig) -> dict[str, Slot]:
    """Every tensor that a checkpoint with this config must have; ``lm_head`` is the embedding and may be absent."""
    slots = _matrix(EMBEDDING, config.vocab_size, config.hidden_size, _embedding_bits(config))
    for layer_idx in range(config.num_layers):
        for name, slot in _block(config).items():
            slots[f"transformer.layers.{layer_idx}.{name}"] = slot
    slots |= _norm("transformer.final_layernorm", config.hidden_size)
    if config.pre_seq_len:
        slots |= {name: Slot(shape) for name, shape in prefix_shapes(config).items()}
    return slots


def prefix_shapes(config: ChatGLMConfig) -> dict[str, tuple[int, ...]]:
    """The tensors of a P-tuning v2 prefix."""
    hidden, width = config.hidden_size, 2 * config.num_layers * config.hidden_size
    length = config.pre_seq_len or 0
    if not config.prefix_projection:
        return {f"{PREFIX}embedding.weight": (length, width)}
    return {
        f"{PREFIX}embedding.weight": (length, hidden),
        f"{PREFIX}trans.0.weight": (hidden, hidden),
        f"{PREFIX}trans.0.bias": (hidden,),
        f"{PREFIX}trans.2.weight": (width, hidden),
        f"{PREFIX}trans.2.bias": (width,),
    }


def is_block_linear(name: str) -> bool:
    """Whether this is the weight of one of the linears that are quantised."""
    path, _, leaf = name.rpartition(".")
    return leaf == "weight" and path.startswith("transformer.layers.") and path.rpartition(".")[2] in QUANTIZED_LINEARS


def is_ignored(name: str) -> bool:
    """Tensors that checkpoints carry and nobody needs: a constant table, and the head, which is the embedding."""
    return name.endswith(".rotary_emb.inv_freq") or name in (HEAD, f"{HEAD}_scale")


def check_tensors(weights: Weights, config: ChatGLMConfig) -> None:
    """See that the files hold what the config promises, before any data is read.

    Raises:
        VocabularyMismatchError: the embedding has another number of rows than the config says.
        CheckpointFormatError: a tensor is missing, unexpected, or has the wrong shape or kind.
    """
    specs, slots = weights.specs, expected_tensors(config)
    _check_vocabulary(weights, config)
    for name, spec in specs.items():
        if name in slots:
            _check_slot(spec, slots[name], config, weights.path_of(name))
    missing = [name for name in slots if name not in specs]
    if missing:
        raise CheckpointFormatError(_explain_missing(missing, specs, config), path=weights.folder, key=missing[0])
    for name in specs:
        if name not in slots and not is_ignored(name):
            raise CheckpointFormatError(_explain_unexpected(name), path=weights.path_of(name), key=name)


def check_columns(weights: Weights, bits: int) -> None:
    """See that the linears can be packed.

    Raises:
        QuantizationError: two columns share a byte at 4 bits, and a linear has an odd number of them.
    """
    for spec in weights.specs.values():
        if bits == 4 and is_block_linear(spec.name) and spec.shape[1] % 2:
            raise QuantizationError(
                f"{weights.folder}: {spec.name!r} has {spec.shape[1]} columns and int4 packs them in pairs; use int8",
                bits=bits,
            )


def _block(config: ChatGLMConfig) -> dict[str, Slot]:
    hidden, inner, bits = config.hidden_size, config.inner_hidden_size, config.quantization_bit
    linears = {
        "attention.query_key_value": (3 * hidden, hidden),
        "attention.dense": (hidden, hidden),
        "mlp.dense_h_to_4h": (inner, hidden),
        "mlp.dense_4h_to_h": (hidden, inner),
    }
    slots = _norm("input_layernorm", hidden) | _norm("post_attention_layernorm", hidden)
    for name, (rows, columns) in linears.items():
        slots |= _matrix(f"{name}.weight", rows, columns, bits, config.quantization_group_size)
        slots[f"{name}.bias"] = Slot((rows,))
    return slots


def _norm(name: str, width: int) -> dict[str, Slot]:
    return {f"{name}.weight": Slot((width,)), f"{name}.bias": Slot((width,))}


def _matrix(name: str, rows: int, columns: int, bits: int, group_size: int = 0) -> dict[str, Slot]:
    if not bits:
        return {name: Slot((rows, columns))}
    scale = (rows, -(-columns // group_size)) if group_size else (rows,)
    return {name: Slot((rows, columns * bits // 8), is_packed=True), f"{name}_scale": Slot(scale)}


def _embedding_bits(config: ChatGLMConfig) -> int:
    return config.quantization_bit if config.quantization_embeddings else 0


def _check_vocabulary(weights: Weights, config: ChatGLMConfig) -> None:
    for name in (EMBEDDING, HEAD):
        spec = weights.specs.get(name)
        if spec is None or not spec.shape or spec.shape[0] == config.vocab_size:
            continue
        found = spec.shape[0]
        raise VocabularyMismatchError(
            f"{weights.folder}: {name!r} has {found:,} rows, but config.json says vocab_size {config.vocab_size:,}; "
            "the config and the weights are of different checkpoints (full ones have 150,528 tokens, slim ones "
            "130,528). Fetch the config.json that belongs to these weights",
            expected=config.vocab_size,
            found=found,
        )


def _check_slot(spec: TensorSpec, slot: Slot, config: ChatGLMConfig, path: Path) -> None:
    holds_integers = not spec.dtype.is_floating_point
    if holds_integers == slot.is_packed and spec.shape == slot.shape:
        return
    kind = "integers" if holds_integers else "floating-point numbers"
    wanted = "packed integers" if slot.is_packed else "floating-point numbers"
    raise CheckpointFormatError(
        f"{path}: {spec.name!r} has shape {list(spec.shape)} of {kind}, expected {list(slot.shape)} of {wanted}; "
        + _likely_cause(holds_integers, slot.is_packed, config),
        path=path,
        key=spec.name,
    )


def _likely_cause(holds_integers: bool, is_packed: bool, config: ChatGLMConfig) -> str:
    if holds_integers and not is_packed:
        return "these weights are quantised, but config.json has no quantization_bit: use their own config.json"
    if is_packed and not holds_integers:
        return f"config.json says quantization_bit {config.quantization_bit}, but these weights are not quantised"
    if is_packed:
        return f"config.json says quantization_bit {config.quantization_bit}; were the weights made with another one?"
    return "the sizes in config.json are of another model"


def _explain_missing(missing: list[str], specs: Mapping[str, TensorSpec], config: ChatGLMConfig) -> str:
    text = f"the weights lack {len(missing)} tensors that config.json promises, first {missing[0]!r}; "
    if all(name.startswith(PREFIX) for name in specs):
        return text + "they are a P-tuning prefix only: load the base model, then load_prefix(model, folder)"
    if all(name.startswith(PREFIX) for name in missing):
        return text + f"config.json sets pre_seq_len {config.pre_seq_len}, but no prefix is there: remove pre_seq_len"
    if all(name.endswith("weight_scale") for name in missing):
        return text + f"config.json says quantization_bit {config.quantization_bit}, but there are no scales"
    return text + "the checkpoint is incomplete or of another architecture, fetch it again"


def _explain_unexpected(name: str) -> str:
    text = f"the weights hold {name!r}, which config.json does not promise; "
    if name.startswith(PREFIX):
        return text + "set pre_seq_len (and prefix_projection) in config.json as they were in training"
    if name.endswith("weight_scale"):
        return text + "these weights are quantised: use the config.json that says so with quantization_bit"
    return text + "the config is of another model"
