"""The models of plugins, as the model picker shows them; nothing of a plugin is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chatglm_slim_llm.config import PLUGIN
from tui.plugin_list import OURS, PluginList, about, read
from tui.wrapping import visible


@dataclass(frozen=True)
class PluginModel:
    """A model that a plugin makes: it has no level, no device and no files of ours."""

    model: str
    """What ``LoadOptions.model`` is to be."""
    name: str
    about: str
    reason: str = ""
    """Why it cannot be chosen; empty if it can."""


def is_of_plugin(model: str) -> bool:
    """Whether a model comes from a plugin."""
    return model.startswith(PLUGIN)


def find_plugin_models(plugins: Callable[[], PluginList] = read) -> list[PluginModel]:
    """The models of plugins that are not ours; those that can be chosen first."""
    specs = [spec for spec in plugins().of("models") if spec.distribution != OURS]
    found = [PluginModel(f"{PLUGIN}{spec.name}", visible(spec.name), about(spec), spec.reason) for spec in specs]
    return sorted(found, key=lambda model: bool(model.reason))
