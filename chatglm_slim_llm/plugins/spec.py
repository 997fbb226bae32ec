"""One plugin: where it is, whether it may be used, and how it is brought in."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from threading import RLock, current_thread, main_thread
from types import ModuleType
from typing import Any, Literal

from chatglm_slim_llm.errors import ConfigError, PluginLoadError
from chatglm_slim_llm.plugins.printing import printing_aside

API_VERSION = 1
"""The version of what plugins are given and have to be. A plugin's module may say ``CHATGLM_SLIM_API = 1``."""

GROUPS = {
    "models": "(**options) -> a LangChain BaseChatModel",
    "retrievers": "(**options) -> a LangChain BaseRetriever",
    "loaders": "(path, **options) -> an iterator of the file's sections; the plugin's name is the file's suffix",
    "embedders": "(what it is to load, or None, **options) -> an embedder of texts",
    "tools": "a LangChain BaseTool, or (**options) -> one or several",
    "commands": "(call, **options) -> a text to show, Ask or Insert",
}
"""The kinds of plugin, and what the target of each is."""

State = Literal["on", "off", "new", "untrusted", "broken"]

_VERSION = re.compile(r"^CHATGLM_SLIM_API\s*(?::\s*\w+\s*)?=\s*(\d+)", re.MULTILINE)
_LOCKS: dict[str, RLock] = {}


@dataclass(frozen=True)
class PluginSpec:
    """A plugin before anything of it was imported."""

    group: str
    name: str
    target: str
    """``package.module:attribute``, or ``file.py:attribute`` relative to ``plugins.toml``."""
    distribution: str = ""
    """The installed package that offers it; empty if its target stands in ``plugins.toml``."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Keywords that ``plugins.toml`` gives."""
    description: str = ""
    """What ``plugins.toml`` says that it does."""
    file: Path | None = None
    """The ``plugins.toml`` that has a table for it."""
    state: State = "on"
    """``new``: a package of others offers it, and nobody has enabled it yet."""
    reason: str = ""
    """Why it is not on, and what to do about it."""

    @property
    def key(self) -> str:
        """``tools.weather``: its table in ``plugins.toml``."""
        return f"{self.group}.{self.name}"

    @property
    def origin(self) -> str:
        """Whose it is, in words."""
        return f"package {self.distribution}" if self.distribution else f"file {self.file}"

    @property
    def word(self) -> str:
        """The key as a shell takes it: others choose the names, and people copy the commands that we tell them."""
        return shlex.quote(self.key)

    @property
    def module(self) -> str:
        """The target's module, or its file."""
        return self.target.rpartition(":")[0]  # the last one, as the path of a file may begin with C:

    @property
    def attribute(self) -> str:
        """The target's name in its module."""
        return self.target.rpartition(":")[2]

    @property
    def path(self) -> Path | None:
        """The file beside ``plugins.toml`` that is its target; ``None`` if it is a module."""
        if not self.module.endswith(".py"):
            return None
        return (self.file.parent if self.file else Path()) / os.path.expanduser(self.module)  # noqa: PTH111

    def load(self) -> Any:
        """Import the plugin's module and give what its target names. What it prints goes to stderr.

        Raises:
            PluginLoadError: that failed, in whatever way; the cause is chained.
        """
        try:
            if not self.attribute or not self.module:
                raise ValueError("a target is written as package.module:attribute")
            with printing_aside():
                found: Any = self._module(self.module)
                for part in self.attribute.split("."):
                    found = getattr(found, part)
        except PluginLoadError:
            raise
        except BaseException as error:  # the code of others may do anything when it is imported
            raise self._failed("cannot be loaded", error) from error
        return found

    def function(self) -> Callable[..., Any]:
        """What the target names, loaded and with the options of ``plugins.toml`` as keywords.

        Raises:
            PluginLoadError: it cannot be loaded, or is nothing that can be called.
            ConfigError: it takes no such options.
        """
        from chatglm_slim_llm.plugins.options import checked_options

        found = self.load()
        if not callable(found):
            raise PluginLoadError(
                f"plugin {self.key} ({self.origin}) is {type(found).__name__} at {self.target};"
                f" it must be {GROUPS.get(self.group, 'a function')}",
                name=self.name,
            )
        options = checked_options(self, found)
        return partial(found, **options) if options else found

    def make(self, **given: object) -> Any:
        """Call it, for plugins whose call makes what is used: models, retrievers, tools.

        Args:
            given: keywords that come before the options of ``plugins.toml``.

        Raises:
            PluginLoadError: it cannot be loaded or made, in whatever way.
            ConfigError: it takes no such options.
        """
        function = self.function()
        try:
            with printing_aside():
                return function(**given)
        except ConfigError as error:
            if given:  # it may be about what the caller has said
                raise
            what = f"plugin {self.key} ({self.origin}): {error}"
            raise ConfigError(what, key=error.key, source=str(self.file or self.origin)) from error
        except BaseException as error:
            raise self._failed("cannot be started", error) from error

    def _module(self, module: str) -> ModuleType:
        if self.path is not None:
            return _file_module(self.path, self._refuse_newer)
        parent = module.rpartition(".")[0]
        if parent:  # imported by find_spec all the same
            import_module(parent)
        found = sys.modules.get(module)
        if found is None and (spec := find_spec(module)) is not None:
            self._refuse_newer(_source_of(spec))
        return found or import_module(module)

    def _refuse_newer(self, source: str) -> None:
        """Before its import can fail because of it."""
        wanted = _VERSION.search(source)
        if wanted and int(wanted[1]) > API_VERSION:
            raise PluginLoadError(
                f"plugin {self.key} ({self.origin}) needs version {wanted[1]} of the plugin interface, this is version"
                f" {API_VERSION}; upgrade chatglm-slim-llm, or take an older version of the plugin",
                name=self.name,
            )

    def _failed(self, what: str, error: BaseException) -> PluginLoadError:
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise error  # a person's
        cause = f"{type(error).__name__}: {error}".strip().rstrip(":")
        return PluginLoadError(
            f"plugin {self.key} ({self.origin}) {what}: {self.target}: {cause};"
            f" repair or update it, or switch it off with: chatglm-slim plugins disable {self.word}",
            name=self.name,
        )


def _source_of(spec: ModuleSpec) -> str:
    """Its text, from wherever it lies, such as a zip; empty if there is none, or it cannot be read."""
    try:
        return getattr(spec.loader, "get_source", lambda name: "")(spec.name) or ""
    except (ImportError, OSError):  # the import tells better what is wrong
        return ""


def _file_module(path: Path, check: Callable[[str], None]) -> ModuleType:
    """The module of a file by itself; imported once a process."""
    path = path.resolve()
    name = f"chatglm_slim_plugin_{sha256(str(path).encode()).hexdigest()[:12]}"
    with _LOCKS.setdefault(name, RLock()):  # two plugins of one file: neither may see it half imported
        return sys.modules.get(name) or _imported(path, name, check)


def _imported(path: Path, name: str, check: Callable[[str], None]) -> ModuleType:
    check(path.read_text("utf-8", errors="replace"))
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = sys.modules[name] = module_from_spec(spec)  # dataclasses look their module up while it is run
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
