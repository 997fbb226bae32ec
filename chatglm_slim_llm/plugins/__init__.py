"""Plugins: models, retrievers, loaders, embedders, tools and commands that packages and ``plugins.toml`` add.

Entry points say what is installed, ``plugins.toml`` what of it is on, in which order and with which options. Our own
come through the same door. Listing imports nothing of a plugin; using one imports that one. What a plugin has to look
like is the business of whoever asks for its group; GROUPS says it in a line.
"""

from typing import TYPE_CHECKING

from chatglm_slim_llm.lazily import lazily

if TYPE_CHECKING:
    from chatglm_slim_llm.plugins.calls import Ask, CommandCall, Insert, Turn
    from chatglm_slim_llm.plugins.choosing import catalogue, plugin, plugins, problems, survey
    from chatglm_slim_llm.plugins.spec import API_VERSION, GROUPS, PluginSpec, State

__all__ = [
    "API_VERSION",
    "GROUPS",
    "Ask",
    "CommandCall",
    "Insert",
    "PluginSpec",
    "State",
    "Turn",
    "catalogue",
    "plugin",
    "plugins",
    "problems",
    "survey",
]

_HOMES = {
    **dict.fromkeys(["Ask", "CommandCall", "Insert", "Turn"], "calls"),
    **dict.fromkeys(["catalogue", "plugin", "plugins", "problems", "survey"], "choosing"),
    **dict.fromkeys(["API_VERSION", "GROUPS", "PluginSpec", "State"], "spec"),
}
__getattr__, __dir__ = lazily(__name__, _HOMES)
