"""The commands and the Python names, in an empty environment."""

from __future__ import annotations

from release.contents import is_pure
from release.environment import Environment, want

_NAMES = """
import chatglm_slim_llm
for name in chatglm_slim_llm.__all__:
    getattr(chatglm_slim_llm, name)
print(chatglm_slim_llm.__file__, chatglm_slim_llm.__version__, *chatglm_slim_llm.__all__)
"""
_INVOKE = """
from chatglm_slim_llm import ChatGLMSlim
message = ChatGLMSlim(temperature=0).invoke("你好")
print(type(message).__name__, message.response_metadata["finish_reason"], message.text)
"""


def versions(place: Environment) -> str:
    """Both commands tell the version in the wheel's name."""
    for name in ("chatglm-slim", "chatglm-tui"):
        told = place.run(name, "--version").strip()
        want(told == f"{name} {place.version}", f"{name} --version says {told!r}, the wheel is of {place.version}")
    return place.version


def names(place: Environment) -> str:
    """All public names can be had, from the installed package."""
    file, version, *found = place.python(_NAMES).split()
    want(file.startswith(str(place.folder)), f"chatglm_slim_llm came from {file}, outside the environment")
    want(version == place.version, f"__version__ is {version}, the wheel is of {place.version}")
    want("ChatGLMSlim" in found, f"the public names are {found}")
    return f"{len(found)} names"


def doctor(place: Environment) -> str:
    """`doctor` finds no problem, and the compiled kernels in use where the wheel has them."""
    told = place.json("chatglm-slim", "doctor", "--json")
    kernels = str(told["machine"]["kernels"])
    wanted = "torch only" if is_pure(place.wheel) else "compiled, "
    want(kernels.startswith(wanted), f"doctor says {kernels!r} of the kernels, not {wanted!r}")
    want(not told["problems"], f"doctor finds problems: {told['problems']}")
    return kernels


def plugins(place: Environment) -> str:
    """Our own plugins are on, and the shipped `plugins.toml`, which alone describes them, came along."""
    told = place.json("chatglm-slim", "plugins", "list", "--json")
    want(told["file"].startswith(str(place.folder)), f"the plugins come from {told['file']}, outside the environment")
    states = {f"{plugin['group']}.{plugin['name']}": plugin["state"] for plugin in told["plugins"]}
    want(states.get("models.chatglm-slim") == "on", f"our own model is not on: {states}")
    want("broken" not in states.values(), f"some plugins are broken: {states}")
    want(
        any(plugin["description"] for plugin in told["plugins"]), "no plugin has a description: no plugins.toml is read"
    )
    return f"{len(states)} plugins"


def chat(place: Environment) -> str:
    """The demo model answers a greeting with one."""
    answer = place.run("chatglm-slim", "chat", "你好").strip()
    want("你好" in answer, f"the answer to 你好 is {answer!r}")
    return answer


def invoke(place: Environment) -> str:
    """The LangChain model answers without any argument."""
    kind, reason, answer = place.python(_INVOKE).strip().split(maxsplit=2)
    want((kind, reason) == ("AIMessage", "stop"), f"invoke gave {kind}, ended by {reason}: {answer}")
    want("你好" in answer, f"the answer to 你好 is {answer!r}")
    return answer


def documents(place: Environment) -> str:
    """A folder is indexed and searched; needs the extra ``rag``."""
    folder = place.folder / "documents"
    folder.mkdir()
    (folder / "night.md").write_text("# Night\n\nThe night train to Lanzhou leaves at 21:40 from platform 7.\n")
    (folder / "bread.txt").write_text("Bread needs flour, water, salt and an hour of patience.\n")
    place.run("chatglm-slim", "index", str(folder), "--kb", "smoke")
    found = place.run("chatglm-slim", "search", "when does the train leave", "--kb", "smoke")
    want("21:40" in found, f"the search found {found!r}")
    return "indexed and found"
