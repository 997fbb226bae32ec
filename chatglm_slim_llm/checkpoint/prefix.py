"""P-tuning v2: a learned prefix, kept in a checkpoint of its own, is put onto a loaded model."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor

from chatglm_slim_llm.checkpoint.files import Weights, check_finite, list_weights, open_shard, read_in_chunks
from chatglm_slim_llm.checkpoint.filling import assign
from chatglm_slim_llm.checkpoint.layout import PREFIX, prefix_shapes
from chatglm_slim_llm.checkpoint.settings import CONFIG, read_config
from chatglm_slim_llm.errors import CheckpointFormatError
from chatglm_slim_llm.network import ChatGLMConfig
from chatglm_slim_llm.network.network import AnyModel
from chatglm_slim_llm.network.prefix import PrefixEncoder


def load_prefix(model: AnyModel, folder: Path | str) -> None:
    """Put the prefix of a P-tuning v2 checkpoint onto ``model``, in place of any it has.

    Args:
        model: the base model, at any level. It is left as it was if anything is wrong.
        folder: holds a ``config.json`` with ``pre_seq_len`` and the weights of the prefix; others are ignored,
            for early checkpoints hold the whole model.

    Raises:
        CheckpointNotFoundError: the folder, its config or its weights are missing.
        CheckpointFormatError: there is no prefix, or it is not of the length or for the model that was said.
    """
    folder = Path(folder).expanduser()
    raw = read_config(folder)
    weights = list_weights(folder)
    config = copy.copy(model.config)
    config.pre_seq_len = _want_length(raw.get("pre_seq_len"), weights)
    config.prefix_projection = bool(raw.get("prefix_projection"))
    _check_shapes(weights, config)
    with torch.device("meta"):
        encoder = PrefixEncoder(config)
    for name, tensor in _read_prefix(weights, config).items():
        assign(encoder, name, tensor.to(model.device))
    model.transformer.prefix_encoder = encoder.eval()
    model.config.pre_seq_len, model.config.prefix_projection = config.pre_seq_len, config.prefix_projection


def _want_length(length: object, weights: Weights) -> int:
    spec = weights.specs.get(f"{PREFIX}embedding.weight")
    if spec is None:
        raise CheckpointFormatError(
            f"{weights.folder} holds no {PREFIX}embedding.weight, so it is not a P-tuning v2 checkpoint; "
            "give the folder that training wrote",
            path=weights.folder,
            key=f"{PREFIX}embedding.weight",
        )
    if not isinstance(length, int) or length != spec.shape[0]:
        raise CheckpointFormatError(
            f"{weights.folder / CONFIG}: pre_seq_len is {length!r}, but the prefix has {spec.shape[0]} positions; "
            f"set pre_seq_len to {spec.shape[0]}",
            path=weights.folder / CONFIG,
            key="pre_seq_len",
        )
    return length


def _check_shapes(weights: Weights, config: ChatGLMConfig) -> None:
    for name, shape in prefix_shapes(config).items():
        spec = weights.specs.get(name)
        if spec is None or spec.shape != shape:
            found = "is missing" if spec is None else f"has shape {list(spec.shape)}"
            raise CheckpointFormatError(
                f"{weights.folder}: {name!r} {found}, expected {list(shape)} for a model of {config.num_layers} layers "
                f"and width {config.hidden_size} with prefix_projection {str(config.prefix_projection).lower()}; "
                "is prefix_projection as in training, and the prefix for this model?",
                path=weights.folder,
                key=name,
            )


def _read_prefix(weights: Weights, config: ChatGLMConfig) -> dict[str, Tensor]:
    """The prefix in fp32, as it was trained; names without ``transformer.prefix_encoder.``."""
    tensors = {}
    for name in prefix_shapes(config):
        path = weights.path_of(name)
        with open_shard(path) as shard:
            spec = shard.specs[name]
            chunks = [chunk.to(torch.float32, copy=True) for _, chunk in read_in_chunks(shard, spec)]
        tensors[name.removeprefix(PREFIX)] = torch.cat(chunks)
        check_finite(tensors[name.removeprefix(PREFIX)], name, path)
    return tensors
