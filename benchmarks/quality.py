"""What quantisation costs in quality: weights, activations, the table of tokens, keys and values, alone and together.

    python -m benchmarks.quality [MODEL] [--text FILE] [--tokens 1024] [--only blocks inputs ...] [--out FILE]

MODEL is ``demo``, a folder that transformers can read, or a GGUF file (which needs the packages gguf and accelerate).
The demo answers its held-out test prompts; another model reads English prose, by default the reference manual that
comes with Python (``pydoc_data.topics``). A GGUF file's weights are mostly quantised already: quantising the demo's
blocks to Q4_1 first made the int4 figures up to three times as large and changed their order hardly at all.

Weights are quantised and brought back to fp32, and so are the inputs of each linear, so the figures hold for any
kernel that computes exactly with such numbers; ``native`` runs the compiled kernels themselves. Keys and values are
quantised on their way into the attention, "token" with one scale for each token of a head. Everything is
compared with the same model in fp32:

    error        relative error of a linear's output, fed with the fp32 model's inputs: median and 99th percentile
                 over the linears
    KL           of the distribution of the next token, mean, in thousandths of a nat
    perplexity   relative to fp32
    same first   how often the likeliest token is the same
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from pydoc_data import topics

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from benchmarks.quality_rules import CACHES, INPUTS, WEIGHTS
from benchmarks.quality_screens import SCREENS, ScreenedHead
from chatglm_slim_llm.kernels import PackedEmbedding, PackedFormat, PackedLinear, library

NATIVE = "compiled kernels"
"""Instead of a rule for inputs: the package's own layers, with all that they do to weights and inputs."""
PACKED = {
    "int8 row": PackedFormat(8),
    "int4 row (the original's)": PackedFormat(4),
    "int4 g128 searched": PackedFormat(4, 128),
    "int4 g32 searched": PackedFormat(4, 32),
}
SHORTLISTS = {f"int8 row, {size} exact": PackedFormat(8, shortlist=size) for size in (1024, 2048, 4096, 8192)}
"""A table whose low nibbles are read for so many tokens only, those that score best by the high ones."""


# ---- what is measured ----


@dataclass(frozen=True)
class Setting:
    """How the linears of the blocks, their inputs, the table (embedding and head), keys and values are stored."""

    blocks: str = "fp32"
    inputs: str = "fp32"
    table: str = "fp32"
    cache: str = "fp32"


SETTINGS: dict[str, list[Setting]] = {
    "blocks": [Setting(blocks=name) for name in WEIGHTS],
    "inputs": [Setting(inputs=name) for name in INPUTS],
    "table": [Setting(table=name) for name in WEIGHTS if "signed" not in name and "searched" not in name],
    "cache": [Setting(cache=name) for name in CACHES],
    "levels": [
        Setting("int8 row", "int8 g128", "int8 row"),
        Setting("int8 row", "int8 g128, two terms from 5 rms", "int8 row"),
        Setting("int4 row (the original's)", "fp32", "fp16"),
        Setting("int4 row (the original's)", "int8 g128, powers of two", "int8 row"),
        Setting("int4 g128", "int8 g128, powers of two", "int8 row"),
        Setting("int4 g128 searched", "int8 g128", "int8 row"),
        Setting("int4 g128 searched", "int8 g128, powers of two", "int8 row"),
        Setting("int4 g128 searched", "int8 g128, two terms from 5 rms", "int8 row"),
        Setting("int4 g128 searched, turned", "int8 g128, powers of two, turned", "int8 row"),
        Setting("int4 g128 weighted", "int8 g128, two terms from 5 rms", "int8 row"),
        Setting("int4 g32 weighted", "int8 g32", "int8 row"),
    ],
    "screens": [Setting(table=name) for name in ("int8 row", *SCREENS)],
    "native": [Setting(name, NATIVE, "int8 row") for name in PACKED] if library() else [],
    "shortlist": [
        Setting("fp32", NATIVE, "int8 row"),
        *(Setting(blocks, NATIVE, size) for blocks in ("int4 g128 searched", "fp32") for size in SHORTLISTS),
    ]
    if library()
    else [],
}


@dataclass(frozen=True)
class Batch:
    """Arguments of one forward pass; the positions [n] in its flattened output that are scored, and their tokens."""

    arguments: dict[str, Tensor]
    selected: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Subject:
    """A model in fp32, and what it reads."""

    name: str
    text: str
    model: PreTrainedModel
    batches: list[Batch]

    @property
    def head(self) -> nn.Module:
        """Gives the scores of the tokens; the embedding shares its weight."""
        return self.model.get_output_embeddings()

    def linears(self) -> dict[str, nn.Linear]:
        """The linears of the blocks by path."""
        return {p: m for p, m in self.model.named_modules() if isinstance(m, nn.Linear) and m is not self.head}

    def num_tokens(self) -> int:
        """Number of scored tokens."""
        return sum(len(batch.targets) for batch in self.batches)

    def hidden(self, batch: Batch) -> Tensor:
        """What the head gets at the selected positions, [n, hidden]."""
        seen: list[Tensor] = []
        with _hooked([self.head], [lambda _, args: seen.append(args[0])]):
            self.model(**batch.arguments, use_cache=False)
        return seen[0].flatten(0, 1)[batch.selected]


class Comparison:
    """The fp32 model's weights, inputs and results, and how far a setting is from them."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.linears, self.head = subject.linears(), subject.head
        self.weights = {path: m.weight.detach().clone() for path, m in self.linears.items()}
        self.table = self.head.weight.detach().clone()
        self.inputs: dict[str, Tensor] = {}
        self._record_inputs()
        self.hidden = [subject.hidden(batch) for batch in subject.batches]
        self._quantized: tuple[str, dict[str, Tensor]] = ("", {})

    def measure(self, setting: Setting) -> dict[str, object]:
        """One row of the report."""
        if setting.table in SCREENS:
            swapped = self._screened(setting)
        elif setting.inputs == NATIVE:
            swapped = self._swapped(setting)
        else:
            swapped = self._changed(setting)
        with swapped, _kept(CACHES.get(setting.cache, _same)):
            row = asdict(setting) | self._results()
            return row if setting.blocks == setting.inputs == "fp32" else row | self._errors()

    def _record_inputs(self) -> None:
        """Some 128 rows, [rows, in], of the inputs of each linear in the first batch."""

        def record(path: str, x: Tensor) -> None:
            rows = x.flatten(0, -2)
            self.inputs[path] = rows[:: max(1, len(rows) // 128)]

        with _hooked(
            self.linears.values(), [lambda _, args, path=path: record(path, args[0]) for path in self.linears]
        ):
            self.subject.hidden(self.subject.batches[0])

    @contextmanager
    def _changed(self, setting: Setting) -> Iterator[None]:
        """The model with weights and inputs that were quantised and brought back."""
        inputs = INPUTS.get(setting.inputs, _same)
        if self._quantized[0] != setting.blocks:
            rule = WEIGHTS.get(setting.blocks, _same)
            self._quantized = (setting.blocks, {path: rule(w) for path, w in self.weights.items()})
        self._set(self._quantized[1], WEIGHTS.get(setting.table, _same)(self.table))
        try:
            with _hooked(self.linears.values(), [lambda _, args: (inputs(args[0]),)] * len(self.linears)):
                yield
        finally:
            self._set(self.weights, self.table)

    def _set(self, weights: dict[str, Tensor], table: Tensor) -> None:
        for path, linear in self.linears.items():
            linear.weight.data = weights[path]
        self.head.weight.data.copy_(table)

    @contextmanager
    def _swapped(self, setting: Setting) -> Iterator[None]:
        """The model on the compiled kernels; blocks in fp32 stay as they are."""
        model, embedding = self.subject.model, self.subject.model.get_input_embeddings()
        head = PackedLinear.from_linear(self.head, (PACKED | SHORTLISTS)[setting.table])
        for path, linear in self.linears.items() if setting.blocks in PACKED else ():
            model.set_submodule(path, PackedLinear.from_linear(linear, PACKED[setting.blocks]))
        model.set_output_embeddings(head)
        model.set_input_embeddings(PackedEmbedding(head))
        try:
            yield
        finally:
            for path, linear in self.linears.items():
                model.set_submodule(path, linear)
            model.set_output_embeddings(self.head)
            model.set_input_embeddings(embedding)

    @contextmanager
    def _screened(self, setting: Setting) -> Iterator[None]:
        """The fp32 model with another head."""
        exact = WEIGHTS["int8 row"](self.table)
        self.subject.model.set_output_embeddings(ScreenedHead(self.table, exact, SCREENS[setting.table]))
        try:
            yield
        finally:
            self.subject.model.set_output_embeddings(self.head)

    def _results(self) -> dict[str, float]:
        head = self.subject.head
        kl, loss, same = [], [], []
        for batch, reference in zip(self.subject.batches, self.hidden, strict=True):
            expected = F.linear(reference, self.table).log_softmax(-1)
            found = head(self.subject.hidden(batch)).log_softmax(-1)
            kl.append((expected.exp() * (expected - found)).sum(-1))
            loss.append((expected - found).gather(-1, batch.targets[:, None])[:, 0])
            same.append((expected.argmax(-1) == found.argmax(-1)).float())
        return {
            "kl_millinats": round(torch.cat(kl).mean().item() * 1000, 3),
            "perplexity_ratio": round(torch.cat(loss).mean().exp().item(), 5),
            "same_first": round(torch.cat(same).mean().item(), 4),
        }

    def _errors(self) -> dict[str, float]:
        errors = []
        for path, x in self.inputs.items():
            bias, expected = self.linears[path].bias, F.linear(x, self.weights[path])
            found = self.subject.model.get_submodule(path)(x) - (0 if bias is None else bias)
            errors.append((found - expected).norm() / expected.norm())
        median, high = torch.stack(errors).quantile(torch.tensor([0.5, 0.99])).tolist()
        return {"error_median": round(median, 5), "error_p99": round(high, 5)}


@contextmanager
def _hooked(modules: Iterable[nn.Module], hooks: Iterable[Callable[..., object]]) -> Iterator[None]:
    handles = [module.register_forward_pre_hook(hook) for module, hook in zip(modules, hooks, strict=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _kept(rule: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Attention over keys and values [batch, heads, tokens, d] that the rule went over."""
    attention = F.scaled_dot_product_attention

    def over_kept(query: Tensor, key: Tensor, value: Tensor, *args: object, **options: object) -> Tensor:
        return attention(query, rule(key), rule(value), *args, **options)

    F.scaled_dot_product_attention = over_kept
    try:
        yield
    finally:
        F.scaled_dot_product_attention = attention


def _same(x: Tensor) -> Tensor:
    return x


# ---- models and texts ----


def demo(num_tokens: int) -> Subject:
    """The demo checkpoint on prompts, names and values that it has never met, about ``num_tokens`` of answers."""
    from chatglm_slim_llm.checkpoint import load_model, resolve_folder
    from training.chat import load_facts, load_unknown
    from training.evaluate import test_sets
    from training.samples import Encoder, collate, encode_pairs

    folder = resolve_folder("demo", allow_download=False)
    model = load_model(folder, dtype=torch.float32)
    encoder = Encoder(folder / "ice_text.model")
    sets = test_sets(load_facts(), load_unknown(), 40)
    pairs = [pair for name, some in sets.items() if "trained" not in name for pair in some]
    random.Random(0).shuffle(pairs)
    samples, length = [], 0
    for prompt, answer in pairs:
        samples.append(encode_pairs(encoder, prompt, answer))
        length += len(samples[-1].targets)
        if length >= num_tokens:
            break
    batches = []
    for start in range(0, len(samples), 40):
        b = collate(samples[start : start + 40], encoder.pad_id)
        arguments = {"input_ids": b.input_ids, "position_ids": b.position_ids, "attention_mask": b.attention_mask}
        batches.append(Batch(arguments, b.selected, b.targets))
    return Subject("demo", "held-out test prompts of training/", model, batches)


def reader(path: Path, text: Path | None, num_tokens: int, window: int = 256) -> Subject:
    """A causal model of transformers on prose, in windows of ``window`` tokens that know nothing of each other."""
    at = {"gguf_file": path.name} if path.is_file() else {}
    folder = path.parent if path.is_file() else path
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **at)
    tokenizer = AutoTokenizer.from_pretrained(folder, **at)
    prose = text.read_text("utf-8") if text else "\n\n".join(topics.topics.values())
    ids = torch.tensor(tokenizer(prose[: num_tokens * 8]).input_ids)
    windows = ids[: min(len(ids), num_tokens) // window * window].view(-1, window)
    model.train(False)
    batches = [Batch({"input_ids": w[None]}, torch.arange(window - 1), w[1:]) for w in windows]
    return Subject(path.name, text.name if text else "pydoc_data.topics", model, batches)


# ---- report ----

_COLUMNS = {
    "blocks": "blocks",
    "inputs": "inputs",
    "table": "table",
    "cache": "keys, values",
    "error_median": "error",
    "error_p99": "error, 99 %",
    "kl_millinats": "KL (mnat)",
    "perplexity_ratio": "perplexity",
    "same_first": "same first",
}


def table(rows: Iterable[dict[str, object]]) -> str:
    """The rows as a Markdown table."""
    lines = [_COLUMNS.values(), ["---"] * len(_COLUMNS), *([row.get(key, "") for key in _COLUMNS] for row in rows)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def save(path: Path, subject: Subject, rows: list[dict[str, object]]) -> None:
    """Put the rows into the file's list; those of the same model, text and settings are replaced."""
    known = json.loads(path.read_text()) if path.exists() else []
    about = {"model": subject.name, "text": subject.text, "tokens": subject.num_tokens()}
    new = [about | row | {"date": date.today().isoformat()} for row in rows]
    key = ("model", "text", "blocks", "inputs", "table", "cache")
    merged = {tuple(row[k] for k in key): row for row in (*known, *new)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in merged.values()) + "\n]\n")


@torch.no_grad()
def main() -> None:
    """Parse arguments, measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="demo", help="demo, a folder or a GGUF file")
    parser.add_argument("--text", type=Path, help="prose to read instead of Python's manual")
    parser.add_argument("--tokens", type=int, default=1024, help="how many tokens are scored, about")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=SETTINGS, help="which settings")
    parser.add_argument("--out", type=Path, help="put the figures into this JSON file")
    args = parser.parse_args()
    subject = demo(args.tokens) if args.model == "demo" else reader(Path(args.model), args.text, args.tokens)
    comparison = Comparison(subject)
    rows = []
    for setting in (setting for part in args.only for setting in SETTINGS[part]):
        rows.append(comparison.measure(setting))
        print(rows[-1], file=sys.stderr, flush=True)
    print(table(rows))
    if args.out:
        save(args.out, subject, rows)


if __name__ == "__main__":
    main()
