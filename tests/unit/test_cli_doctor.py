from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest

from chatglm_slim_llm.cli.concealing import secrets
from chatglm_slim_llm.cli.diagnosis import diagnose
from chatglm_slim_llm.cli.doctor import as_text
from chatglm_slim_llm.hosting.amounts import memory_needs
from chatglm_slim_llm.kernels import instruction_set
from chatglm_slim_llm.storage import ConversationStore
from tests.unit.native import needs_library

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).parent.parent / "data" / "reference" / "tiny_v11"
SLIM_6B = {"hidden_size": 4096, "num_layers": 28, "inner_hidden_size": 16384, "vocab_size": 130528}


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")
    return {"CHATGLM_SLIM_HOME": str(tmp_path / "home")}


def founds(diagnosis) -> str:
    return "\n".join(problem["found"] for problem in diagnosis["problems"])


def test_a_good_checkpoint_is_said_to_be_good(environ):
    diagnosis = diagnose(str(TINY), environ=environ)
    assert diagnosis["checkpoints"][str(TINY)].startswith("ok, ")
    assert str(TINY) not in founds(diagnosis)


@pytest.fixture
def versions(monkeypatch):
    """Versions that packages are said to have; None for one that is not there."""
    said: dict[str, str | None] = {}
    known = metadata.version

    def version(package):
        if said.get(package, "") is None:
            raise metadata.PackageNotFoundError
        return said.get(package) or known(package)

    monkeypatch.setattr(metadata, "version", version)
    return said


def test_every_dependency_of_the_package_has_its_version(environ):
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.split(r"[<>=]", each)[0] for each in wanted}
    told = diagnose(environ=environ)["packages"]
    assert set(told) >= names - {"packaging"}
    assert told["torch"] == metadata.version("torch")


def test_a_missing_extra_is_named_with_how_to_get_it(environ, versions):
    assert diagnose(environ=environ)["extras"]["structured"] == f"llguidance {metadata.version('llguidance')}"
    versions["llguidance"] = None
    told = diagnose(environ=environ)
    assert told["extras"]["structured"] == "not installed: llguidance (pip install 'chatglm-slim-llm[structured]')"
    assert "llguidance" not in founds(told)


def test_a_dependency_of_another_version_is_a_problem_with_the_way_out(environ, versions):
    versions["transformers"] = "4.27.1"
    diagnosis = diagnose(environ=environ)
    problem = next(each for each in diagnosis["problems"] if "transformers" in each["found"])
    assert problem["found"] == "transformers 4.27.1 is installed, <6,>=5.23 is wanted"
    assert problem["do"] == "pip install 'transformers<6,>=5.23'"


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


@needs_library
def test_an_instruction_set_that_is_not_there_is_named(environ, monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_KERNELS", "avx5120")
    assert "CHATGLM_SLIM_KERNELS is avx5120" in founds(diagnose(environ=environ))
    monkeypatch.setenv("CHATGLM_SLIM_KERNELS", instruction_set())
    assert "CHATGLM_SLIM_KERNELS" not in founds(diagnose(environ=environ))


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert secrets({"A_TOKEN": "abcdefgh"}, [tmp_path / "pipe"]) == ["abcdefgh"]


def test_secrets_of_files_are_not_shown_wherever_they_are_quoted(environ, tmp_path, monkeypatch):
    (tmp_path / "home" / "config").mkdir(parents=True)
    (tmp_path / "home" / "config" / "settings.toml").write_text('[serve]\ntoken = "PLANTED-in-settings"\n')
    (tmp_path / "plugins.toml").write_text(
        'tools = "PLANTED-instead-of-a-table"\n[models.own]\ntarget = "no_such_package:x"\napi_key = "PLANTED-key"\n'
        '[loaders.own]\ntarget = "PLANTED-key.module:x"\n[loaders.own.options]\npassword = "PLANTED-pass"\n'
        '[loaders.own.options.headers]\nX-Any = "PLANTED-head"\nurl = "http://me:PLANTED-url@host/?api_token=PLANTED-q"\n'
    )
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(tmp_path / "plugins.toml"))
    planted = {
        "HF_TOKEN": "PLANTED-env",
        "HF_ENDPOINT": "https://mirror/?access_token=PLANTED-env2&x=1",
        "CHATGLM_SLIM_MODEL": "/models/PLANTED-env",
        "HF_HOME": "/caches/hf_abcdefghijkl",
    }
    diagnosis = diagnose(environ=environ | planted)
    text = as_text(diagnosis) + json.dumps(diagnosis)
    assert "PLANTED" not in text.replace("PLANTED-instead-of-a-table", "")  # under no secret name: not a secret
    assert "hf_abcdefghijkl" not in text
    assert diagnosis["environment"]["HF_ENDPOINT"] == "https://mirror/?access_token=(hidden)&x=1"
    assert "/models/(hidden) is not on this machine" in founds(diagnosis)
    assert "models.own" in founds(diagnosis)


def test_the_users_own_folder_is_not_named(environ, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    diagnosis = diagnose(environ=environ)
    assert diagnosis["folders"]["data"].startswith("~/home/data (not there yet, ")
    assert str(tmp_path) not in as_text(diagnosis)


def test_broken_plugins_are_told_with_their_reason_and_none_is_imported(environ, tmp_path, monkeypatch):
    (tmp_path / "spoiler.py").write_text("raise SystemExit('it was imported')\n")
    (tmp_path / "plugins.toml").write_text(
        '[tools.good]\ntarget = "spoiler.py:run"\n[tools.bad]\ntarget = "no_such_package:run"\n'
        '[tools.away]\ntarget = "spoiler.py:run"\nenabled = false\n'
    )
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(tmp_path / "plugins.toml"))
    diagnosis = diagnose(environ=environ)
    assert diagnosis["plugins"]["tools"].startswith("1 broken, 1 off, ")
    assert diagnosis["plugins"]["plugins.toml"] == str(tmp_path / "plugins.toml")
    problem = next(each for each in diagnosis["problems"] if "tools.bad" in each["found"])
    assert "there is no module no_such_package" in problem["found"]
    assert "chatglm-slim plugins disable tools.bad" in problem["do"]


def test_the_history_is_counted_and_not_changed(environ, tmp_path):
    path = tmp_path / "home" / "data" / "history.db"
    with ConversationStore.open(path) as store:
        for title in ("one", "two"):
            store.append(store.create(title).id, "user", "what nobody else may read")
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    diagnosis = diagnose(environ=environ)
    assert diagnosis["files"]["history"].startswith("2 conversations, 2 messages, ")
    assert "nobody" not in as_text(diagnosis)
    assert {name: (path.parent / name).read_bytes() for name in before} == before


def test_a_damaged_history_and_settings_that_are_no_toml_are_problems(environ, tmp_path):
    for name, text in (("data/history.db", "no database"), ("config/settings.toml", "model = = 1")):
        path = tmp_path / "home" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    diagnosis = diagnose(environ=environ)
    assert diagnosis["files"]["history"].startswith("BROKEN")
    assert diagnosis["files"]["settings.toml"] == "BROKEN"
    assert "history.db cannot be read: file is not a database" in founds(diagnosis)
    assert "settings.toml cannot be read: Invalid value" in founds(diagnosis)


def test_a_history_of_a_newer_version_is_a_problem(environ, tmp_path):
    path = tmp_path / "home" / "data" / "history.db"
    with ConversationStore.open(path) as store:
        store.create("one")
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 99")
    assert "was written by a newer version" in founds(diagnose(environ=environ))


def test_the_6b_model_needs_what_its_table_says():
    """5.64 billion weights in linear layers, 0.53 of embeddings, 0.94 GB for 2,048 tokens (int8: 0.47), and more."""
    needs = memory_needs(SLIM_6B)
    assert {level: round(size / 1e9, 1) for level, size in needs.items()} == {"fp16": 13.8, "int8": 7.6, "int4": 4.4}
    assert memory_needs(SLIM_6B, compiled=False)["int4"] - needs["int4"] == 130_528 * 4096 + 2 * 28 * 4096 * 2048
    assert list(memory_needs(SLIM_6B | {"quantization_bit": 4})) == ["int4"]


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({"KV_CACHE_DTYPE": "int8"}, "kernels, which are not in use: CHATGLM_SLIM_KERNELS is torch"),
        ({"KV_CACHE_DTYPE": "int8", "DEVICE": "meta"}, "kernels, which run on a processor and not on meta"),
        ({"DEVICE": "cuda:99"}, "device 'cuda:99' cannot be used"),
    ],
)
def test_options_that_cannot_be_followed_here_are_a_problem(environ, without_kernels, variables, what):
    assert diagnose(environ=environ)["problems"] == []
    environ |= {f"CHATGLM_SLIM_{name}": value for name, value in variables.items()}
    (problem,) = diagnose(environ=environ)["problems"]
    assert what in problem["found"]
    assert problem["do"] == f"correct or unset CHATGLM_SLIM_{next(iter(variables))}"


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
    places = dict.fromkeys(("PYTHONPATH", "HF_HOME", "CHATGLM_SLIM_HOME", "HOME"), str(tmp_path))
    environ = os.environ | places
    command = [sys.executable, "-m", "chatglm_slim_llm", "doctor", "--json", "--model", str(TINY)]
    result = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stderr) == (1, "")
    diagnosis = json.loads(result.stdout)
    assert "libtorch_cpu.so: cannot open" in diagnosis["machine"]["devices"]
    assert "torch cannot be imported" in founds(diagnosis)
    assert diagnosis["checkpoints"][str(TINY)].startswith("ok, ")
