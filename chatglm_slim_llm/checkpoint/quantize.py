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


def quantize_checkpoint(source: Path, target: Path, bits: int, *, progress: Progress | None = None) -> None:
    """Write a quantised checkpoint that loads without the one it came from. ``source`` is only read.

    Args:
        source: folder of a checkpoint that is not quantised.
        target: folder to write; must not exist, or be empty.
        bits: 8 or 4.
        progress: told how far it is.

    Raises:
        QuantizationError: another number of bits, or the source is quantised already.
        CheckpointNotFoundError: a file of the source is missing.
        CheckpointFormatError: a file of the source is damaged or of another model, or a weight is NaN.
        CheckpointError: the target holds something, or cannot be written.
    """
    source, target = Path(source), Path(target)
    if bits not in (4, 8):
        raise QuantizationError(f"cannot quantise to {bits!r} bits; choose 8 or 4", bits=bits)
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
    conversion = _Quantize(bits)
    with new_folder(target, output_bytes(weights, conversion)) as folder:
        convert_weights(weights, folder, conversion, what=f"quantising {source.name} to int{bits}", progress=progress)
        copy_companions(source, folder)
        write_json(folder / CONFIG, raw | {"quantization_bit": bits, "quantization_embeddings": False})


@dataclass(frozen=True)
class _Quantize:
    """Turns the linears of the blocks into integers and scales; copies everything else."""

    bits: int

    def outputs(self, spec: TensorSpec) -> list[TensorSpec]:
        if not is_block_linear(spec.name):
            return [spec]
        rows, columns = spec.shape
        return [
            TensorSpec(spec.name, torch.int8, (rows, columns * self.bits // 8)),
            TensorSpec(f"{spec.name}_scale", torch.float16, (rows,)),
        ]

    def convert(self, shard: Shard, spec: TensorSpec) -> Iterator[tuple[str, Tensor]]:
        for _, rows in read_in_chunks(shard, spec):
            if is_block_linear(spec.name):
                packed, scale = quantize_weight(rows.half(), self.bits)
                check_finite(scale, spec.name, shard.path)  # of NaN or infinity the scale is not finite either
                yield spec.name, packed
                yield f"{spec.name}_scale", scale
            else:
                check_finite(rows, spec.name, shard.path)
                yield spec.name, rows
