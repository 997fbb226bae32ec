"""The plugin of the tutorial: built, installed and used as its page says, by the program as it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.guide_plugin import EXAMPLE, PAGES, with_files

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The plugin as pip installs it, in a folder by itself."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(
        ROOT / EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
    )
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", *words, "--target", folder / "site", folder / "source"], check=True)
    return folder / "site"


@pytest.fixture
def run(site, tmp_path):
    """Run a program with the plugin installed and a home of its own; gives what it printed."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CHATGLM_")}
    environ = others | {"PYTHONPATH": str(site), "CHATGLM_SLIM_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}

    def run(*words: str, module: str = "chatglm_slim_llm") -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module, *words],
            capture_output=True, text=True, env=environ, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_page_shows_the_files_as_they_are():
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        assert with_files(text) == text, "python -m docs.guide_plugin brings it up to date"
        titles = set(re.findall(r'title="([^"]+)"', text))
        files = {str(file.relative_to(ROOT / EXAMPLE)) for file in (ROOT / EXAMPLE).rglob("*.py")}
        assert files - titles == {"src/my_plugin/__init__.py"}


@pytest.mark.long
def test_the_tutorial_works_as_it_is_written(run):
    page = (ROOT / PAGES[0]).read_text("utf-8")
    enabled = re.search(r"\$ pip install -e \.\n(.*?)```", page, re.DOTALL)
    assert enabled
    commands = [line[2:].split() for line in enabled[1].splitlines() if line.startswith("$ ")]
    printed = [line for line in enabled[1].splitlines() if not line.startswith("$ ")]
    assert [words[:2] for words in commands] == [["chatglm-slim", "plugins"]] * 4
    *switches, doctor = [run(*words[1:]) for words in commands]
    assert all("is on" in said for said in switches)
    assert doctor.splitlines() == printed
    assert run("chat", "--model", "plugin:parrot", "hello there") == "hello there\n"


@pytest.mark.long
def test_the_plugins_own_tests_pass(run):
    assert "3 passed" in run(
        str(ROOT / EXAMPLE / "tests"), "-p", "no:cacheprovider", f"--rootdir={ROOT / EXAMPLE}", module="pytest"
    )
