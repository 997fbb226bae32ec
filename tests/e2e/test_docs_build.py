"""The site is built without a warning and needs nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)", text)
        loaded += re.findall(r"<link\b(?![^>]*rel=\"(?:canonical|alternate))[^>]*\bhref=\"([^\"]+)", text)
        assert loaded, page
        for address in loaded:
            assert not re.match(r"(\w+:)?//", address), (page, address)
            beginning = site if address.startswith("/") else page.parent  # 404.html is served from any address
            assert (beginning / re.split("[?#]", address.lstrip("/"))[0]).exists(), (page, address)
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", style.read_text(encoding="utf-8")), style


@pytest.mark.slow
def test_links_lead_to_pages_and_places_that_are_there(site: Path) -> None:
    places = {
        page: set(re.findall(r"\b(?:id|name)=\"([^\"]+)", page.read_text(encoding="utf-8")))
        for page in site.rglob("*.html")
    }
    for page in places:
        if page.name == "404.html":
            continue
        for link in re.findall(r"<a\b[^>]*\bhref=\"([^\"]+)", page.read_text(encoding="utf-8")):
            if re.match(r"\w+:", link):
                continue
            name, _, place = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), (page, link)
            assert not place or target not in places or place in places[target], (page, link)


@pytest.mark.slow
def test_each_language_says_which_it_is_and_leads_to_the_other(site: Path) -> None:
    for name, language, other in (("faq.html", "en", "zh/faq.html"), ("zh/faq.html", "zh", "../faq.html")):
        text = (site / name).read_text(encoding="utf-8")
        assert f'<html lang="{language}"' in text
        assert f'<a href="{other}" hreflang=' in text


@pytest.mark.slow
def test_public_names_are_in_the_reference(site: Path) -> None:
    import chatglm_slim_llm

    shown = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    for name in chatglm_slim_llm.__all__:
        assert re.search(rf'id="chatglm_slim_llm(\.\w+)?\.{name}"', shown), name
    assert 'id="chatglm_slim_llm.plugins.PluginSpec"' in shown
    assert "._" not in "".join(re.findall(r'id="(chatglm_slim_llm[^"]*)"', shown))
