"""A checkpoint in, the same one at int8 or int4 out, in the layout of the original's quantised checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from chatglm_slim_llm.checkpoint.files import Shard, check_finite, list_weights, read_in_chunks
from chatglm_slim_llm.checkpoint.layout import check_columns, check_tensors, is_block_linear
from chatglm_slim_llm.checkpoint.progress import Progress
from chatglm_slim_llm.checkpoint.safetensors_file import TensorSpec
from chatglm_slim_llm.checkpoint.settings import CONFIG, parse_config, read_config, write_json
from chatglm_slim_llm.checkpoint.write import (
    convert_weights,
    copy_companions,
    new_folder,
    output_bytes,
    refuse_existing,
)
from chatglm_slim_llm.errors import QuantizationError
from chatglm_slim_llm.kernels import quantize_weight
from chatglm_slim_llm.kernels.quantization import check_bits


def quantize_checkpoint(
    source: Path, target: Path, bits: int, *, group_size: int = 0, progress: Progress | None = None
) -> None:
    """Write a quantised checkpoint that loads without the one it came from. ``source`` is only read.

    Args:
        source: folder of a checkpoint that is not quantised.
        target: folder to write; must not exist, or be empty.
        bits: 8 or 4.
        group_size: columns that share a scale: 32 or 128 at 4 bits; 0, the original's format, is the whole row.
        progress: told how far it is.

    Raises:
        QuantizationError: there is no such format, or the source is quantised already.
        CheckpointNotFoundError: a file of the source is missing.
        CheckpointFormatError: a file of the source is damaged or of another model, or a weight is NaN.
        CheckpointError: the target holds something, or cannot be written.
    """
    source, target = Path(source), Path(target)
    try:
        check_bits(bits, group_size)
    except ValueError as error:
        raise QuantizationError(str(error), bits=bits) from error
    refuse_existing(target)
    raw = read_config(source)
    config = parse_config(raw, source / CONFIG)
    if config.quantization_bit:
        raise QuantizationError(
            f"{source} is already quantised to {config.quantization_bit} bits; quantise the fp16 checkpoint instead",
            bits=config.quantization_bit,
        )
    weights = list_weights(source)
    check_tensors(weights, config)
    check_columns(weights, bits)
    conversion = _Quantize(bits, group_size)
    with new_folder(target, output_bytes(weights, conversion)) as folder:
        convert_weights(weights, folder, conversion, what=f"quantising {source.name} to int{bits}", progress=progress)
        copy_companions(source, folder)
        level = {"quantization_bit": bits, "quantization_embeddings": False}
        if group_size:  # the original's code does not know the key
            level["quantization_group_size"] = group_size
        write_json(folder / CONFIG, raw | level)


@dataclass(frozen=True)
class _Quantize:
    """Turns the linears of the blocks into integers and scales; copies everything else."""

    bits: int
    group_size: int

    def outputs(self, spec: TensorSpec) -> list[TensorSpec]:
        if not is_block_linear(spec.name):
            return [spec]
        rows, columns = spec.shape
        groups = (-(-columns // self.group_size),) if self.group_size else ()
        return [
            TensorSpec(spec.name, torch.int8, (rows, columns * self.bits // 8)),
            TensorSpec(f"{spec.name}_scale", torch.float16, (rows, *groups)),
        ]

    def convert(self, shard: Shard, spec: TensorSpec) -> Iterator[tuple[str, Tensor]]:
        for _, rows in read_in_chunks(shard, spec):
            if is_block_linear(spec.name):
                half = rows.half()
                check_finite(half, spec.name, shard.path)
                packed, scale = quantize_weight(half, self.bits, self.group_size)
                yield spec.name, packed
                yield f"{spec.name}_scale", scale
            else:
                check_finite(rows, spec.name, shard.path)
                yield spec.name, rows
