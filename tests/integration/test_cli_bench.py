"""``chatglm-slim bench`` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.unit.native import needs_library

KEYS = {
    "shape", "layers", "level", "prompt", "new", "batch", "threads", "kernels", "weights_gb", "start_s",
    "prefill_tokens_per_s", "decode_tokens_per_s", "ttft_s", "step_s", "attention_step_s", "peak_memory_gb",
    "linear_step_s", "bandwidth_gb_s", "decode_read_gb_s", "decode_bandwidth_fraction", "gemm_gflop_s",
    "gemm_weight_bits", "prefill_gflop_s", "prefill_peak_fraction", "other_share",
}  # fmt: skip


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chatglm_slim_llm", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


@pytest.mark.long
@needs_library
@pytest.mark.parametrize(
    ("level", "options", "kept"),
    [
        ("int4", [], "int8"),
        pytest.param("int4", ["--kv-cache-dtype", "fp16"], "fp16", marks=pytest.mark.slow),
        pytest.param("fp16", [], "fp16", marks=pytest.mark.slow),
    ],
)
def test_the_demo_is_measured_and_every_figure_is_a_positive_number(level, options, kept):
    workload = ["--level", level, *options, "--prompt", "40", "--new", "5", "--batch", "2"]
    done = bench("--shape", "demo", *workload, "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures.keys() >= KEYS
    assert (figures["layers"], figures["level"], figures["batch"], figures["new"]) == (6, level, 2, 5)
    assert figures["kv_cache_dtype"] == kept
    assert all(figures[key] > 0 for key in KEYS - {"other_share"} if not isinstance(figures[key], str))
    assert figures["decode_tokens_per_s"] == pytest.approx(2 / figures["step_s"])


@pytest.mark.long
def test_what_the_kernels_have_to_do_is_refused_at_once_without_them(monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_KERNELS", "torch")
    done = bench("--shape", "6b", "--level", "fp16", "--kv-cache-dtype", "int8")  # 12 GB, if it were made
    assert done.returncode == 2
    assert "CHATGLM_SLIM_KERNELS is torch; auto and fp16 do without" in done.stderr


@pytest.mark.long
def test_people_get_lines_with_units():
    done = bench("--prompt", "16", "--new", "3", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "1 threads" in done.stdout
    assert "tokens/s" in done.stdout
    assert "GB" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--prompt", "2"), "--prompt is 2; it must be 3 or more"),
        (("--layers", "2"), "--layers works with --shape 6b only"),
        (("--new", "0"), "'0' is no count"),
        (("--new", "1"), "--new is 1; it must be 2 or more"),
        (("--shape", "/nowhere"), "/nowhere"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_do(arguments, message):
    done = bench(*arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
