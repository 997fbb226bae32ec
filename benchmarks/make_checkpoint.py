"""Make a checkpoint of the real size with random numbers, for measuring memory and time without the real weights.

    python benchmarks/make_checkpoint.py FOLDER --tokenizer ice_text.model --layout full --format bin

``full`` is the release of March 2023: 150,528 tokens, no ids of control tokens in its config, a
tokenizer that ends with the words. ``slim`` is what becomes of it. Weights are fp16 and LayerNorms
fp32, as in the real files. One shard is in memory at a time. The numbers are scaled so that
activations stay finite; the model says nothing sensible.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from chatglm_slim_llm.checkpoint.layout import HEAD, expected_tensors
from chatglm_slim_llm.checkpoint.safetensors_file import SafetensorsWriter, TensorSpec
from chatglm_slim_llm.checkpoint.settings import write_json
from chatglm_slim_llm.checkpoint.write import new_folder
from chatglm_slim_llm.model import ChatGLMConfig
from chatglm_slim_llm.network.ice_text import added_records

_SHARD_BYTES = 1_750_000_000
_VOCAB_SIZES = {"full": 150_528, "slim": 130_528}
_NUM_IMAGE_TOKENS = 20_000


def main() -> None:
    """Write the checkpoint that the command line asks for."""
    args = _parse_args()
    config = ChatGLMConfig(vocab_size=_VOCAB_SIZES[args.layout], num_layers=args.layers)
    shards = list(_plan(_specs(config)))
    total_bytes = sum(spec.size_bytes for specs in shards for spec in specs)
    numbers = _Numbers(args.seed)
    with new_folder(args.target, total_bytes) as folder:
        stem, suffix = ("pytorch_model", "bin") if args.format == "bin" else ("model", "safetensors")
        weight_map = {}
        for number, specs in enumerate(shards, start=1):
            path = folder / f"{stem}-{number:05}-of-{len(shards):05}.{suffix}"
            (_write_bin if args.format == "bin" else _write_safetensors)(path, specs, numbers)
            weight_map |= {spec.name: path.name for spec in specs}
            print(path.name, f"{path.stat().st_size:,} bytes", flush=True)
        index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")
        _write_companions(folder, args.layout, config, args.tokenizer.read_bytes())
    print(f"{args.target}: {total_bytes:,} bytes of tensors")


class _Numbers:
    """Normal numbers, cut from one pool at random places; drawing 6 billion would take minutes."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._pool = torch.randn(2**24 + 2**20, generator=self._generator)

    def fill(self, spec: TensorSpec) -> Tensor:
        """A tensor of that shape and dtype; weights keep the variance of what they are multiplied with."""
        if spec.dtype == torch.float32:
            return torch.full(spec.shape, float(spec.name.endswith("weight")))
        out = torch.empty(spec.shape, dtype=spec.dtype)
        scale = spec.shape[-1] ** -0.5 if len(spec.shape) == 2 else 0.02
        for piece in out.view(-1).split(2**24):
            start = int(torch.randint(2**20, (), generator=self._generator))
            torch.mul(self._pool[start : start + len(piece)], scale, out=piece)
        return out


def _specs(config: ChatGLMConfig) -> Iterator[TensorSpec]:
    for name, slot in expected_tensors(config).items():
        yield TensorSpec(name, torch.float32 if "layernorm" in name else torch.float16, slot.shape)
    yield TensorSpec(HEAD, torch.float16, (config.vocab_size, config.hidden_size))


def _plan(specs: Iterator[TensorSpec]) -> Iterator[list[TensorSpec]]:
    shard: list[TensorSpec] = []
    for spec in specs:
        if shard and sum(s.size_bytes for s in shard) + spec.size_bytes > _SHARD_BYTES:
            yield shard
            shard = []
        shard.append(spec)
    yield shard


def _write_bin(path: Path, specs: list[TensorSpec], numbers: _Numbers) -> None:
    torch.save({spec.name: numbers.fill(spec) for spec in specs}, path)


def _write_safetensors(path: Path, specs: list[TensorSpec], numbers: _Numbers) -> None:
    with closing(SafetensorsWriter(path, specs)) as writer:
        for spec in specs:
            writer.write(spec.name, numbers.fill(spec))
        writer.finish()


def _write_companions(folder: Path, layout: str, config: ChatGLMConfig, ice_text: bytes) -> None:
    shift = _NUM_IMAGE_TOKENS if layout == "full" else 0
    settings = {
        "architectures": ["ChatGLMModel"],
        "model_type": "chatglm",
        "bos_token_id": 130_004 + shift,
        "eos_token_id": 130_005 + shift,
        "hidden_size": config.hidden_size,
        "inner_hidden_size": config.inner_hidden_size,
        "layernorm_epsilon": 1e-05,
        "max_sequence_length": 2048,
        "num_attention_heads": config.num_attention_heads,
        "num_layers": config.num_layers,
        "position_encoding_2d": True,
        "torch_dtype": "float16",
        "use_cache": True,
        "vocab_size": config.vocab_size,
    }
    tokenizer = {"tokenizer_class": "ChatGLMTokenizer", "bos_token": "<sop>", "pad_token": "<pad>"}
    if layout == "full":
        ice_text = ice_text.replace(b"".join(added_records()), b"", 1)
        tokenizer |= {"eos_token": "</s>", "eop_token": "<eop>"}
    else:
        settings |= {"mask_token_id": 130_000, "gmask_token_id": 130_001, "pad_token_id": 3}
        tokenizer |= {"eos_token": "<eop>", "end_token": "</s>", "num_image_tokens": 0}
    write_json(folder / "config.json", settings)
    write_json(folder / "tokenizer_config.json", tokenizer)
    (folder / "ice_text.model").write_bytes(ice_text)


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make a checkpoint of ChatGLM-6B's size with random numbers.")
    parser.add_argument("target", type=Path, help="the folder to write; it must not hold anything yet")
    parser.add_argument("--tokenizer", type=Path, required=True, help="an ice_text.model with all 130,344 pieces")
    parser.add_argument("--layout", choices=_VOCAB_SIZES, default="slim")
    parser.add_argument("--format", choices=("bin", "safetensors"), default="safetensors")
    parser.add_argument("--layers", type=int, default=28, help="fewer make a smaller one")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
