"""What the commands that run a model share: the options that choose it, and its download if it is not here."""

from __future__ import annotations

import argparse

from chatglm_slim_llm.cli.asking import asks_yes, can_ask
from chatglm_slim_llm.config import DEFAULT_HUB_ID, LoadOptions
from chatglm_slim_llm.errors import CheckpointNotFoundError
from chatglm_slim_llm.hosting.amounts import size_text
from chatglm_slim_llm.plugins import plugin


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``options_of`` and ``bring_model`` want to know."""
    parser.add_argument("--yes", action="store_true", help="download a model that is not on this machine, unasked")
    load = parser.add_argument_group("model")
    load.add_argument(
        "--model", help="'demo', a checkpoint folder, a hub id, or plugin:NAME (default: $CHATGLM_SLIM_MODEL or demo)"
    )
    add_how_to_load(load)


def add_how_to_load(group: argparse._ArgumentGroup) -> None:
    """Add what ``options_of`` wants to know beside the model."""
    group.add_argument("--quantization", metavar="LEVEL", help="fp16, int8 or int4 (default: fp16)")
    group.add_argument("--device", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    group.add_argument("--kv-cache-dtype", metavar="TYPE", help="keys and values: auto, fp16 or int8 (default: auto)")


def options_of(args: argparse.Namespace) -> LoadOptions:
    """What was said about the model, else the environment or the defaults.

    Raises:
        ConfigError: a value is not usable.
    """
    return LoadOptions.resolve(args.model, args.quantization, args.device, args.kv_cache_dtype)


def bring_model(options: LoadOptions, *, is_agreed: bool) -> None:
    """Download a hub id that is not on this machine, if the user wants that.

    Raises:
        CheckpointNotFoundError: it is not here, and nobody agreed to its download.
        PluginError: it is of a plugin that is not on.
    """
    if options.plugin:
        plugin("models", options.plugin)
        return
    model = options.model
    from chatglm_slim_llm.checkpoint.pull import find_folder, is_hub_id, resolve_folder

    if find_folder(model) is not None:
        return
    if not is_hub_id(model):
        resolve_folder(model)  # raises, before seconds are spent on importing torch
    from chatglm_slim_llm.checkpoint.hub import plan_pull
    from chatglm_slim_llm.cli.pull import fetch_with_progress

    if not is_agreed and not can_ask():
        raise CheckpointNotFoundError(
            f"{model} is not on this machine; run 'chatglm-slim pull {model}' first, or add --yes to download it now"
        )
    plan = plan_pull(model)
    if not is_agreed and not asks_yes(
        f"{model} is not on this machine. Download {size_text(plan.missing_bytes)} to {plan.folder}? [y/N] "
    ):
        raise CheckpointNotFoundError(f"{model} was not downloaded; without --model the bundled demo model answers")
    fetch_with_progress(plan)


def demo_notice(command: str) -> str:
    """What the demo model's user should know, and how ``command`` runs the real one."""
    return (
        "This is the small demo model that ships with the program. "
        f"For the 6B model: chatglm-slim pull, then chatglm-slim {command} --model {DEFAULT_HUB_ID} …"
    )
