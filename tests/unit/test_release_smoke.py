"""The bill of materials, and the environment that a wheel is used in."""

from __future__ import annotations

import hashlib
import json
import sys

import pytest

from release.dependencies import Package
from release.environment import Environment, SmokeError
from release.sbom import bill_of_materials
from release.smoke import _step

PACKAGES = [
    Package("alpha", "1.0", "MIT", {""}, {"beta"}, is_direct=True),
    Package("beta", "2.0+cpu", "Apache-2.0 AND MIT", {"", "rag"}),
    Package("gamma", "", "BSD-3-Clause", {"rag"}, is_direct=True),
]


@pytest.fixture
def place(tmp_path) -> Environment:
    """This Python under the name that it would have in an environment; making one takes seconds."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    return Environment(tmp_path, tmp_path / "some-1.0-py3-none-any.whl", "1.0")


def test_the_bill_of_materials_names_wheel_packages_and_who_needs_whom(tmp_path):
    wheel = tmp_path / "chatglm_slim_llm-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    text = bill_of_materials(wheel, PACKAGES, made_at=1_700_000_000)
    assert text == bill_of_materials(wheel, PACKAGES, made_at=1_700_000_000)
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["metadata"]["timestamp"]) == ("CycloneDX", "2023-11-14T22:13:20+00:00")
    main = bill["metadata"]["component"]
    assert main["purl"] == "pkg:pypi/chatglm-slim-llm@0.1.0"
    assert main["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"a wheel").hexdigest()}]
    parts = [(part["name"], part["purl"], part["scope"], part["licenses"]) for part in bill["components"]]
    assert parts == [
        ("alpha", "pkg:pypi/alpha@1.0", "required", [{"license": {"id": "MIT"}}]),
        ("beta", "pkg:pypi/beta@2.0%2Bcpu", "required", [{"expression": "Apache-2.0 AND MIT"}]),
        ("gamma", "pkg:pypi/gamma", "optional", [{"license": {"id": "BSD-3-Clause"}}]),
    ]
    needs = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert needs == {"chatglm-slim-llm": ["alpha", "gamma"], "alpha": ["beta"], "beta": [], "gamma": []}


def test_programs_there_see_nothing_of_the_checkout(place, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("CHATGLM_SLIM_MODEL", "/somewhere/else")
    seen = json.loads(place.python("import json, os; print(json.dumps([os.getcwd(), dict(os.environ)]))"))
    assert seen[0] == str(place.folder)
    assert not {"PYTHONPATH", "CHATGLM_SLIM_MODEL", "VIRTUAL_ENV"} & seen[1].keys()
    assert seen[1]["CHATGLM_SLIM_HOME"].startswith(str(place.folder))


def test_what_fails_there_is_told_with_what_it_said(place):
    line, worked = _step(place, "names", lambda place: place.python("import sys; sys.exit('no such name')"))
    assert not worked
    assert line.startswith("✗ names ")
    assert "no such name" in line


def test_an_answer_in_another_form_is_a_failure_like_others(place):
    line, worked = _step(place, "doctor", lambda place: str(place.json("python", "-c", "print('not JSON')")))
    assert not worked
    assert "JSONDecodeError" in line


def test_what_hangs_there_is_ended(place):
    with pytest.raises(SmokeError, match="took longer than 0 s"):
        place.run("python", "-c", "import time; time.sleep(60)", timeout_s=0.3)
