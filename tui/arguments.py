"""The words behind ``chatglm-tui``, and the settings that they stand for."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from chatglm_slim_llm import __version__
from chatglm_slim_llm.config import DEFAULT_HUB_ID
from chatglm_slim_llm.plugins.words import add_words
from tui import serve


def parser() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = _Parser(prog="chatglm-tui", description="Talk to ChatGLM-6B-Slim in the terminal.")
    parser.add_argument(
        "--model",
        help=f"'demo' (the bundled small model, the default), a folder with a checkpoint, a hub id"
        f" such as {DEFAULT_HUB_ID}, or plugin:NAME for a model of a plugin",
    )
    parser.add_argument("--quantization", metavar="LEVEL", help="fp16 (default), int8 or int4")
    parser.add_argument("--device", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--kv-cache-dtype", metavar="TYPE", help="keys and values: auto (default), fp16 or int8")
    parser.add_argument("--language", choices=["auto", "en", "zh"], help="language of the interface")
    parser.add_argument("--theme", help="chatglm-dark (default), chatglm-light, chatglm-contrast, or another one")
    parser.add_argument("--accessible", action="store_true", help="plain, for screen readers: no boxes, no animation")
    add_words(parser)
    serve.add_options(parser)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


class _Parser(argparse.ArgumentParser):
    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """A full disk or a reader that went away shows here, not when Python ends."""
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                super().exit(141)
            why = f"the output cannot be written ({error.strerror}); make room, or write it elsewhere"
            super().exit(1, f"{self.prog}: {why}\n")
        super().exit(status, message)


def settings_of(given: argparse.Namespace) -> dict[str, object]:
    """Settings by ``"group.name"``; ``None`` where nothing was said."""
    return {
        "load.model": given.model,
        "load.quantization": given.quantization,
        "load.device": given.device,
        "load.kv_cache_dtype": given.kv_cache_dtype,
        "interface.language": given.language,
        "interface.theme": given.theme,
        "interface.accessible": given.accessible or None,
    }
