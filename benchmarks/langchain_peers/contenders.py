"""The kinds of model that can run here, each as a `Peer`."""

from __future__ import annotations

import shutil
import sys
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from benchmarks.langchain_peers.probes import Peer
from benchmarks.langchain_peers.tiny_llama import write_tiny_llama

_WILD = {"temperature": 50.0, "top_k": 0, "top_p": 1.0}
"""Makes the scores of all tokens nearly the same, so that each is about as likely."""


def ours() -> Peer:
    """ChatGLMSlim on the demo checkpoint."""
    from chatglm_slim_llm import ChatGLMSlim
    from chatglm_slim_llm.checkpoint import resolve_folder

    def make(*, folder: Path | str = "demo", rambles: bool = False, **options: Any) -> BaseChatModel:
        chosen = _WILD if rambles else {"temperature": 0.0}
        return ChatGLMSlim(model=str(folder), device="cpu", **{"max_tokens": 32} | chosen | options)

    def head() -> Any:
        llm: Any = make()
        return llm._load().loaded.model.lm_head

    def copy_weights(folder: Path) -> Path:
        shutil.copytree(resolve_folder("demo", allow_download=False), folder, dirs_exist_ok=True)
        return folder / "model.safetensors"

    return Peer(make, many=1500, context=2048, head=head, copy_weights=copy_weights)


def huggingface(checkpoint: Path, *, many: int) -> Peer:
    """ChatHuggingFace over a local pipeline of transformers, on any causal model that has a chat template.

    Args:
        checkpoint: its folder; if there is none, a tiny one is written.
        many: tokens that take the model some seconds.
    """
    from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
    from transformers import pipeline

    if not (checkpoint / "config.json").exists():
        write_tiny_llama(checkpoint, context=_CONTEXT)

    def make(*, folder: Path = checkpoint, rambles: bool = False, **options: Any) -> BaseChatModel:
        model, tokenizer = _load_huggingface(folder)
        settings = _pipeline_settings(rambles, options)
        runs = pipeline("text-generation", model=model, tokenizer=tokenizer, return_full_text=False, **settings)
        own = {
            name: options[name] for name in ("seed", "stop", "cache", "temperature", "max_tokens") if name in options
        }
        llm = HuggingFacePipeline(pipeline=runs, model_id=str(folder))
        chat: BaseChatModel = ChatHuggingFace(
            llm=llm, tokenizer=tokenizer, custom_get_token_ids=tokenizer.encode, **own
        )
        return chat

    def prompt_tokens(question: str) -> int:
        tokenizer = _load_huggingface(checkpoint)[1]
        messages = [{"role": "user", "content": question}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return len(tokenizer.encode(text))

    def head() -> Any:
        return _load_huggingface(checkpoint)[0].lm_head

    def copy_weights(folder: Path) -> Path:
        shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
        return folder / "model.safetensors"

    return Peer(make, many, _CONTEXT, head, copy_weights, prompt_tokens)


def ollama() -> Peer:
    """ChatOllama without its server: for the questions that need no reply."""
    from langchain_ollama import ChatOllama

    def make(*, rambles: bool = False, **options: Any) -> BaseChatModel:
        names = {"max_tokens": "num_predict"}
        chat: BaseChatModel = ChatOllama(model="llama3.2", **{names.get(key, key): options[key] for key in options})
        return chat

    def absent(*_: Any) -> Any:
        raise NotImplementedError("the weights are in another process")

    return Peer(make, 0, _CONTEXT, absent, absent)


_CONTEXT = 512
"""Said to transformers to be the model's limit; a prompt of thousands of tokens would take minutes."""


def _pipeline_settings(rambles: bool, options: dict[str, Any]) -> dict[str, Any]:
    """What the pipeline itself calls the options; it has no seed and no stop strings."""
    chosen = dict(_WILD if rambles else {}) | options
    most = chosen.get("max_tokens", 32)
    settings: dict[str, Any] = {"max_new_tokens": most, "min_new_tokens": most if rambles else None, "max_length": None}
    if chosen.get("timeout") is not None:
        settings["max_time"] = chosen["timeout"]
    if not chosen.get("temperature"):
        return {**settings, "do_sample": False}
    sampling = {name: chosen[name] for name in ("temperature", "top_p", "top_k") if name in chosen}
    return {**settings, "do_sample": True, **sampling}


@lru_cache(maxsize=1)
def _load_huggingface(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    model.config.max_position_embeddings = tokenizer.model_max_length = _CONTEXT
    return model, tokenizer


def versions(*packages: str) -> str:
    """Package versions and Python's, in one line."""
    return ", ".join([f"{package} {version(package)}" for package in packages] + [f"Python {sys.version.split()[0]}"])
