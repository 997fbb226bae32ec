"""A download in the model's process: its progress, its end amid the work, and what the next try makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from fake_hub import FakeHub

from chatglm_slim_llm.checkpoint.pull import DEMO_FOLDER

ID = "somebody/small"
SCRIPT = """
import json, sys
from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.hosting.client import ProcessAssistant

class Enough(Exception): pass

def stop_at_a_third(what, done, total):
    if total and done > total / 3:
        raise Enough

assistant = ProcessAssistant(LoadOptions(model="somebody/small"))
facts = {"was_there": assistant.is_available()}
try:
    assistant.load(stop_at_a_third)
except Enough:
    facts["is_left"] = assistant.pid
seen = []
loaded = assistant.load(lambda *progress: seen.append(progress))
facts |= {"is_there": assistant.is_available(), "seen": seen, "name": loaded.name}
assistant.close()
print(json.dumps(facts))
"""


@pytest.mark.slow
def test_a_download_is_told_stopped_and_continued(tmp_path):
    files = {path.name: path.read_bytes() for path in DEMO_FOLDER.iterdir() if path.is_file()}
    size_bytes = len(files["model.safetensors"])
    with FakeHub(ID, files, bytes_per_s=size_bytes / 2) as hub:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CHATGLM_"))}
        environ = inherited | {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "CHATGLM_SLIM_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["was_there"], facts["is_left"], facts["is_there"], facts["name"]) == (False, None, True, ID)
    downloading = [progress for progress in facts["seen"] if progress[0].startswith("downloading")]
    assert len(downloading) > 3
    assert downloading[-1][1] == downloading[-1][2] >= size_bytes
    first, second = hub.downloads_of("model.safetensors")
    assert first is None or first.startswith("bytes=0")
    assert int(second.removeprefix("bytes=").partition("-")[0]) > size_bytes / 10
