"""The words behind ``chatglm-tui``, and the settings that they stand for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from chatglm_slim_llm import __version__
from chatglm_slim_llm.config import DEFAULT_HUB_ID
from chatglm_slim_llm.errors import ConfigError
from tui import serve

VARIABLE = "CHATGLM_SLIM_PLUGINS"
"""Names the ``plugins.toml`` that is used."""


def parser() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(prog="chatglm-tui", description="Talk to ChatGLM-6B-Slim in the terminal.")
    parser.add_argument(
        "--model",
        help=f"'demo' (the bundled small model, the default), a folder with a checkpoint, a hub id"
        f" such as {DEFAULT_HUB_ID}, or plugin:NAME for a model of a plugin",
    )
    parser.add_argument("--quantization", metavar="LEVEL", help="fp16 (default), int8 or int4")
    parser.add_argument("--device", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--language", choices=["auto", "en", "zh"], help="language of the interface")
    parser.add_argument("--theme", help="chatglm-dark (default), chatglm-light, chatglm-contrast, or another one")
    parser.add_argument("--accessible", action="store_true", help="plain, for screen readers: no boxes, no animation")
    plugins = parser.add_mutually_exclusive_group()
    plugins.add_argument(
        "--plugins", metavar="FILE", help="the plugins.toml to use, in place of the one of this folder or of yours"
    )
    plugins.add_argument("--no-plugins", action="store_true", help="start with no plugins but those that we ship")
    serve.add_options(parser)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def use_plugins(given: argparse.Namespace) -> None:
    """Have this program, and the processes that it starts, read another ``plugins.toml``, or none.

    Raises:
        ConfigError: there is no such file.
    """
    if given.no_plugins:
        os.environ[VARIABLE] = os.devnull
    elif given.plugins is not None:
        file = Path(given.plugins).expanduser().absolute()
        if not file.is_file():
            raise ConfigError(
                f"{file} is no file; give a plugins.toml, or --no-plugins to start without",
                key="plugins",
                source="--plugins",
            )
        os.environ[VARIABLE] = str(file)


def settings_of(given: argparse.Namespace) -> dict[str, object]:
    """Settings by ``"group.name"``; ``None`` where nothing was said."""
    return {
        "load.model": given.model,
        "load.quantization": given.quantization,
        "load.device": given.device,
        "interface.language": given.language,
        "interface.theme": given.theme,
        "interface.accessible": given.accessible or None,
    }
