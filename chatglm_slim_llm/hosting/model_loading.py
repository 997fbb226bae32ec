"""Which model is meant, brought in through the plugins' door: ours is a plugin as others are."""

from __future__ import annotations

from dataclasses import asdict

from langchain_core.language_models.chat_models import BaseChatModel

from chatglm_slim_llm.aside import begin, each_as, finished, waiting
from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import PluginLoadError
from chatglm_slim_llm.hosting.assistant import Progress
from chatglm_slim_llm.hosting.model import Model
from chatglm_slim_llm.llm import ChatGLMSlim
from chatglm_slim_llm.plugins import PluginSpec, plugin

_OURS = "chatglm-slim"
_FOREVER_S = 1e9


def load_model(options: LoadOptions, progress: Progress) -> Model:
    """The model that the options name, loaded.

    Raises:
        PluginError: the plugin is not on, or gives no chat model.
        CheckpointError: there is no such checkpoint.
    """
    llm = make_llm(options, progress)
    if isinstance(llm, ChatGLMSlim):
        from chatglm_slim_llm.hosting.own_model import OwnModel  # with torch, which models of others may not need

        return OwnModel(llm, progress)
    from chatglm_slim_llm.hosting.plugin_model import PluginModel

    return PluginModel(llm, options.plugin or _OURS)


def make_llm(options: LoadOptions, progress: Progress) -> BaseChatModel:
    """The chat model that the options name; ours is not loaded yet.

    Raises:
        PluginError: the plugin is not on, or gives no chat model.
    """
    return _of_plugin(options.plugin, progress) if options.plugin else _ours(options)


def _ours(options: LoadOptions) -> BaseChatModel:
    spec = plugin("models", _OURS)
    return _checked(spec.make(**asdict(options)), spec)


def _of_plugin(name: str, progress: Progress) -> BaseChatModel:
    spec, what = plugin("models", name), f"importing {name}"
    progress(what, 0, 0)
    making = waiting(begin(spec.make, spec.key), _FOREVER_S)
    return _checked(finished(each_as(making, lambda _: progress(what, 0, 0))), spec)


def _checked(made: object, spec: PluginSpec) -> BaseChatModel:
    if not isinstance(made, BaseChatModel):
        raise PluginLoadError(
            f"plugin {spec.key} ({spec.origin}) gave {type(made).__name__}; it must give a LangChain BaseChatModel",
            name=spec.name,
        )
    return made
