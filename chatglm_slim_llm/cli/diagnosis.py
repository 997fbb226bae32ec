"""The sections of ``chatglm-slim doctor``: facts as plain text, and the problems among them.

Asks no network and changes nothing.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TypedDict

from chatglm_slim_llm import __version__
from chatglm_slim_llm.checkpoint.pull import DEMO_FOLDER, find_folder, is_hub_id, missing_files
from chatglm_slim_llm.cli.machine import find_devices, find_processor
from chatglm_slim_llm.config import DEFAULT_HUB_ID, DEMO_MODEL, Folders, LoadOptions, Quantization
from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError
from chatglm_slim_llm.hosting.amounts import memory_needs, size_text
from chatglm_slim_llm.hosting.memory import find_memory

Table = dict[str, str]

_PACKAGES = (
    "torch",
    "transformers",
    "langchain",
    "langchain-core",
    "huggingface-hub",
    "safetensors",
    "sentencepiece",
    "numpy",
    "textual",
)
_EXTRAS = {"llguidance": "structured"}
"""Packages that an extra brings."""
_TELLING_VARIABLES = re.compile(
    r"CHATGLM_SLIM_.*|HF_.*|HUGGING.*|TRANSFORMERS_.*|TORCH_.*|PYTORCH_.*|CUDA_.*|OMP_.*|MKL_.*|XDG_.*_HOME|"
    r"(https?|all|no)_proxy|LANG|LC_.*|TERM|COLORTERM|NO_COLOR|PYTHON.*|VIRTUAL_ENV",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"TOKEN|KEY|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
_URL_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")


class Problem(TypedDict):
    """Something that will not work, and what to do about it."""

    found: str
    do: str


class Diagnosis(TypedDict):
    """Everything that the doctor says; the keys are those of ``--json``."""

    program: Table
    machine: Table
    folders: Table
    checkpoints: Table
    environment: Table
    problems: list[Problem]


@dataclass
class _Finding:
    rows: Table = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def diagnose(model: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Diagnosis:
    """Look at the program, the machine and the checkpoints; ``model`` is looked at more closely."""
    machine = _look_at_machine()
    options, problems = _options(model, environ)
    checkpoints = _look_at_checkpoints(options)
    return {
        "program": _look_at_program(),
        "machine": machine.rows,
        "folders": _look_at_folders(environ),
        "checkpoints": checkpoints.rows,
        "environment": _look_at_environment(environ),
        "problems": [*problems, *machine.problems, *checkpoints.problems],
    }


def _options(model: str | None, environ: Mapping[str, str]) -> tuple[LoadOptions, list[Problem]]:
    try:
        return LoadOptions.resolve(model, environ=environ), []
    except ConfigError as error:
        return LoadOptions(), [{"found": str(error), "do": f"correct or unset {error.source}"}]


def _look_at_program() -> Table:
    return {
        "chatglm-slim-llm": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        **{package: _version(package) for package in (*_PACKAGES, *_EXTRAS)},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        extra = _EXTRAS.get(package)
        return "not installed" + (f" (pip install 'chatglm-slim-llm[{extra}]')" if extra else "")


def _look_at_machine() -> _Finding:
    processor, memory = find_processor(), find_memory()
    devices, failure = find_devices()
    finding = _Finding(
        {
            "processor": f"{processor.name}, {processor.architecture}, {processor.usable_cores or '?'} cores",
            "instructions": " ".join(processor.features) or "unknown",
            "memory": f"{_size(memory.available_bytes)} available of {_size(memory.total_bytes)}",
            "devices": ", ".join(devices) or f"torch cannot be imported: {failure}",
        }
    )
    if not failure:
        _look_at_kernels(finding)
    if failure:
        finding.problems.append(
            {
                "found": f"torch cannot be imported: {failure}",
                "do": "install it again, for a machine without a GPU with: "
                "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cpu",
            }
        )
    return finding


def _look_at_kernels(finding: _Finding) -> None:
    """Whether the compiled kernels run, and on which threads."""
    from chatglm_slim_llm.kernels import instruction_set, shares_threads_with_torch, why_not

    reason = why_not()
    if reason is not None:
        finding.rows["kernels"] = f"torch only, much slower on a processor: {reason}"
        return
    finding.rows["kernels"] = f"compiled, {instruction_set()}"
    if not shares_threads_with_torch():
        finding.problems.append(
            {
                "found": "the compiled kernels and torch use two different OpenMP libraries, which fight for the cores",
                "do": "set CHATGLM_SLIM_KERNELS=torch, or install torch and this package again with pip",
            }
        )


def _size(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else size_text(size_bytes)


def _look_at_folders(environ: Mapping[str, str]) -> Table:
    from huggingface_hub.constants import HF_HUB_CACHE

    folders = Folders.of_user(environ)
    paths = {"settings": folders.config, "data": folders.data, "cache": folders.cache, "hub cache": Path(HF_HUB_CACHE)}
    table = {name: f"{path}{'' if path.exists() else ' (not there yet)'}" for name, path in paths.items()}
    packed = [path.stat().st_size for path in (folders.cache / "packed").glob("*.safetensors")]
    if packed:
        table["packed weights"] = f"{size_text(sum(packed))} in {folders.cache / 'packed'}; may be deleted"
    return table


def _look_at_environment(environ: Mapping[str, str]) -> Table:
    return {name: _shown(name, environ[name]) for name in sorted(environ) if _TELLING_VARIABLES.fullmatch(name)}


def _shown(name: str, value: str) -> str:
    """A value without what nobody else may know."""
    return "(set, hidden)" if _SECRET_NAME.search(name) and value else _URL_LOGIN.sub("…@", value)


def _look_at_checkpoints(options: LoadOptions) -> _Finding:
    """The bundled checkpoint, the 6B one, and the one that the options name."""
    finding = _Finding()
    for model in dict.fromkeys((DEMO_MODEL, DEFAULT_HUB_ID, options.model)):
        folder = find_folder(model)
        if folder is not None:
            _look_at_folder(finding, model, folder, options)
        elif model == DEFAULT_HUB_ID != options.model:
            finding.rows[model] = "not downloaded (chatglm-slim pull)"
        else:
            _miss(finding, model)
    return finding


def _miss(finding: _Finding, model: str) -> None:
    finding.rows[model] = "not on this machine"
    do = f"chatglm-slim pull {model}" if is_hub_id(model) else "give an existing folder, a hub id, or 'demo'"
    finding.problems.append({"found": f"{model} is not on this machine", "do": do})


def _look_at_folder(finding: _Finding, model: str, folder: Path, options: LoadOptions) -> None:
    if (fault := _find_fault(folder)) is not None:
        finding.rows[model] = f"BROKEN, in {folder}"
        finding.problems.append(fault)
        return
    size_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    needs = memory_needs(json.loads((folder / "config.json").read_bytes()), compiled=_has_kernels())
    shown = ", ".join(f"{level} {size_text(needed)}" for level, needed in needs.items())
    finding.rows[model] = f"ok, {size_text(size_bytes)} in {folder}; memory: {shown}"
    available = find_memory().available_bytes
    needed = needs.get(options.quantization, min(needs.values()))
    if model == options.model and available is not None and needed > available:
        finding.problems.append(_too_big(model, options.quantization, needed, available, needs))


def _too_big(model: str, level: str, needed: int, available: int, needs: Mapping[Quantization, int]) -> Problem:
    fitting = [name for name, size_bytes in needs.items() if size_bytes <= available]
    found = f"{model} at {level} needs {size_text(needed)} of memory, {size_text(available)} is available"
    if fitting:
        return {"found": found, "do": f"use --quantization {fitting[0]}, or close other programs"}
    return {"found": found, "do": "close other programs, or use the demo model"}


def _find_fault(folder: Path) -> Problem | None:
    """What keeps the checkpoint in ``folder`` from loading, as far as files, sizes and headers show it."""
    if absent := missing_files(folder):
        do = "install chatglm-slim-llm again" if folder == DEMO_FOLDER else "fetch it with: chatglm-slim pull"
        return {"found": f"{folder} has no {', no '.join(absent)}", "do": do}
    try:
        from chatglm_slim_llm.checkpoint.files import list_weights, refuse_lfs_pointer
        from chatglm_slim_llm.checkpoint.settings import read_config
    except (ImportError, OSError, RuntimeError):  # torch is broken, which is a problem of its own
        return None
    try:
        read_config(folder)
        refuse_lfs_pointer(folder / "ice_text.model")
        list_weights(folder)
    except ChatGLMSlimError as error:
        found, _, do = str(error).rpartition("; ")
        return {"found": found, "do": do} if found else {"found": do, "do": "fetch it again with: chatglm-slim pull"}
    return None


def _has_kernels() -> bool:
    try:
        from chatglm_slim_llm.kernels import why_not
    except (ImportError, OSError, RuntimeError):  # torch is broken, which is a problem of its own
        return False
    return why_not() is None
