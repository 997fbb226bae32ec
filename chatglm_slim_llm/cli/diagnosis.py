"""The sections of ``chatglm-slim doctor``: facts as plain text, and the problems among them.

Asks no network and changes nothing.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, cast

from chatglm_slim_llm import __version__
from chatglm_slim_llm.checkpoint.pull import DEMO_FOLDER, find_folder, is_hub_id, missing_files
from chatglm_slim_llm.cli.concealing import concealed, is_secret, secrets
from chatglm_slim_llm.cli.installed import find_installed
from chatglm_slim_llm.cli.kept import find_kept
from chatglm_slim_llm.cli.machine import find_devices, find_processor
from chatglm_slim_llm.config import DEFAULT_HUB_ID, DEMO_MODEL, Folders, LoadOptions, Quantization
from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError
from chatglm_slim_llm.hosting.amounts import memory_needs, size_text
from chatglm_slim_llm.hosting.memory import find_memory
from chatglm_slim_llm.plugins import GROUPS, survey
from chatglm_slim_llm.plugins.tables import file_in_use, shipped_file

Table = dict[str, str]

_BROKEN_TORCH = (ImportError, OSError, RuntimeError)
"""What importing it may raise; it is told once, as a problem of its own."""
_TELLING_VARIABLES = re.compile(
    r"CHATGLM_SLIM_.*|HF_.*|HUGGING.*|TRANSFORMERS_.*|TORCH_.*|PYTORCH_.*|CUDA_.*|OMP_.*|MKL_.*|XDG_.*_HOME|"
    r"(https?|all|no)_proxy|LANG|LC_.*|TERM|COLORTERM|NO_COLOR|PYTHON.*|VIRTUAL_ENV",
    re.IGNORECASE,
)


class Problem(TypedDict):
    """Something that will not work, and what to do about it."""

    found: str
    do: str


class Diagnosis(TypedDict):
    """Everything that the doctor says; the keys are those of ``--json``."""

    program: Table
    packages: Table
    extras: Table
    machine: Table
    folders: Table
    files: Table
    plugins: Table
    checkpoints: Table
    environment: Table
    problems: list[Problem]


@dataclass
class _Finding:
    rows: Table = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def diagnose(model: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Diagnosis:
    """Look at the program, the machine and the checkpoints; ``model`` is looked at more closely.

    What comes back may be shown to anybody: it holds no secrets, and the user's own folder is ``~``.
    """
    machine, installed, kept = _look_at_machine(), find_installed(), find_kept(environ)
    options, wrong = _options(model, environ)
    checkpoints, added = _look_at_checkpoints(options), _look_at_plugins()
    found = [*wrong, *_problems(installed.problems), *machine.problems, *_misfits(options), *_problems(kept.problems)]
    diagnosis: Diagnosis = {
        "program": _look_at_program(),
        "packages": installed.packages,
        "extras": installed.extras,
        "machine": machine.rows,
        "folders": kept.folders,
        "files": kept.files,
        "plugins": added.rows,
        "checkpoints": checkpoints.rows,
        "environment": _look_at_environment(environ),
        "problems": [*found, *added.problems, *checkpoints.problems],
    }
    hidden = secrets(environ, [file_in_use(), Folders.of_user(environ).config / "settings.toml"])
    return cast(Diagnosis, concealed(diagnosis, hidden, Path.home()))


def _problems(found: Iterable[tuple[str, str]]) -> list[Problem]:
    return [{"found": what, "do": do} for what, do in found]


def _options(model: str | None, environ: Mapping[str, str]) -> tuple[LoadOptions, list[Problem]]:
    try:
        return LoadOptions.resolve(model, environ=environ), []
    except ConfigError as error:
        return LoadOptions(), [{"found": str(error), "do": f"correct or unset {error.source}"}]


def _misfits(options: LoadOptions) -> list[Problem]:
    """Options that no model here could follow."""
    try:
        from chatglm_slim_llm.checkpoint import pick_device
        from chatglm_slim_llm.weights import want_kernels

        want_kernels(pick_device(options.device), options.kv_cache_dtype)
    except ConfigError as error:
        return [{"found": str(error), "do": f"correct or unset CHATGLM_SLIM_{error.key.upper()}"}]
    except _BROKEN_TORCH:
        pass
    return []


def _look_at_program() -> Table:
    return {
        "chatglm-slim-llm": f"{__version__}, in {Path(__file__).parents[1]}",
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
    }


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
    from chatglm_slim_llm.kernels import (
        ignored_choice,
        instruction_set,
        library,
        shares_threads_with_torch,
        why_not,
    )

    reason = why_not()
    if reason is not None:
        finding.rows["kernels"] = f"torch only, much slower on a processor: {reason}"
        return
    compiled = library()
    assert compiled is not None, "there is a reason where there is no library"
    threads = compiled.chatglm_max_threads()
    finding.rows["kernels"] = f"compiled, {instruction_set()}, {threads} threads, {Path(compiled._name).name}"
    if (wanted := ignored_choice()) is not None:
        finding.problems.append(
            {
                "found": f"CHATGLM_SLIM_KERNELS is {wanted}, which is not to be had here; {instruction_set()} is used",
                "do": "unset it, or set it to avx2, portable or torch",
            }
        )
    if not shares_threads_with_torch():
        finding.problems.append(
            {
                "found": "the compiled kernels and torch use two different OpenMP libraries, which fight for the cores",
                "do": "set CHATGLM_SLIM_KERNELS=torch, or install torch and this package again with pip",
            }
        )


def _size(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else size_text(size_bytes)


def _look_at_plugins() -> _Finding:
    """How many of each group there are in which state, and those that are broken; none of them is imported."""
    finding = _Finding({"plugins.toml": f"{file_in_use()}{' (as shipped)' if file_in_use() == shipped_file() else ''}"})
    known, wrong = survey()
    for group in GROUPS:
        counts = Counter(spec.state for spec in known if spec.group == group)
        finding.rows[group] = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
    for spec in known:
        if spec.state == "broken":
            found = f"plugin {spec.key} ({spec.origin}) is broken: {spec.reason}"
            finding.problems.append(_told(found, f"chatglm-slim plugins show {spec.key}"))
    finding.problems += [_told(each, "correct the file, or see: chatglm-slim plugins doctor") for each in wrong]
    return finding


def _told(sentence: str, do: str) -> Problem:
    """A sentence that may end with what to do, and what to do where it does not."""
    found, _, own = sentence.partition("; ")
    return {"found": found, "do": own or do}


def _look_at_environment(environ: Mapping[str, str]) -> Table:
    return {name: _shown(name, environ[name]) for name in sorted(environ) if _TELLING_VARIABLES.fullmatch(name)}


def _shown(name: str, value: str) -> str:
    """A value without what nobody else may know."""
    return "(set, hidden)" if is_secret(name) and value else value


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
    config = json.loads((folder / "config.json").read_bytes())
    needs = memory_needs(config, compiled=_has_kernels(), kv_cache_dtype=options.kv_cache_dtype)
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
    except _BROKEN_TORCH:
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
    except _BROKEN_TORCH:
        return False
    return why_not() is None
