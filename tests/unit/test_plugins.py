"""Plugins of installed packages: found without importing, loaded one at a time, replaced by those of others."""

from __future__ import annotations

import sys
import time

import pytest

from chatglm_slim_llm.errors import PluginLoadError, PluginNotFoundError
from chatglm_slim_llm.plugins import plugin, plugins

GROUP = "chatglm_slim.test_group"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a small package with these plugins into a folder that Python searches."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(distribution: str, entries: dict[str, str], source: str = "", *, metadata: str | None = None) -> str:
        module = distribution.replace("-", "_").lower() + "_module"
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            metadata if metadata is not None else f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        lines = "".join(f"{name} = {target.replace('MODULE', module)}\n" for name, target in entries.items())
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return module

    return install


def test_listing_imports_nothing_and_loading_imports_one(install):
    module = install("acme-loaders", {"b": "MODULE:answer", "a": "MODULE:missing"}, "answer = 42")
    found = plugins(GROUP)
    assert list(found) == ["a", "b"]
    assert (found["b"].target, found["b"].distribution) == (f"{module}:answer", "acme-loaders")
    assert module not in sys.modules
    assert plugin(GROUP, "b").load() == 42


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise ValueError('no driver')", ValueError),
        ("import a_package_that_is_not_there", ModuleNotFoundError),
        ("raise SystemExit(3)", SystemExit),
        ("", AttributeError),
    ],
)
def test_a_plugin_that_does_not_load_says_which_it_is_and_why(install, source, cause):
    install("acme-broken", {"x": "MODULE:load"}, source)
    with pytest.raises(PluginLoadError, match=rf"'x'.*{cause.__name__}.*acme-broken") as caught:
        plugin(GROUP, "x").load()
    assert caught.value.name == "x"
    assert isinstance(caught.value.__cause__, cause)


def test_a_target_that_is_no_target_is_a_plugin_that_does_not_load(install):
    install("acme-odd", {"x": "not a target!"})
    with pytest.raises(PluginLoadError, match="acme-odd"):
        plugin(GROUP, "x").load()


def test_a_name_that_is_not_there_gives_those_that_are(install):
    install("acme-loaders", {"docx": "MODULE:a", "pdf": "MODULE:b"})
    with pytest.raises(PluginNotFoundError, match="did you mean 'docx'") as caught:
        plugin(GROUP, "doc")
    assert caught.value.known == ("docx", "pdf")


def test_the_plugin_of_another_package_comes_before_ours(install):
    install("chatglm-slim-llm", {"pdf": "MODULE:ours", "txt": "MODULE:ours"})
    install("zzz-loaders", {"pdf": "MODULE:theirs"})
    found = plugins(GROUP)
    assert (found["pdf"].distribution, found["txt"].distribution) == ("zzz-loaders", "chatglm-slim-llm")


def test_of_two_other_packages_the_first_by_name_comes_first(install):
    install("B-loaders", {"pdf": "MODULE:b"})
    install("a-loaders", {"pdf": "MODULE:a"})
    assert plugins(GROUP)["pdf"].distribution == "a-loaders"


def test_a_broken_package_does_not_hide_the_others(install, tmp_path):
    install("acme-loaders", {"pdf": "MODULE:a"})
    install("acme-garbage", {}, metadata="")
    (tmp_path / "acme_garbage-1.0.dist-info" / "entry_points.txt").write_bytes(
        b"[" + GROUP.encode() + b"]\n\xff\xfe\nx"
    )
    install("acme-nameless", {"txt": "MODULE:a"}, metadata="")
    found = plugins(GROUP)
    assert {name: spec.distribution for name, spec in found.items()} == {"pdf": "acme-loaders", "txt": "unknown"}


def test_two_hundred_packages_are_listed_in_a_moment(install):
    for number in range(200):
        install(f"acme-{number:03}", {f"p{number:03}": "MODULE:a"}, "raise RuntimeError" if number % 2 else "")
    started = time.perf_counter()
    assert len(plugins(GROUP)) == 200
    assert time.perf_counter() - started < 2  # 0.1 s on an idle core


def test_our_own_loaders_are_plugins_like_others():
    loaders = plugins("chatglm_slim.loaders")
    if not loaders:
        pytest.skip("installed before the loaders were declared; install again")
    assert {"txt", "md", "html", "pdf", "docx", "pptx", "xlsx", "csv", "epub"} <= loaders.keys()
    assert all(callable(spec.load()) for spec in loaders.values())
