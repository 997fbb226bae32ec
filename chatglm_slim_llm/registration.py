"""Makes LangChain know this package by name, once somebody asks for it.

LangChain has no public way to add a provider: ``init_chat_model`` and ``init_embeddings`` look into tables of their
own, and ``load`` into lists of trusted names. Everything here is looked at before anything is changed.
"""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.llm_options import PROVIDER
from chatglm_slim_llm.weights import Weights

_PACKAGE = __name__.partition(".")[0]
_PROVIDERS = {"langchain.chat_models.base": "ChatGLMSlim", "langchain.embeddings.base": "ChatGLMSlimEmbeddings"}
_TABLE = "_BUILTIN_PROVIDERS"
_SERIALIZABLE = (("llm", "ChatGLMSlim"), ("completion", "ChatGLMSlimLLM"))
_registering = threading.Lock()
_kept: list[Weights] = []


def register() -> None:
    """Make LangChain know ``chatglm:...``, and ``load`` accept what ``dumps`` has written; once is enough.

    The weights of what LangChain made last by that name stay in memory until it makes another: a configurable model
    is made anew for each call, and would load them each time.

    Raises:
        ConfigError: this version of LangChain does not keep its providers where they can be added to.
    """
    with _registering:
        tables = {module: _table(module) for module in _PROVIDERS}
        load = import_module("langchain_core.load.load")
        namespaces, mapping = _part(load, "DEFAULT_NAMESPACES", list), _part(load, "ALL_SERIALIZABLE_MAPPINGS", dict)
        for module, table in tables.items():
            table[PROVIDER] = (_PACKAGE, _PROVIDERS[module], _make)
        if _PACKAGE not in namespaces:
            namespaces.append(_PACKAGE)
        for path in ((_PACKAGE, *names) for names in _SERIALIZABLE):
            mapping[path] = path
        getattr(load, "_default_class_paths_cache", {}).pop("all", None)  # made of the mapping when first used


def _make(cls: Any, **kwargs: Any) -> Any:
    """What the tables call to make a model."""
    made = cls(**kwargs)
    _kept[:] = [made._weights]
    return made


def _table(module: str) -> dict[str, Any]:
    table: dict[str, Any] = _part(import_module(module), _TABLE, dict)
    if not all(isinstance(entry, tuple) and len(entry) == 3 for entry in table.values()):
        raise _unknown(f"{module}.{_TABLE} has entries of another form")
    if PROVIDER in table and table[PROVIDER][0] != _PACKAGE:
        raise _unknown(f"{module}.{_TABLE} has a provider {PROVIDER!r} of {table[PROVIDER][0]}")
    return table


def _part(module: ModuleType, name: str, kind: type) -> Any:
    part = getattr(module, name, None)
    if not isinstance(part, kind):
        raise _unknown(f"{module.__name__}.{name} is no {kind.__name__}")
    return part


def _unknown(what: str) -> ConfigError:
    versions = ", ".join(f"{name} {version(name)}" for name in ("langchain", "langchain-core"))
    return ConfigError(
        f"{PROVIDER!r} cannot be made known to this LangChain ({versions}): {what}; make the objects themselves, "
        "ChatGLMSlim(model=...) and ChatGLMSlimEmbeddings(model=...), and give load() "
        f"allowed_objects=[ChatGLMSlim], valid_namespaces=[{_PACKAGE!r}]",
        key="register",
    )
