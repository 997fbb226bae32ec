"""What can be set about the program: values, the file they are read from, and how one is written into it."""

from tui.settings.loading import load, settings_path
from tui.settings.saving import change, save
from tui.settings.values import ENVIRONMENT, Interface, LoadedSettings, Origin, Program, Settings, hints

__all__ = [
    "ENVIRONMENT",
    "Interface",
    "LoadedSettings",
    "Origin",
    "Program",
    "Settings",
    "change",
    "hints",
    "load",
    "save",
    "settings_path",
]
