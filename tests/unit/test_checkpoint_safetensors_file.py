from __future__ import annotations

import json
import struct
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from chatglm_slim_llm.checkpoint.safetensors_file import SafetensorsShard, SafetensorsWriter, TensorSpec
from chatglm_slim_llm.errors import CheckpointFormatError

TENSORS = {
    "half": torch.tensor([[1.5, -2.0, 65504.0]], dtype=torch.float16),
    "odd": torch.tensor([3.0], dtype=torch.float16),
    "single": torch.tensor([1e-30, float("inf")], dtype=torch.float32),
    "brain": torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.bfloat16),
    "packed": torch.tensor([[-128, 127, 5]], dtype=torch.int8),
    "empty": torch.zeros(0, 4, dtype=torch.float16),
}


def _write(path: Path) -> None:
    specs = [TensorSpec(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in TENSORS.items()]
    with closing(SafetensorsWriter(path, specs)) as writer:
        for name, tensor in TENSORS.items():
            for row in tensor.split(1):
                writer.write(name, row)
        writer.finish()


def _raw(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def test_the_safetensors_library_reads_what_is_written(tmp_path):
    _write(tmp_path / "a.safetensors")
    found = load_file(tmp_path / "a.safetensors")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_what_the_safetensors_library_writes_is_read(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors", metadata={"format": "pt"})
    with closing(SafetensorsShard(tmp_path / "a.safetensors")) as shard:
        assert shard.specs.keys() == TENSORS.keys()
        for name, tensor in TENSORS.items():
            out = torch.empty_like(tensor)
            shard.read_rows(name, 0, out)
            assert torch.equal(out, tensor)


def test_rows_are_read_from_the_middle(tmp_path):
    table = torch.arange(40, dtype=torch.float16).view(10, 4)
    save_file({"before": torch.ones(3), "table": table}, tmp_path / "a.safetensors")
    out = torch.empty(3, 4, dtype=torch.float16)
    with closing(SafetensorsShard(tmp_path / "a.safetensors")) as shard:
        shard.read_rows("table", 5, out)
    assert torch.equal(out, table[5:8])


@pytest.mark.parametrize("kept", [0, 3, 8, 60, -1])
def test_a_truncated_file_says_so(tmp_path, kept):
    path = tmp_path / "a.safetensors"
    _write(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointFormatError, match="truncated") as caught:
        SafetensorsShard(path)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html><body>404", "not a safetensors file"),
        (_raw(b"not json"), "not JSON"),
        (_raw(b"[" * 100_000), "not JSON"),
        (_raw([1, 2]), "not an object"),
        (_raw({"w": {"dtype": "F16", "shape": [2], "data_offsets": [0, 3]}}, b"123"), "needs 4"),
        (_raw({"w": {"dtype": "F16", "shape": [-2], "data_offsets": [4, 0]}}, b"1234"), "bytes 4 to 0"),
        (_raw({"w": {"dtype": "F16", "shape": [-1, -2], "data_offsets": [0, 4]}}, b"1234"), "shape"),
        (_raw({"w": {"dtype": "F16", "shape": [2], "data_offsets": [0.0, 4.0]}}, b"1234"), "not understood"),
        (_raw({"w": {"dtype": "F3", "shape": [2], "data_offsets": [0, 4]}}, b"1234"), "not understood"),
        (_raw({"w": 5}), "not understood"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, content, says):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointFormatError, match=says):
        SafetensorsShard(path)
