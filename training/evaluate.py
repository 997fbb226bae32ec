"""Right or wrong, counted: quick scores while training, and every figure of the report on the shipped files."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from chatglm_slim_llm.model import ChatGLMForConditionalGeneration, ChatGLMTokenizer
from training.chat import Fact, Unknown, load_facts, load_unknown, with_history
from training.json_tasks import JsonWriter
from training.names import Lang
from training.network import logits
from training.reading import Kind as ReadingKind
from training.reading import ReadingWriter
from training.samples import Encoder, collate, encode_pairs
from training.tools import ToolWriter

Pair = tuple[str, str]

_LANGS: tuple[Lang, ...] = ("zh", "en")
_READING: tuple[ReadingKind, ...] = ("value", "reverse", "missing")

_TOOLS: dict[str, dict[str, Any]] = {
    "call, one tool": {"count": 1},
    "call, two tools": {"count": 2},
    "call, four tools": {"count": 4},
    "call, an integer": {"count": 1, "value": "integer"},
    "call, a quoted name": {"count": 1, "value": "quoted"},
    "call, free text": {"count": 1, "shape": "phrase"},
    "call, later round": {"history": 1.0},
    "calls": {"kind": "calls"},
    "none": {"kind": "none"},
    "result": {"kind": "results"},
    "chat": {"kind": "chat"},
}
"""What the tool sets ask for."""


_BATCH = 100
"""Prompts that are answered together."""
_TRAINED_STEP = 3
"""Of the trained chat wordings only every third is asked: there are thousands."""


def test_sets(facts: Sequence[Fact], unknown: Sequence[Unknown], size: int) -> dict[str, list[Pair]]:
    """Prompts with the one right answer, by name of the set; `size` prompts in each generated set.

    Made-up names and long numbers of the generated sets are on the test side of the split: none occurs in training.
    """
    sets: dict[str, list[Pair]] = {}
    for lang in _LANGS:
        mine = [fact for fact in facts if fact.lang == lang]
        sets[f"chat trained {lang}"] = [(text, fact.answer) for fact in mine for text in fact.wordings]
        sets[f"chat held-out {lang}"] = [(text, fact.answer) for fact in mine for text in fact.held_out]
        sets[f"chat second round {lang}"] = list(_second_rounds(mine, size))
        groups = [group for group in unknown if group.lang == lang]
        sets[f"unknown held-out {lang}"] = [(text, group.reply) for group in groups for text in group.held_out]
        for name, level in (("1-3 sentences", 0.3), ("1-8 sentences", 1.0)):
            writer = ReadingWriter(2024, held_out=True)
            for kind in _READING:
                drawn = [writer.write(level, kind, lang) for _ in range(size)]
                sets[f"reading {name} {kind} {lang}"] = [(sample.prompt, sample.answer) for sample in drawn]
        sets |= dict(_tool_sets(mine, lang, size))
    return sets


def _tool_sets(facts: Sequence[Fact], lang: Lang, size: int) -> Iterator[tuple[str, list[Pair]]]:
    """Prompts with tools or with a schema; small talk among them is a held-out wording."""
    rng = random.Random(2024)
    asked = [(text, fact.answer) for fact in facts for text in fact.held_out]
    tools = ToolWriter(2024, held_out=True, chat=lambda: rng.choice(asked))
    for name, options in _TOOLS.items():
        tasks = [tools.write(**{"lang": lang, **options}) for _ in range(size)]
        yield f"tools {name} {lang}", [(task.prompt, task.answer) for task in tasks]
    forms = JsonWriter(2024, held_out=True)
    objects = [forms.write(lang) for _ in range(size)]
    yield f"json {lang}", [(task.prompt, task.answer) for task in objects]


def _second_rounds(facts: Sequence[Fact], size: int) -> Iterator[Pair]:
    """A held-out wording after a round about another fact."""
    asked = [(text, fact.answer) for fact in facts for text in fact.held_out]
    for i in range(0, len(asked), max(1, len(asked) // size)):
        yield with_history(asked[i][0], [asked[i * 7 % len(asked)]]), asked[i][1]


@torch.no_grad()
def quick_scores(
    model: ChatGLMForConditionalGeneration, encoder: Encoder, facts: Sequence[Fact], unknown: Sequence[Unknown]
) -> dict[str, float]:
    """Share of answers whose every token is the likeliest one: what greedy generation would give, in one pass."""
    scores = {}
    for name, pairs in test_sets(facts, unknown, 16).items():
        some = pairs[:: max(1, len(pairs) // 60)]
        scores[name] = round(sum(exact(model, encoder, some, torch.bfloat16)) / len(some), 3)
    return scores


@torch.no_grad()
def exact(
    model: ChatGLMForConditionalGeneration, encoder: Encoder, pairs: Sequence[Pair], dtype: torch.dtype
) -> list[bool]:
    """Whether every token of each answer is the likeliest one: whether greedy generation would give this answer."""
    samples = [encode_pairs(encoder, prompt, answer) for prompt, answer in pairs]
    order = sorted(range(len(samples)), key=lambda i: len(samples[i].ids))
    right = [True] * len(samples)
    for start in range(0, len(order), 40):
        rows = order[start : start + 40]
        batch = collate([samples[i] for i in rows], encoder.pad_id)
        wrong = logits(model, batch, dtype).argmax(-1) != batch.targets
        for owner in set(batch.owners[wrong].tolist()):
            right[rows[owner]] = False
    return right


def evaluate(folder: Path, size: int = 50) -> dict[str, list[tuple[str, str, str]]]:
    """The greedy answer to every test prompt with the checkpoint in `folder`, computed in fp32.

    One pass over each right answer tells whether it is the greedy one; what the model answers instead is generated.

    Returns:
        (prompt, right answer, given answer) for each prompt, by set.
    """
    model = ChatGLMForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.train(False)
    encoder, tokenizer = Encoder(folder / "ice_text.model"), ChatGLMTokenizer.from_pretrained(folder)
    sets = test_sets(load_facts(), load_unknown(), size)
    sets = {name: pairs[:: _TRAINED_STEP if "trained" in name else 1] for name, pairs in sets.items()}
    right = {name: exact(model, encoder, pairs, torch.float32) for name, pairs in sets.items()}
    wrong = {
        prompt for name, pairs in sets.items() for (prompt, _), fine in zip(pairs, right[name], strict=True) if not fine
    }
    given: dict[str, str] = {}
    for part in _parts(sorted(wrong, key=len), _BATCH):
        given |= zip(part, generate(model, tokenizer, part), strict=True)
    return {
        name: [
            (prompt, told := plain(tokenizer, answer), told if fine else given[prompt])
            for (prompt, answer), fine in zip(pairs, right[name], strict=True)
        ]
        for name, pairs in sets.items()
    }


def _parts(prompts: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(prompts), size):
        yield list(prompts[start : start + size])


@torch.no_grad()
def generate(
    model: ChatGLMForConditionalGeneration, tokenizer: ChatGLMTokenizer, prompts: list[str], limit: int = 80
) -> list[str]:
    """Greedy answers to a batch of prompts."""
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    options = {"do_sample": False, "max_new_tokens": limit, "pad_token_id": tokenizer.eos_token_id}
    output = model.generate(**inputs, **options)  # type: ignore[misc,unused-ignore]
    return [str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in output[:, inputs["input_ids"].shape[1] :]]


def plain(tokenizer: ChatGLMTokenizer, text: str) -> str:
    """A text as the tokenizer gives it back: full-width punctuation becomes half-width."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    return str(tokenizer.decode(ids))


def figures(results: dict[str, list[tuple[str, str, str]]]) -> dict[str, tuple[int, int]]:
    """(right, asked) for each set: exact answers, and beside them the parts of a tool call and 'not found' or not."""
    counts = {name: (sum(right == given for _, right, given in rows), len(rows)) for name, rows in results.items()}
    for name, rows in results.items():
        if name.startswith("tools chat"):
            kept = sum(not _call(given) for *_, given in rows)
            counts[name.replace("chat", "chat, no call")] = (kept, len(rows))
        if name.startswith("tools call, "):
            calls = [(json.loads(right), _call(given)) for _, right, given in rows]
            named = sum(right["name"] == given.get("name") for right, given in calls)
            copied = sum(_values(right) == _values(given) for right, given in calls)
            counts[f"{name}: right tool"] = (named, len(rows))
            counts[f"{name}: right values"] = (copied, len(rows))
        if name.startswith("reading") and "missing" not in name:
            refusal = results[name.replace("value", "missing").replace("reverse", "missing")][0][1]
            counts[f"{name}: answered at all"] = (sum(given != refusal for *_, given in rows), len(rows))
            right_words = sum(right.rpartition(" [")[0] == given.rpartition(" [")[0] for _, right, given in rows)
            counts[f"{name}: right words"] = (right_words, len(rows))
    return counts


def _call(text: str) -> dict[str, object]:
    try:
        call = json.loads(text)
    except ValueError:
        return {}
    return call if isinstance(call, dict) else {}


def _values(call: dict[str, object]) -> list[object]:
    arguments = call.get("arguments")
    return list(arguments.values()) if isinstance(arguments, dict) else []
