from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from chatglm_slim_llm.cli.diagnosis import diagnose
from chatglm_slim_llm.cli.doctor import as_text
from chatglm_slim_llm.hosting.amounts import memory_needs

TINY = Path(__file__).parent.parent / "data" / "reference" / "tiny_v11"
SLIM_6B = {"hidden_size": 4096, "num_layers": 28, "inner_hidden_size": 16384, "vocab_size": 130528}


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return {"CHATGLM_SLIM_HOME": str(tmp_path / "home")}


def founds(diagnosis) -> str:
    return "\n".join(problem["found"] for problem in diagnosis["problems"])


def test_a_good_checkpoint_is_said_to_be_good(environ):
    diagnosis = diagnose(str(TINY), environ=environ)
    assert diagnosis["checkpoints"][str(TINY)].startswith("ok, ")
    assert str(TINY) not in founds(diagnosis)


def test_a_missing_extra_is_named_with_how_to_get_it(environ, monkeypatch):
    assert diagnose(environ=environ)["program"]["llguidance"] == metadata.version("llguidance")
    known = metadata.version

    def version(package):
        if package == "llguidance":
            raise metadata.PackageNotFoundError
        return known(package)

    monkeypatch.setattr(metadata, "version", version)
    told = diagnose(environ=environ)["program"]["llguidance"]
    assert told == "not installed (pip install 'chatglm-slim-llm[structured]')"


def test_what_is_not_downloaded_is_no_problem_unless_it_is_asked_for(environ):
    assert diagnose(environ=environ)["checkpoints"]["silver/chatglm-6b-slim"].startswith("not downloaded")
    assert "silver" not in founds(diagnose(environ=environ))
    problems = diagnose("silver/chatglm-6b-slim", environ=environ)["problems"]
    assert problems[-1]["do"] == "chatglm-slim pull silver/chatglm-6b-slim"


def test_a_folder_that_is_not_there_is_a_problem(environ):
    assert "/no/such is not on this machine" in founds(diagnose("/no/such", environ=environ))


def test_an_lfs_pointer_is_found_and_the_way_out_is_named(environ, tmp_path):
    folder = shutil.copytree(TINY, tmp_path / "model")
    (folder / "ice_text.model").chmod(0o644)
    (folder / "ice_text.model").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    problem = diagnose(str(folder), environ=environ)["problems"][-1]
    assert "ice_text.model is a git-lfs pointer" in problem["found"]
    assert "git lfs pull" in problem["do"]


def test_a_truncated_file_is_found_from_its_header(environ, tmp_path):
    folder = shutil.copytree(TINY, tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "model.safetensors" in founds(diagnose(str(folder), environ=environ))


def test_a_wrong_variable_is_named(environ):
    problem = diagnose(environ=environ | {"CHATGLM_SLIM_QUANTIZATION": "int3"})["problems"][0]
    assert "int3" in problem["found"]
    assert "CHATGLM_SLIM_QUANTIZATION" in problem["do"]


def test_secrets_are_never_shown(environ):
    secrets = {
        "HF_TOKEN": "hf_SECRET",
        "HUGGING_FACE_HUB_TOKEN": "hf_SECRET",
        "https_proxy": "http://user:SECRET@proxy.example:8080",
        "HF_ENDPOINT": "https://SECRET@mirror.example",
        "OPENAI_API_KEY": "SECRET",
    }
    diagnosis = diagnose(environ=environ | secrets)
    assert "SECRET" not in as_text(diagnosis) + json.dumps(diagnosis)
    assert diagnosis["environment"]["HF_TOKEN"] == "(set, hidden)"
    assert diagnosis["environment"]["https_proxy"] == "http://…@proxy.example:8080"
    assert "OPENAI_API_KEY" not in diagnosis["environment"]


def test_the_6b_model_needs_what_its_table_says():
    """5.64 billion weights in linear layers, 0.53 of embeddings, 0.94 GB for 2,048 tokens, and room to work."""
    needs = memory_needs(SLIM_6B)
    assert {level: round(size / 1e9, 1) for level, size in needs.items()} == {"fp16": 13.8, "int8": 7.6, "int4": 4.9}
    assert memory_needs(SLIM_6B, compiled=False)["int4"] - needs["int4"] == 130_528 * 4096
    assert list(memory_needs(SLIM_6B | {"quantization_bit": 4})) == ["int4"]


def test_a_level_that_does_not_fit_is_a_problem_with_a_level_that_does(environ, tmp_path, monkeypatch):
    folder = shutil.copytree(TINY, tmp_path / "model")
    (folder / "config.json").chmod(0o644)
    config = json.loads((folder / "config.json").read_text()) | SLIM_6B
    (folder / "config.json").write_text(json.dumps(config))
    (tmp_path / "meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\n")
    real = sys.modules["chatglm_slim_llm.hosting.memory"].find_memory
    monkeypatch.setattr(
        "chatglm_slim_llm.cli.diagnosis.find_memory", lambda: real(tmp_path / "meminfo", tmp_path / "none")
    )
    problem = diagnose(str(folder), environ=environ)["problems"][-1]
    assert "at fp16 needs 13.8 GB of memory, 6.1 GB is available" in problem["found"]
    assert problem["do"].startswith("use --quantization int4")


def test_people_read_problems_last(environ):
    assert as_text(diagnose("/no/such", environ=environ)).splitlines()[-2].startswith("PROBLEM  ")


def test_the_doctor_works_where_torch_is_broken(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')")
    environ = os.environ | {"PYTHONPATH": str(tmp_path), "HF_HOME": str(tmp_path), "CHATGLM_SLIM_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "chatglm_slim_llm", "doctor", "--json", "--model", str(TINY)]
    result = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stderr) == (1, "")
    diagnosis = json.loads(result.stdout)
    assert "libtorch_cpu.so: cannot open" in diagnosis["machine"]["devices"]
    assert "torch cannot be imported" in founds(diagnosis)
    assert diagnosis["checkpoints"][str(TINY)].startswith("ok, ")
