"""Conversions and loading as processes of their own: a real Ctrl-C, a real peak of memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from chatglm_slim_llm.checkpoint.layout import expected_tensors
from chatglm_slim_llm.model import ChatGLMConfig
from tests.programs import LIGHT

REFERENCE = Path(__file__).parents[1] / "data" / "reference"

_CONVERT_SLOWLY = """
import sys, time
from pathlib import Path
from chatglm_slim_llm.checkpoint import quantize_checkpoint, slim

def progress(what, done, total):
    if done:
        print("writing", flush=True)
        time.sleep(0.5)

source, target = map(Path, sys.argv[2:])
slim(source, target, progress=progress) if sys.argv[1] == "slim" else quantize_checkpoint(
    source, target, 4, progress=progress)
"""

_PEAK_OF = """
import sys
from pathlib import Path
from chatglm_slim_llm.checkpoint import load_model, quantize_checkpoint, slim

def peak_bytes():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

small, large, action, target = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
load_model(small, quantization="int4")  # what the libraries need when they are first used
Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
before = peak_bytes()
keep = eval(action)
print(peak_bytes() - before)
"""


@pytest.mark.long
@pytest.mark.parametrize(("command", "name"), [("slim", "tiny_v10_full"), ("quantize", "tiny_v11")])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_a_conversion_and_leaves_nothing_behind(tmp_path, command, name):
    arguments = [sys.executable, "-c", LIGHT + _CONVERT_SLOWLY, command, REFERENCE / name, tmp_path / "target"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "writing\n"
        assert [path.name.endswith(".partial") for path in tmp_path.iterdir()] == [True]
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def large(request, tmp_path_factory) -> Path:
    """205 MB of fp16, nearly all of it in the linears, in the format that is asked for."""
    sizes = {"hidden_size": 1024, "num_layers": 8, "num_attention_heads": 16, "inner_hidden_size": 4096}
    ids = {"vocab_size": 1216, "bos_token_id": 865, "eos_token_id": 866}
    slots = expected_tensors(ChatGLMConfig(**sizes, **ids))
    tensors = {name: torch.full(slot.shape, 0.5, dtype=torch.float16) for name, slot in slots.items()}
    folder: Path = tmp_path_factory.mktemp(request.param)
    (folder / "config.json").write_text(json.dumps({"model_type": "chatglm"} | sizes | ids))
    if request.param == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("large", "action", "result_mb"),
    [
        ("bin", "load_model(large)", 204),
        pytest.param("bin", "load_model(large, quantization='int4')", 53, marks=pytest.mark.slow),
        pytest.param("safetensors", "load_model(large, quantization='int4')", 53, marks=pytest.mark.slow),
        pytest.param("safetensors", "quantize_checkpoint(large, target, 4)", 0, marks=pytest.mark.slow),
    ],
    indirect=["large"],
)
def test_the_peak_of_memory_is_near_the_size_of_the_result(large, tmp_path, action, result_mb):
    run = subprocess.run(
        [sys.executable, "-c", LIGHT + _PEAK_OF, REFERENCE / "tiny_v11", large, action, tmp_path / "target"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) / 1e6 < result_mb + 80


def test_fetching_a_checkpoint_needs_no_torch():
    code = "import sys; from chatglm_slim_llm.checkpoint import Progress, is_available, resolve_folder; "
    run = subprocess.run([sys.executable, "-c", f"{code}sys.exit('torch' in sys.modules)"], check=False)
    assert run.returncode == 0
