"""Our themes are readable, by the formula of the WCAG, and a user's theme is checked before it is worn."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import Theme

from chatglm_slim_llm.errors import ConfigError
from tui.themes import CONTRAST, OWN, read_theme

TEXTS = ("foreground", "text-muted", "text-disabled", "primary", "secondary", "accent", "success", "warning", "error")
PAIRS = [
    *((text, below) for text in TEXTS for below in ("background", "surface", "panel", "boost")),
    *((f"text-{text}", "surface") for text in ("primary", "accent", "success", "warning", "error")),
    *((f"text-{text}", f"{text}-muted") for text in ("primary", "success", "warning", "error")),
    *(("button-color-foreground", below) for below in ("primary", "success", "warning", "error")),
    ("block-cursor-foreground", "block-cursor-background"),
    ("block-cursor-blurred-foreground", "block-cursor-blurred-background"),
    ("input-selection-foreground", "input-selection-background"),
    ("input-cursor-foreground", "input-cursor-background"),
    ("footer-key-foreground", "footer-background"),
    ("footer-description-foreground", "footer-background"),
]


def luminance(colour: Color) -> float:
    """Relative luminance, WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour.rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Color, other: Color) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_gives_the_known_ratios():
    assert contrast(Color.parse("#fff"), Color.parse("#000")) == pytest.approx(21)
    assert contrast(Color.parse("#777"), Color.parse("#fff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", OWN, ids=lambda theme: theme.name)
def test_text_can_be_read_on_everything_it_lies_on(theme: Theme):
    colours = {**theme.to_color_system().generate(), **theme.variables}
    least = 7.0 if theme.name == CONTRAST else 4.5
    weak = {
        (text, below): round(ratio, 2)
        for text, below in PAIRS
        if (ratio := contrast(Color.parse(colours[text]), Color.parse(colours[below]))) < least
    }
    assert not weak


def theme_file(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_theme_takes_what_it_does_not_say_from_ours(tmp_path):
    theme = read_theme(theme_file(tmp_path, 'dark = false\nprimary = "red"\n[variables]\nborder = "#00ff00 50%"\n'))
    light = OWN[1]
    assert (theme.name, theme.dark, theme.primary, theme.background) == ("mine", False, "#FF0000", light.background)
    assert theme.variables["border"] == "#00ff00 50%"
    assert theme.variables["text-muted"] == light.variables["text-muted"]


def test_a_background_of_ones_own_gets_surfaces_that_go_with_it(tmp_path):
    theme = read_theme(theme_file(tmp_path, 'background = "#200020"\nforeground = "#ffffff"\nboost = "#300030"'))
    for layer in (theme.surface, theme.panel):
        assert 0 < luminance(Color.parse(layer or "")) - luminance(Color.parse("#200020")) < 0.05
    assert theme.variables["boost"] == "#300030"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("primary = 'blau'", "primary is 'blau'; it must be a colour such as '#79b8ff'"),
        ("primry = 'blue'", "'primry' is not a colour of a theme; there are primary, secondary"),
        ("dark = 'yes'", "dark is 'yes'; it must be true or false"),
        ("variables = 1", "variables must be a table"),
        ("[variables]\nbrder = 'red'", "there is no variable 'brder'"),
        ("[variables]\nborder = 'red; } * { display: none'", "which does not fit it"),
        ("[variables]\nborder = 'red 5x'", "which does not fit it"),
        ("[variables]\nlink-style = 'blinking'", "which does not fit it"),
        ("primary = ", "it cannot be read"),
    ],
)
def test_what_is_wrong_with_a_theme_is_told_with_its_file(tmp_path, text, told):
    path = theme_file(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        read_theme(path)
    assert str(error.value).startswith(f"{path}: ")
    assert told in str(error.value)
