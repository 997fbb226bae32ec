"""The comparison with other engines: the model files it writes, the order it runs in, the ratios it prints."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import sentencepiece

from benchmarks.peer_models import (
    Shape,
    chatglm_6b,
    llama_7b,
    minimal_tokenizer,
    random_blocks,
    write_chatglm,
    write_llama,
)
from benchmarks.peer_process import Contender, Process, Racer, Record
from benchmarks.peers import as_json, parse, positions_for, race, table
from tests.unit.native import needs_library

TINY = Shape(layers=2, inner=128, vocab=96, hidden=64, heads=2, mlp_matrices=3)


def test_shapes_have_the_weights_of_the_published_models():
    assert chatglm_6b().matrix_weights() == 28 * 12 * 4096 * 4096 + 130528 * 4096
    assert llama_7b().matrix_weights() == 6_738_415_616 - 32000 * 4096 - 65 * 4096  # all, less embedding and norms


def test_random_blocks_have_small_scales_that_are_neither_zero_nor_denormal():
    scales = random_blocks(32 * 1000, "q4_0", np.random.default_rng(1))["scale"].astype(float)
    assert scales.min() > 1e-4
    assert scales.max() < 0.01


def test_the_minimal_tokenizer_is_one_that_sentencepiece_reads():
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(minimal_tokenizer(["<unk>", "<sop>", "[gMASK]"]))
    assert [processor.PieceToId(piece) for piece in ("<unk>", "<sop>", "[gMASK]", "absent")] == [0, 1, 2, 0]


@pytest.mark.parametrize(("encoding", "block_bytes"), [("q4_0", 18), ("q8_0", 34)])
def test_tensors_of_the_gguf_file_follow_each_other_without_gap_or_overlap(tmp_path: Path, encoding, block_bytes):
    path = tmp_path / "model.gguf"
    write_llama(path, TINY, encoding)
    with path.open("rb") as file:
        tensors = read_gguf(file)
        start = -(-file.tell() // 32) * 32
    assert len(tensors) == 3 + 9 * TINY.layers
    assert tensors["blk.1.ffn_down.weight"][0] == (128, 64)  # the fastest dimension, the inputs, comes first
    end = 0
    for dims, kind, offset in tensors.values():
        assert offset == -(-end // 32) * 32
        end = offset + (dims[0] * 4 if kind == 0 else dims[0] * dims[1] // 32 * block_bytes)
    assert path.stat().st_size == start + -(-end // 32) * 32


def read_gguf(file: BinaryIO) -> dict[str, tuple[tuple[int, ...], int, int]]:
    """Name -> (dimensions, type, offset): a plain reader of the header, as the format's description has it."""

    def number(code: str) -> int:
        value: int = struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]
        return value

    def string() -> str:
        return file.read(number("Q")).decode()

    assert file.read(4) == b"GGUF"
    assert number("I") == 3
    num_tensors, num_pairs = number("Q"), number("Q")
    for _ in range(num_pairs):
        string()
        {4: lambda: number("I"), 6: lambda: number("I"), 8: string}[number("I")]()
    tensors = {}
    for _ in range(num_tensors):
        name = string()
        dims = tuple(number("Q") for _ in range(number("I")))
        tensors[name] = (dims, number("I"), number("Q"))
    return tensors


def test_the_chatglm_file_ends_with_its_last_tensor_and_aligns_each(tmp_path: Path):
    path = tmp_path / "model.bin"
    write_chatglm(path, TINY, "q4_0")
    data = path.read_bytes()
    proto_size = struct.unpack_from("<i", data, 64)[0]
    at, names = 68 + proto_size, []
    while at < len(data):
        (name_size,) = struct.unpack_from("<i", data, at)
        names.append(data[at + 4 : at + 4 + name_size].decode())
        (ndim,) = struct.unpack_from("<i", data, at + 4 + name_size)
        *dims, kind = struct.unpack_from(f"<{ndim + 1}i", data, at + 8 + name_size)
        start = -(-(at + 8 + name_size + 4 * (ndim + 1)) // 16) * 16
        at = start + (dims[0] * 4 if kind == 0 else dims[0] * dims[1] // 32 * 18)
    assert at == len(data)
    assert len(names) == 1 + 12 * TINY.layers + 2


class Scripted:
    """Answers with these seconds: one for each prompt, one for the four steps of each turn."""

    def __init__(self, name: str, prompts_s: Sequence[float], turns_s: Sequence[float], calls: list[str]) -> None:
        self._name, self._prompts_s, self._turns_s, self._calls = name, iter(prompts_s), iter(turns_s), calls
        self._rates = iter([54.0, 56.0, 31.0, 31.0, 39.0, 49.0, 41.0, 57.0])

    def ask(self, **request: int) -> Record:
        self._calls.append(f"{self._name} {request}")
        if "prompt" in request:
            return {"clock_s": next(self._prompts_s), "processor_s": 2.0}
        if "read" in request:
            return {"gb_s": [next(self._rates)]}
        return {"clocks_s": [next(self._turns_s)] * request["steps"], "processor_s": 1.0}

    def leave(self) -> Record:
        self._calls.append(f"{self._name} leaves")
        return {"version": "1", "peak_memory_gb": 2.0}

    def close(self) -> None:
        self._calls.append(f"{self._name} is closed")


def heat(calls: list[str]) -> list[Contender]:
    """Two rounds of two turns each. A slow moment falls on the second turn of both."""

    def contender(name: str, engine: str, prompts_s: Sequence[float], turns_s: Sequence[float]) -> Contender:
        def start() -> Racer:
            calls.append(f"{name} starts")
            return Scripted(name, prompts_s, turns_s, calls)

        return Contender(name, engine, 4, TINY, start)

    return [
        contender("ours int4", "ours", [1.0, 3.0], [0.1, 0.8, 0.1, 0.2]),
        contender("llama.cpp q4_0", "llama.cpp", [4.0, 6.0], [0.2, 2.4, 0.3, 0.8]),
    ]


def test_engines_stay_loaded_and_take_turns_of_four_steps_in_changing_order():
    calls: list[str] = []
    race(heat(calls), [32], 8, 2)
    ours, theirs = "ours int4", "llama.cpp q4_0"
    read = f"{ours} {{'read': 1}}"
    steps = [f"{name} {{'steps': 4}}" for name in (ours, theirs)]
    prompts = [f"{name} {{'prompt': 32}}" for name in (ours, theirs)]
    a_round = [*prompts, read, *steps, read, read, *reversed(steps), read]
    ends = [f"{name} {what}" for what in ("leaves",) for name in (ours, theirs)]
    closed = [f"{name} is closed" for name in (theirs, ours)]
    assert calls == [f"{ours} starts", f"{theirs} starts", *a_round, *a_round, *ends, *closed]


def test_nobody_stays_when_one_cannot_start():
    calls: list[str] = []
    first, second = heat(calls)

    def fail() -> Racer:
        raise SystemExit("no such model")

    with pytest.raises(SystemExit, match="no such model"):
        race([first, Contender(second.name, second.engine, 4, TINY, fail)], [32], 8, 1)
    assert calls == ["ours int4 starts", "ours int4 is closed"]


def test_an_engine_that_is_not_installed_is_named():
    with pytest.raises(SystemExit, match=r"peer_worker\.py llama\.cpp nowhere .*\nended with status 1"):
        Process(sys.executable, "llama.cpp", "nowhere", 2, 256)


@pytest.mark.slow
@needs_library
def test_a_real_process_answers_and_its_death_is_told():
    process = Process(sys.executable, "ours", "int4:1", 2, 256)
    try:
        assert process.ask(prompt=8)["clock_s"] > 0
        assert len(process.ask(steps=4)["clocks_s"]) == 4
        assert process.ask(read=2)["gb_s"][1] > 0.1
        process._process.kill()
        with pytest.raises(SystemExit, match="ended with status -9"):
            process.ask(steps=4)
    finally:
        process.close()


def test_the_longest_prompt_and_its_answer_have_room():
    assert positions_for(2000, 64) == 2304
    assert positions_for(192, 64) == 256


def test_an_answer_of_incomplete_turns_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse(["--models", "x", "--new", "10"])
    assert "--new is 10; it must be a multiple of 4" in capsys.readouterr().err


def test_medians_count_and_for_ratios_those_within_a_turn():
    ours, theirs = race(heat([]), [32], 8, 2)
    assert (ours["rows"][0]["ttft_s"], theirs["rows"][0]["ttft_s"]) == (2.0, 5.0)
    assert theirs["rows"][0]["prefill_tokens_per_s"] == 6.4  # 32 / 5
    assert ours["rows"][0]["decode_tokens_per_s"] == 6.667  # the median of 0.1, 0.8, 0.1, 0.2, four times each
    ratios = theirs["rows"][0]["ours_over_theirs"]
    assert (ratios["prefill"], ratios["decode"]) == (3.0, 3.0)  # of 4, 2 and of 2, 3, 3, 4; of the medians: 2.5, 3.67
    assert ratios["decode_by_bandwidth"] == {
        "30-40 GB/s": {"decode": 3.0, "turns": 1},
        "40-50 GB/s": {"decode": 3.5, "turns": 2},
        "50-60 GB/s": {"decode": 2.0, "turns": 1},
    }
    assert "ours_over_theirs" not in ours["rows"][0]
    assert ours["rows"][0]["bandwidth_gb_s"] == 45.0
    assert theirs["rows"][0]["processors"] == 0.32  # 8 / (10 + 4 * 3.7)


def test_those_of_other_bits_run_on_their_own():
    calls: list[str] = []
    first, second = heat(calls)
    wide = Contender("llama.cpp q8_0", "llama.cpp", 8, TINY, second.start)
    _, theirs = race([first, wide], [32], 8, 2)
    assert calls.index("ours int4 leaves") < calls.index("llama.cpp q4_0 starts")
    assert "ours_over_theirs" not in theirs["rows"][0]


def test_the_report_has_a_line_for_each_row_and_loses_nothing():
    report = {"date": "2026-11-28", "engines": race(heat([]), [32, 512], 4, 1)}
    text = as_json(report)
    assert json.loads(text) == report
    assert sum('"ttft_s"' in line for line in text.splitlines()) == 4


def test_the_table_has_our_speed_over_theirs():
    *_, ours, theirs, _, last = table(race(heat([]), [32], 8, 2)).splitlines()
    assert ours.endswith("|  |  |")
    assert theirs.endswith("| 3.00 | 3.00 |")
    assert last.endswith("prompt 32, at 30-40 GB/s: 3.00 (1), 40-50 GB/s: 3.50 (2), 50-60 GB/s: 2.00 (1)")
