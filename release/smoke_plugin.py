"""The plugin of the tutorial, ``examples/plugin``, installed beside the wheel and used."""

from __future__ import annotations

import shutil

from release import ROOT
from release.environment import Environment, want

EXAMPLE = ROOT / "examples" / "plugin"
_PLUGINS = ("models.parrot", "tools.notes", "commands.count")
_COUNT = """
from chatglm_slim_llm.plugins import CommandCall, plugin
print(plugin("commands", "count").function()(CommandCall("你好")))
"""


def tutorial_plugin(place: Environment) -> str:
    """A copy is installed, is off until it is enabled, and then its model and its command work."""
    copy = shutil.copytree(EXAMPLE, place.folder / "my-plugin", ignore=shutil.ignore_patterns("*.egg-info", "build"))
    place.install(copy)
    want(set(_states(place).values()) == {"new"}, f"before it is enabled, its plugins are {_states(place)}")
    for name in _PLUGINS:
        place.run("chatglm-slim", "plugins", "enable", name)
    want(set(_states(place).values()) == {"on"}, f"after it is enabled, its plugins are {_states(place)}")
    place.run("chatglm-slim", "plugins", "doctor", *(name.partition(".")[2] for name in _PLUGINS))
    said = place.run("chatglm-slim", "chat", "--model", "plugin:parrot", "hello there").strip()
    want(said == "hello there", f"the parrot says {said!r}")
    counted = place.python(_COUNT).strip()
    want(counted == "2 characters", f"/count 你好 says {counted!r}")
    return "installed, enabled, used"


def _states(place: Environment) -> dict[str, str]:
    told = place.json("chatglm-slim", "plugins", "list", "--json")["plugins"]
    states = {f"{plugin['group']}.{plugin['name']}": plugin["state"] for plugin in told}
    return {name: states.get(name, "not there") for name in _PLUGINS}
