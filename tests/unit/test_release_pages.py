"""What a release says of itself: its version, its changelog, the licences of others."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from chatglm_slim_llm import __version__
from chatglm_slim_llm.cli.parser import build_parser
from release import changelog, notices
from release.dependencies import Package, direct_requirements, find_packages, read_project
from release.licences import is_accepted, spdx
from tui.arguments import parser as terminal_parser

ROOT = Path(__file__).parents[2]
GOOD = """\
# Changelog

## [Unreleased]

### Added

- More.

## [1.1.0] - 2026-03-01

### Fixed

- A fault that took
  two lines to tell.

## [1.0.0] - 2026-01-31

### Added

- All.
"""


# --- the version


def test_the_version_stands_in_one_place_and_everything_tells_it(capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "chatglm_slim_llm.__version__"}
    assert version("chatglm-slim-llm") == __version__, "install the checkout again: make setup"
    for ask in (build_parser().parse_args, terminal_parser().parse_args):
        with pytest.raises(SystemExit):
            ask(["--version"])
    assert capsys.readouterr().out.split() == ["chatglm-slim", __version__, "chatglm-tui", __version__]


# --- the changelog


def test_our_changelog_keeps_to_its_form():
    assert (
        changelog.faults((ROOT / "CHANGELOG.md").read_text("utf-8"), __version__, changelog.tagged_versions(ROOT)) == []
    )


def test_a_changelog_in_good_form_has_no_faults():
    assert changelog.faults(GOOD, "1.1.0", ["1.0.0", "1.1.0"]) == []
    assert changelog.faults(GOOD, "1.2.0", ["1.0.0"]) == []  # work on the next version has begun


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## [Unreleased]", "## [1.2.0] - 2026-04-01", "the first section is not"),
        ("## [1.1.0] - 2026-03-01", "## 1.1.0 (2026-03-01)", "is neither '## [Unreleased]' nor"),
        ("2026-03-01", "2026-02-30", "[1.1.0] has 2026-02-30 where its day should stand"),
        (" - 2026-01-31", "", "[1.0.0] has nothing where its day should stand"),
        ("2026-03-01", "2026-01-01", "[1.1.0] is of 2026-01-01, before [1.0.0] of 2026-01-31"),
        ("[1.0.0]", "[1.10.0]", "[1.1.0] stands above [1.10.0]"),
        ("[1.0.0]", "[first]", "[first] is not a version"),
        ("### Fixed", "### Repaired", "[1.1.0] has a group 'Repaired'"),
        ("- All.\n", "", "[1.0.0] has nothing under 'Added'"),
        ("### Added\n\n- All.", "- All.", "[1.0.0] has a line before its first"),
    ],
)
def test_each_fault_of_a_changelog_is_said(old, new, said):
    (fault,) = changelog.faults(GOOD.replace(old, new, 1), "1.10.0")
    assert said in fault


def test_a_version_that_was_released_must_have_a_section():
    assert changelog.faults(GOOD, "1.1.0", ["0.9.0"]) == ["0.9.0 was released and has no section"]
    assert changelog.faults(GOOD, "1.0.5") == ["the program is 1.0.5, and [1.1.0] has a section already"]
    empty = GOOD.replace("### Added\n\n- More.\n\n", "", 1)
    assert changelog.faults(empty, "1.2.0") == ["1.2.0 has no section, and nothing stands under [Unreleased]"]


def test_a_release_gives_what_was_unreleased_its_version_and_day():
    text = changelog.turned(GOOD, "1.2.0", "2026-04-01")
    assert "## [Unreleased]\n\n## [1.2.0] - 2026-04-01\n\n### Added\n\n- More.\n" in text
    assert changelog.faults(text, "1.2.0") == []
    with pytest.raises(ValueError, match="has a section already"):
        changelog.turned(text, "1.2.0", "2026-04-02")
    with pytest.raises(ValueError, match="nothing stands under"):
        changelog.turned(text, "1.3.0", "2026-04-02")


# --- the licences of others


@pytest.fixture(scope="module")
def packages():
    return find_packages(direct_requirements(read_project()))


def test_the_page_of_licences_has_every_package_that_we_name_and_its_licence(packages):
    rows = re.findall(r"^\| \*\*(\S+)\*\* \| [^|]+ \| ([^|]+) \| ", notices.PAGE.read_text("utf-8"), re.MULTILINE)
    direct = {(package.name, package.licence) for package in packages.values() if package.is_direct}
    assert {*rows} == direct, "run: python -m release.notices --write"


def test_every_package_that_is_needed_may_be(packages):
    assert notices.objections(packages.values()) == []


def test_a_package_that_comes_through_another_is_found(packages):
    assert "safetensors" in packages["transformers"].needs  # as transformers' metadata say
    assert packages["torch"].extras >= {""}
    assert packages["mdurl"].is_direct is False  # markdown-it-py needs it


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("MIT", True),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-or-later", False),
        ("MIT AND AGPL-3.0-only", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("BUSL-1.1 OR SSPL-1.0", False),
    ],
)
def test_a_licence_is_accepted_if_it_is_permissive_or_weak_copyleft(expression, holds):
    assert is_accepted(expression) is holds
    package = Package("some", "1.0", expression, {""})
    assert bool(notices.objections([package])) is not holds


def test_words_that_name_no_licence_are_not_taken_for_one():
    assert spdx("Apache Software License") == "Apache-2.0"
    assert [spdx(words) for words in ("Dual License", "see LICENSE", "BSD", "")] == [None] * 4
