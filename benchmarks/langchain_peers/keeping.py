"""Probes of what is kept beyond one reply: seeds, caches, stored models, profiles, traces; see `probes`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps, loads

from benchmarks.langchain_peers.probes import QUESTION, Peer, yes_if


def repeats_with_a_seed(peer: Peer) -> str:
    """The same seed gives the same reply, another one another."""
    same, again, other = (
        peer.make(rambles=True, max_tokens=12, seed=seed).invoke(QUESTION).content for seed in (7, 7, 8)
    )
    return yes_if(same == again != other, "two replies differ" if same != again else "the seed changes nothing")


def cache_tells_options_apart(peer: Peer) -> str:
    """The key of a cached reply holds what it depends on, and nothing else."""
    base: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 8, "seed": 1}
    changes: list[dict[str, Any]] = [{"temperature": 0.6}, {"top_p": 0.8}, {"max_tokens": 9}, {"seed": 2}]
    key = peer.make(**base)._get_llm_string()
    if key != peer.make(**base)._get_llm_string():
        return "no: two equal models have different keys, so nothing is ever found"
    blind = [next(iter(change)) for change in changes if peer.make(**base | change)._get_llm_string() == key]
    return yes_if(not blind, f"it does not hold {', '.join(blind)}")


def cache_tells_checkpoints_apart(peer: Peer) -> str:
    """The key changes when a checkpoint's weights do, though its folder has the same name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = peer.copy_weights(folder)
        key = peer.make(folder=folder)._get_llm_string()
        data = weights.read_bytes()
        weights.unlink()  # models may have mapped the file
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        return yes_if(peer.make(folder=folder)._get_llm_string() != key, "other weights have the same key")


def can_be_stored(peer: Peer) -> str:
    """What `dumps` writes, `loads` makes a model of that gives the same reply."""
    llm = peer.make(temperature=0, max_tokens=8)
    back = loads(dumps(llm), allowed_objects=[type(llm)], valid_namespaces=[type(llm).__module__.partition(".")[0]])
    if not isinstance(back, BaseChatModel):
        return f"no: loads gives a {type(back).__name__}"
    return yes_if(back.invoke(QUESTION).content == llm.invoke(QUESTION).content, "the copy answers differently")


def has_a_profile(peer: Peer) -> str:
    """Its profile says how many tokens it can read, rightly."""
    limit = (peer.make().profile or {}).get("max_input_tokens")
    return yes_if(limit == peer.context, f"max_input_tokens is {limit}")


def tells_langsmith(peer: Peer) -> str:
    """Traces hold provider, model, temperature, limit and stop strings."""
    params = peer.make(temperature=0.5, max_tokens=9)._get_ls_params(stop=["x"])
    wanted = {"ls_temperature": 0.5, "ls_max_tokens": 9, "ls_stop": ["x"], "ls_model_type": "chat"}
    wrong = [name for name, value in wanted.items() if params.get(name) != value]
    wrong += [name for name in ("ls_provider", "ls_model_name") if not params.get(name)]
    return yes_if(not wrong, f"no {', '.join(wrong)}")
