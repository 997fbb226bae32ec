"""``chatglm-slim pull`` as a user runs it, against a hub on 127.0.0.1 that can misbehave."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fake_hub import COMMIT, FakeHub, lfs_digest

ID = "silver/chatglm-6b-slim"
SHARD = "pytorch_model-00001-of-00002.bin"
NEEDED = {
    "config.json": b'{"model_type": "chatglm"}',
    "tokenizer_config.json": b"{}",
    "generation_config.json": b'{"max_length": 2048}',
    "ice_text.model": random.Random(0).randbytes(50_000),
    SHARD: random.Random(1).randbytes(2_000_000),
    "pytorch_model-00002-of-00002.bin": random.Random(2).randbytes(300_000),
    "pytorch_model.bin.index.json": json.dumps(
        {"weight_map": {"a": SHARD, "b": "pytorch_model-00002-of-00002.bin"}}
    ).encode(),
}
NOT_NEEDED = {
    "modeling_chatglm.py": b"raise SystemExit('never run')",
    "tokenization_chatglm.py": b"raise SystemExit('never run')",
    "README.md": b"read me",
    "training_args.bin": b"\x80\x04N.",
    "onnx/model.safetensors": b"not ours",
}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(ID, NEEDED | NOT_NEEDED) as served:
        yield served


@pytest.fixture
def environ(hub: FakeHub, tmp_path: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CHATGLM_"))}
    return inherited | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "CHATGLM_SLIM_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }


def pull(environ: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chatglm_slim_llm", "pull", *args]
    return subprocess.run(command, env=environ, capture_output=True, text=True, encoding="utf-8", timeout=60)


def repo_cache(environ: dict[str, str]) -> Path:
    return Path(environ["HF_HOME"]) / "hub" / "models--silver--chatglm-6b-slim"


def snapshot(environ: dict[str, str]) -> Path:
    return repo_cache(environ) / "snapshots" / COMMIT


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_one_sentence(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr


def test_pull_brings_the_needed_files_and_no_code(hub, environ):
    result = pull(environ)
    assert (result.returncode, result.stderr) == (0, "")
    assert contents(snapshot(environ)) == NEEDED
    assert hub.names_asked_for() == set(NEEDED)
    assert str(snapshot(environ)) in result.stdout
    assert f"chatglm-slim chat --model {ID}" in result.stdout
    assert not list(repo_cache(environ).rglob("*.partial"))


@pytest.mark.long
def test_what_was_pulled_is_found_without_network_by_us_and_by_the_hub_library(hub, environ):
    pull(environ)
    code = (
        "from chatglm_slim_llm.checkpoint.pull import is_available, resolve_folder\n"
        "from huggingface_hub import snapshot_download\n"
        f"assert is_available({ID!r})\n"
        f"print(resolve_folder({ID!r}, allow_download=False))\n"
        f"print(snapshot_download({ID!r}, allow_patterns=['config.json', '*.bin'], ignore_patterns=['training*']))\n"
    )
    offline = environ | {"HF_HUB_OFFLINE": "1"}
    found = subprocess.run([sys.executable, "-c", code], env=offline, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(snapshot(environ))] * 2


def test_safetensors_are_preferred_to_pickled_weights(hub, environ):
    hub.files["model.safetensors"] = b"weights"
    assert pull(environ).returncode == 0
    assert {"model.safetensors"} == {name for name in contents(snapshot(environ)) if name not in NEEDED}
    assert not any(name.endswith(".bin") for name in hub.names_asked_for())


@pytest.mark.long
def test_json_says_where_and_how_much(hub, environ):
    first, second = (json.loads(pull(environ, "--json").stdout) for _ in range(2))
    size = sum(len(content) for content in NEEDED.values())
    assert first["model"] == ID
    assert first["commit"] == COMMIT
    assert first["folder"] == str(snapshot(environ))
    assert (first["total_bytes"], first["downloaded_bytes"]) == (size, size)
    assert (second["total_bytes"], second["downloaded_bytes"]) == (size, 0)
    assert len(hub.downloads_of(SHARD)) == 1


def test_a_connection_that_breaks_is_continued_where_it_stopped(hub, environ):
    hub.cuts[SHARD] = [700_000, 500_000]
    assert pull(environ).returncode == 0
    assert hub.downloads_of(SHARD) == [None, "bytes=700000-", "bytes=1200000-"]
    assert contents(snapshot(environ)) == NEEDED


def test_a_server_without_ranges_sends_the_file_again_from_its_start(hub, environ):
    hub.cuts[SHARD], hub.has_ranges = [700_000], False
    assert pull(environ).returncode == 0
    assert contents(snapshot(environ)) == NEEDED


@pytest.mark.slow
def test_a_server_that_never_sends_a_byte_is_given_up_on(hub, environ):
    hub.cuts[SHARD] = [0] * 20
    started_s = time.monotonic()
    assert_one_sentence(pull(environ), "cannot reach", "continues where it stopped")
    assert time.monotonic() - started_s < 15
    assert len(hub.downloads_of(SHARD)) < 10


def test_ctrl_c_keeps_what_arrived_and_the_next_run_continues(hub, environ):
    hub.bytes_per_s = 100_000
    running = subprocess.Popen(
        [sys.executable, "-m", "chatglm_slim_llm", "pull"],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    partial = wait_for_partial(environ, more_than_bytes=100_000)
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=15)  # all of it takes longer
    assert (running.returncode, stdout) == (130, "")
    assert stderr == "interrupted\n"
    assert not (snapshot(environ) / SHARD).exists()
    have = partial.stat().st_size
    hub.bytes_per_s = None
    assert pull(environ).returncode == 0
    assert hub.downloads_of(SHARD) == [None, f"bytes={have}-"]
    assert contents(snapshot(environ)) == NEEDED


def wait_for_partial(environ: dict[str, str], *, more_than_bytes: int) -> Path:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path in repo_cache(environ).rglob("*.partial"):
            with suppress(FileNotFoundError):  # finished and renamed meanwhile
                if path.stat().st_size > more_than_bytes:
                    return path
        time.sleep(0.02)
    raise AssertionError("the download did not get going")


@pytest.mark.long
def test_two_downloads_of_the_same_model_do_not_mix(hub, environ):
    hub.bytes_per_s = 50_000  # it lasts as long as the second one needs to start
    command = [sys.executable, "-m", "chatglm_slim_llm", "pull"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        wait_for_partial(environ, more_than_bytes=0)
        assert_one_sentence(pull(environ), "another download", "is running")
        hub.bytes_per_s = None
        assert first.wait(timeout=30) == 0
    assert contents(snapshot(environ)) == NEEDED


def test_damaged_content_is_refused_and_removed(hub, environ):
    hub.damaged[SHARD] = bytes(len(NEEDED[SHARD]))
    assert_one_sentence(pull(environ), SHARD, "checksum", "run the command again")
    assert not list(repo_cache(environ).rglob("*.partial"))
    hub.damaged.clear()
    assert pull(environ).returncode == 0
    assert contents(snapshot(environ)) == NEEDED


def test_a_damaged_small_file_is_refused_too(hub, environ):
    hub.damaged["config.json"] = b'{"model_type": "chatgln"}'
    assert_one_sentence(pull(environ), "config.json", "checksum")
    assert hub.downloads_of(SHARD) == []


def test_a_second_run_repairs_a_file_that_the_disk_damaged(hub, environ):
    pull(environ)
    blob = repo_cache(environ) / "blobs" / str(lfs_digest(SHARD, NEEDED[SHARD]))
    blob.write_bytes(bytes(len(NEEDED[SHARD])))
    result = pull(environ)
    assert result.returncode == 0
    assert "2.0 MB of it downloaded now" in result.stdout
    assert contents(snapshot(environ)) == NEEDED


def test_an_lfs_pointer_in_the_repository_is_refused(hub, environ):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2706249\n"
    hub.files["ice_text.model"] = pointer
    assert_one_sentence(pull(environ), "Git LFS pointer instead of ice_text.model")
    assert not (snapshot(environ) / "ice_text.model").exists()


def test_a_repository_of_another_kind_is_refused_before_anything_is_downloaded(hub, environ):
    del hub.files["ice_text.model"]
    assert_one_sentence(pull(environ), "no ice_text.model", "not a ChatGLM-6B checkpoint")
    assert hub.names_asked_for() == set()


@pytest.mark.parametrize(
    ("arguments", "refusal", "parts"),
    [
        (["silver/no-such-model"], None, ["shows no model silver/no-such-model", "check the spelling"]),
        (["--revision", "v9"], None, ["no revision 'v9'"]),
        (["no spaces/allowed"], None, ["'no spaces/allowed' is not a hub id", "owner/name"]),
        ([], (403, "GatedRepo"), ["is gated", "accept its terms", "HF_TOKEN"]),
        ([], (403, ""), ["refuses access", "HTTP 403"]),
        ([], (503, ""), ["answered HTTP 503", "try again later"]),
    ],
)
def test_a_refusal_says_what_to_do(hub, environ, arguments, refusal, parts):
    hub.refusal = refusal
    assert_one_sentence(pull(environ, *arguments), *parts)


def test_offline_mode_is_said_at_once(hub, environ):
    started_s = time.monotonic()
    assert_one_sentence(pull(environ | {"HF_HUB_OFFLINE": "1"}), "HF_HUB_OFFLINE", "unset it")
    assert time.monotonic() - started_s < 30  # most of it is the start of Python
    assert hub.requests == []


def test_no_network_is_said_at_once(hub, environ):
    closed_port = environ | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    started_s = time.monotonic()
    assert_one_sentence(pull(closed_port), "cannot reach http://127.0.0.1:9", "check the network")
    assert time.monotonic() - started_s < 30


def test_a_disk_that_is_too_small_is_noticed_before_the_download(hub, environ):
    hub.announced_bytes[SHARD] = 10**18
    assert_one_sentence(pull(environ), "needs 1000000000.0 GB more", "free", "--to FOLDER")
    assert hub.names_asked_for() == set()


def test_to_puts_plain_files_into_the_folder(hub, environ, tmp_path):
    result = pull(environ, "--to", str(tmp_path / "模型"))
    assert result.returncode == 0
    assert contents(tmp_path / "模型") == NEEDED
    assert str(tmp_path / "模型") in result.stdout.splitlines()[-1]


def test_to_never_replaces_a_file_of_the_users(hub, environ, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("my own")
    assert_one_sentence(pull(environ, "--to", str(tmp_path / "mine")), "config.json", "move it away")
    assert contents(tmp_path / "mine") == {"config.json": b"my own"}


def test_a_folder_that_cannot_be_written_is_said(hub, environ, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert_one_sentence(pull(environ, "--to", str(tmp_path / "file" / "below")), "cannot write", "--to FOLDER")


def test_without_symbolic_links_the_cache_holds_each_file_once(hub, environ):
    result = pull(environ | {"HF_HUB_DISABLE_SYMLINKS": "1"})
    assert result.returncode == 0
    assert contents(snapshot(environ)) == NEEDED
    assert not any(path.is_symlink() for path in snapshot(environ).iterdir())
    assert sum(path.stat().st_size == len(NEEDED[SHARD]) for path in repo_cache(environ).rglob("*")) == 1
