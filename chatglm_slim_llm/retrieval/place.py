"""Where knowledge bases are: by name in the user's own folder, or at a path."""

from __future__ import annotations

import os
import re
from pathlib import Path

from chatglm_slim_llm.config import Folders
from chatglm_slim_llm.errors import ConfigError

_NAME = re.compile(r"\w[\w .-]{0,99}")
_SUFFIX = ".db"


def knowledge_base_path(path_or_name: str | os.PathLike[str]) -> Path:
    """The file of a knowledge base.

    Args:
        path_or_name: a name such as ``notes``, for a file in the user's data folder (``CHATGLM_SLIM_HOME`` moves it);
            or a path: anything with a separator in it, or that ends in ``.db``.

    Raises:
        ConfigError: it is neither.
    """
    if not isinstance(path_or_name, str):
        return Path(path_or_name).absolute()
    if path_or_name.endswith(_SUFFIX) or set(path_or_name) & {os.sep, os.altsep}:
        return Path(path_or_name).expanduser().absolute()
    if not _NAME.fullmatch(path_or_name):
        raise ConfigError(
            f"{path_or_name!r} is no name of a knowledge base; give letters, digits, spaces, '.', '_' and '-',"
            " or the path of its file",
            key="kb",
        )
    return _folder() / f"{path_or_name}{_SUFFIX}"


def knowledge_base_names() -> list[str]:
    """The names of the knowledge bases in the user's data folder."""
    return sorted(path.stem for path in _folder().glob(f"*{_SUFFIX}"))


def _folder() -> Path:
    return Folders.of_user().data / "knowledge"
