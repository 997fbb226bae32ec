"""Colours: themes of our own, Textual's, and those of the user, which change on the screen as their file is saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textual.app import App
from textual.color import Color, ColorParseError
from textual.css.constants import VALID_STYLE_FLAGS
from textual.theme import Theme

from chatglm_slim_llm.errors import ConfigError
from tui.language import tr
from tui.reasons import told

DARK, LIGHT, CONTRAST = "chatglm-dark", "chatglm-light", "chatglm-contrast"
_POLL_S = 1.0
_COLOURS = (
    *("primary", "secondary", "accent", "success", "warning", "error"),
    *("foreground", "background", "surface", "panel", "boost"),
)


def _on(colour: str, *, muted: str, faint: str) -> dict[str, str]:
    """What lies on the bright colours, and quiet text, which Textual would make by guess."""
    return {
        "text-muted": muted,
        "text-disabled": faint,
        "foreground-muted": muted,
        "block-cursor-foreground": colour,
        "button-color-foreground": colour,
        "link-color-hover": colour,
    }


OWN = (
    Theme(
        DARK,
        primary="#79b8ff",
        secondary="#8fb3c9",
        accent="#f2c078",
        success="#86cf9f",
        warning="#ecc976",
        error="#f58e90",
        foreground="#dde4ee",
        background="#11151b",
        surface="#181d25",
        panel="#232a35",
        variables={
            **_on("#11151b", muted="#9aa7b8", faint="#8793a4"),
            "boost": "#1d232c",
            "footer-background": "#181d25",
            "footer-description-foreground": "#9aa7b8",
            "input-selection-background": "#2f4b6e",
            "block-cursor-blurred-background": "#2a3543",
            "border-blurred": "#303947",
        },
    ),
    Theme(
        LIGHT,
        primary="#0a5cad",
        secondary="#2f6580",
        accent="#8f4a00",
        success="#1d6b3a",
        warning="#7d5200",
        error="#b3202e",
        foreground="#1c2530",
        background="#fbfbfa",
        surface="#f1f2f3",
        panel="#e4e8ec",
        dark=False,
        variables={
            **_on("#ffffff", muted="#55606e", faint="#59636f"),
            "boost": "#eef1f4",
            "footer-background": "#f1f2f3",
            "footer-description-foreground": "#55606e",
            "input-selection-background": "#bcd8f5",
            "block-cursor-blurred-background": "#d5e2ef",
            "border-blurred": "#c9d0d8",
        },
    ),
    Theme(
        CONTRAST,
        primary="#6fd0ff",
        secondary="#a8e0ff",
        accent="#ffe14d",
        success="#7dff9b",
        warning="#ffd24d",
        error="#ff9c9c",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1c1c1c",
        variables={
            **_on("#000000", muted="#d6d6d6", faint="#bdbdbd"),
            "boost": "#141414",
            "footer-background": "#000000",
            "footer-description-foreground": "#ffffff",
            "input-selection-background": "#004a80",
            "block-cursor-blurred-background": "#303030",
            "border-blurred": "#a0a0a0",
        },
    ),
)


class UserThemes:
    """The themes of a folder, one TOML file each; the file's name is the theme's."""

    def __init__(self, app: App[Any], folder: Path) -> None:
        self._app, self._folder = app, folder
        self._taken = set(app.available_themes)
        self._seen: dict[Path, tuple[int, int]] = {}

    def read(self) -> tuple[str, ...]:
        """Register what is new or has changed; returns what is wrong, one sentence for each file."""
        seen = _stamps(self._folder)
        changed = [path for path, stamp in seen.items() if self._seen.get(path) != stamp]
        self._seen = seen
        return tuple(filter(None, map(self._register, changed)))

    def _register(self, path: Path) -> str:
        try:
            if path.stem in self._taken:
                raise _wrong(path, "a theme of this name comes with the program; rename the file")
            theme = read_theme(path)
        except ConfigError as error:
            return str(error)
        self._app.register_theme(theme)
        if self._app.theme == theme.name:
            self._app._watch_theme(theme.name)  # the name is the same, so setting it would change nothing
        return ""

    def poll(self) -> None:
        """Show what has been saved since; a broken file is told, and the colours before it stay."""
        for problem in self.read():
            self._app.notify(told(problem), title=tr("Theme"), severity="error", timeout=15, markup=False)


def install(app: App[Any], folder: Path) -> tuple[str, ...]:
    """Register our themes and the user's, and watch these while the app runs; returns what is wrong with them."""
    for theme in OWN:
        app.register_theme(theme)
    user = UserThemes(app, folder)
    problems = user.read()
    app.set_interval(_POLL_S, user.poll, name="themes")
    return problems


def read_theme(path: Path) -> Theme:
    """The theme that a file describes; what it leaves out comes from our dark theme, or from our light one.

    Raises:
        ConfigError: it cannot be read, or a name or a colour in it is not one.
    """
    import tomllib  # only those who made a theme wait for it

    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _wrong(path, f"it cannot be read ({_why(error)})") from error
    dark, variables = table.pop("dark", True), table.pop("variables", {})
    if not isinstance(dark, bool):
        raise _wrong(path, f"dark is {dark!r}; it must be true or false", "dark")
    if not isinstance(variables, dict):
        raise _wrong(path, "variables must be a table", "variables")
    base = OWN[0 if dark else 1]
    colours = {name: _colour(path, name, value) for name, value in table.items()}
    if "background" in colours:
        theme = Theme(path.stem, **{**_own(base), **_layers(base, colours), **colours}, dark=dark)
        given = {"text-muted": "auto 70%"}
    else:
        theme = Theme(path.stem, **{**_own(base), **colours}, dark=dark)
        given = base.variables
    boost = {"boost": str(theme.boost)} if theme.boost else {}  # Textual drops it where there is a panel
    theme.variables = {**given, **boost, **_variables(path, theme, variables)}
    return theme


def _own(base: Theme) -> dict[str, Any]:
    return {name: getattr(base, name) for name in _COLOURS}


def _layers(base: Theme, colours: Mapping[str, str]) -> dict[str, str]:
    """Surfaces that go with a background of one's own."""
    below, ink = Color.parse(colours["background"]), Color.parse(colours.get("foreground", base.foreground or "white"))
    strengths = {"surface": 0.04, "boost": 0.06, "panel": 0.1}
    return {name: below.blend(ink, strength).hex for name, strength in strengths.items()}


def _wrong(path: Path, what: str, key: str = "theme") -> ConfigError:
    return ConfigError(f"{path}: {what}", key=key, source=str(path))


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    stamps = {}
    for path in folder.glob("*.toml"):
        try:
            facts = path.stat()
        except OSError:  # it went away in between
            continue
        stamps[path] = facts.st_mtime_ns, facts.st_size
    return stamps


def _colour(path: Path, name: str, value: object) -> str:
    if name not in _COLOURS:
        known = ", ".join(_COLOURS)
        raise _wrong(path, f"{name!r} is not a colour of a theme; there are {known}, and dark and variables", name)
    try:
        return Color.parse(str(value)).hex
    except ColorParseError:
        raise _wrong(path, f"{name} is {value!r}; it must be a colour such as '#79b8ff'", name) from None


def _variables(path: Path, theme: Theme, given: Mapping[str, object]) -> dict[str, str]:
    known = theme.to_color_system().generate()
    for name, value in given.items():
        if name not in known:
            raise _wrong(path, f"there is no variable {name!r}", name)
        if not (_is_style(str(value)) if name.endswith("-style") else _is_shade(str(value))):
            raise _wrong(path, f"the variable {name} is {value!r}, which does not fit it", name)
    return {name: str(value) for name, value in given.items()}


def _is_style(value: str) -> bool:
    return all(word in VALID_STYLE_FLAGS for word in value.split())


def _is_shade(value: str) -> bool:
    """A colour, or ``auto``, and perhaps how strongly it covers."""
    colour, _, strength = value.strip().partition(" ")
    if strength and not (strength.endswith("%") and strength[:-1].strip().isdecimal()):
        return False
    try:
        return colour == "auto" or bool(Color.parse(colour))
    except ColorParseError:
        return False
