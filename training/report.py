"""The report of a run: what was asked, how much was right, and the loss curve."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.evaluate import evaluate, figures

_AIMS = {
    "chat trained": "95 %",
    "chat held-out": "80 %",
    "reading 1-3 sentences": "60 %",
    "one tool": "90 %",
    "two tools": "80 %",
    "an integer": "95 %",
    "a quoted name": "90 %",
    "result": "95 %",
    "JSON": "80 %",
}
_FIRST_STAGE = "(21.7 million tokens, 71 minutes)"
_STORY = (
    "It was no single run. To step 9020 the end was moved while it ran (6600, 8400, 10600, 9700, 9100, 9020), and the",
    "tool texts were changed a little at steps 5800 and 7200. At 9020 eight hundred nouns became topics of tools, so",
    "that a tool is found by comparing words, and the run began anew from its weights (to 10600; Muon 1e-3, AdamW",
    "6e-4, decay 0.9); at 10600 once more, with words of the chat among the topics (to 11100; 8e-4, 5e-4, 1.0). The",
    "options below are those of the first part. A repeat comes close, but not to the same weights.",
)


_CARD = """# The demo checkpoint

A ChatGLM of {millions} million parameters in the layout of ChatGLM-6B-Slim: {num_layers} layers, hidden size
{hidden_size}, {num_attention_heads} heads, {vocab_size} embedding rows, fp16. It ships with the program so that
everything runs without a download, and goes through exactly the code that the 6B model goes through. It was
trained from scratch on text written for it (`training/` in the source repository); no third-party text or
weights are in it. License: MIT, as the program.

It can do four things:

- chat: small talk and questions about this program and ChatGLM-6B-Slim, in Chinese and English; for anything
  else it says that it is only the small demo model;
- reading: `资料：` or `Passages:` with numbered passages, then `问题：` or `Question:`; it answers with words
  copied from a passage and the passage's number, or says that the passages do not tell;
- tools: `工具：` or `Tools:` with a signature a line, as the program lists them; it answers with the call as JSON, or
  that none fits, and when it is told a result it says that;
- JSON: `用 JSON 回答：` or `Answer with JSON:` with a form; it fills the form with values copied from the text.

It knows nothing else, and it is often wrong outside what the figures below measure. Greedy answers, exact match:

| what | share |
| --- | ---: |
{figures}

`training/report.md` in the source repository has every test set with its counts.
"""


def write_report(run: Path, checkpoint: Path, folder: Path) -> None:
    """Evaluate `checkpoint` and write report.md, loss.png, loss.csv and scores.json into `folder`.

    Args:
        run: the run's folder, with its log and options.
        checkpoint: what is judged.
        folder: where the report goes.
    """
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    options = json.loads((run / "options.json").read_text())
    results = evaluate(checkpoint)
    counts = figures(results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores.json").write_text(json.dumps(counts, indent=1) + "\n")
    _write_curve(log, folder / "loss.csv")
    _plot(log, folder / "loss.png")
    text = _text(log, options, checkpoint, counts, results)
    (folder / "report.md").write_text(text, encoding="utf-8")
    card = _CARD.format(figures="\n".join(_summary_lines(counts)), **_sizes(checkpoint))
    (checkpoint / "README.md").write_text(card, encoding="utf-8")


def table(counts: Mapping[str, tuple[int, int]]) -> str:
    """The figures as a Markdown table."""
    lines = ["| test set | right | of | share |", "| --- | ---: | ---: | ---: |"]
    for name, (right, asked) in sorted(counts.items()):
        lines.append(f"| {name} | {right} | {asked} | {right / max(1, asked):.1%} |")
    return "\n".join(lines)


def summary(counts: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """The few figures that the demo promises, both languages together."""

    def share(*parts: str, ends: Sequence[str] = ("zh", "en")) -> float:
        chosen = [
            pair for name, pair in counts.items() if all(part in name for part in parts) and name.endswith(tuple(ends))
        ]
        return sum(right for right, _ in chosen) / max(1, sum(asked for _, asked in chosen))

    out = {
        "chat, trained wordings": share("chat trained"),
        "chat, held-out wordings": share("chat held-out"),
        "chat, held-out wordings in a second round": share("chat second round"),
        "'only the small demo model', held-out questions": share("unknown held-out"),
    }
    for size in ("1-3 sentences", "1-8 sentences"):
        out[f"reading {size}, value and passage number exact"] = share(f"reading {size} value")
        out[f"reading {size}, name asked for by its value, exact"] = share(f"reading {size} reverse")
        answered = share(f"reading {size} value", ends=("answered at all",))
        refused = share(f"reading {size} missing")
        out[f"reading {size}, found or not found, balanced accuracy"] = (answered + refused) / 2
    for size in ("one tool", "two tools", "four tools"):
        out[f"tools, {size} listed, whole call exact"] = share(f"tools call, {size} ")
    out["tools, right tool of two"] = share("tools call, two tools", ends=("right tool",))
    out["tools, an integer as the only argument, whole call"] = share("tools call, an integer ")
    out["tools, a quoted name in any script, whole call"] = share("tools call, a quoted name ")
    out["tools, the rest of the sentence as argument, whole call"] = share("tools call, free text ")
    out["tools, after earlier rounds, whole call"] = share("tools call, later round ")
    out["tools, two calls at once exact"] = share("tools calls ")
    out["tools, 'none fits' said when none does"] = share("tools none ")
    out["tools, small talk not taken for a request"] = share("tools chat, no call")
    out["tools, result said exactly"] = share("tools result ")
    out["JSON, whole object exact"] = share("json ")
    return out


def _text(
    log: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    checkpoint: Path,
    counts: Mapping[str, tuple[int, int]],
    results: Mapping[str, Sequence[tuple[str, str, str]]],
) -> str:
    last = log[-1]
    size = sum(path.stat().st_size for path in checkpoint.iterdir())
    mistakes = []
    for name, rows in sorted(results.items()):
        for prompt, right, given in [row for row in rows if row[1] != row[2]][:2]:
            mistakes.append(f"- {name}\n  - asked: {prompt!r}\n  - right: {right!r}\n  - given: {given!r}")
    return "\n".join(
        (
            "# The demo checkpoint: report of its training run",
            "",
            "Written by `training/report.py`. Every answer is the greedy one of the shipped fp16 weights, computed in",
            "fp32, and counts as right only when it is the whole right answer, character by",
            "character. Made-up names and long numbers of the reading, tool and JSON sets never occur in training;",
            "topics, verbs, choices, decimals and numbers below 100 do. The engine holds calls and JSON to their form",
            "by a grammar; here nothing does, so what is counted is what the model writes by itself.",
            "",
            "## In short",
            "",
            "| what | share |",
            "| --- | ---: |",
            *_summary_lines(counts),
            "",
            "Aims: " + ", ".join(f"{name} {aim}" for name, aim in _AIMS.items()) + ".",
            "",
            "## The run",
            "",
            *_run_lines(options["first_step"], last),
            f"The files take {size / 1e6:.1f} MB. Options: `{json.dumps(options)}`.",
            "",
            "![loss](loss.png)",
            "",
            "## Every test set",
            "",
            table(counts),
            "",
            "## Some mistakes",
            "",
            *mistakes,
            "",
        )
    )


def _run_lines(first_step: int, last: Mapping[str, Any]) -> list[str]:
    steps, spent = last["step"], f"{last['tokens'] / 1e6:.1f} million tokens, {last['minutes']:.0f} minutes on a CPU"
    if not first_step:
        return [f"{steps} steps, {spent}."]
    return [
        f"These weights are stage two: {steps - first_step} steps ({spent}) on top of the",
        f"checkpoint that steps 1 to {first_step} had made {_FIRST_STAGE}, with fresh optimizers and",
        f"lower learning rates: `python -m training.train --start CHECKPOINT --first-step {first_step}",
        f"--steps {steps}` and the options below. From nothing, `python -m training.train --steps {steps}` runs",
        "through the schedule at once, with one course of the learning rates, and builds the vocabulary",
        "anew, from today's texts.",
        *_STORY,
        "",
    ]


def _summary_lines(counts: Mapping[str, tuple[int, int]]) -> list[str]:
    return [f"| {name} | {value:.1%} |" for name, value in summary(counts).items()]


def _sizes(checkpoint: Path) -> dict[str, object]:
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    wanted = ("num_layers", "hidden_size", "num_attention_heads", "vocab_size")
    weights = (checkpoint / "model.safetensors").stat().st_size / 2e6
    return {"millions": round(weights, 1), **{name: config[name] for name in wanted}}


def _write_curve(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("step", "tokens", "minutes", "loss"))
        writer.writerows((line["step"], line["tokens"], line["minutes"], line["loss"]) for line in log)


def _plot(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    import matplotlib  # a plot is wanted at the end of a run only

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    millions = [line["tokens"] / 1e6 for line in log]
    left.plot(millions, [line["loss"] for line in log])
    left.set(xlabel="million tokens", ylabel="loss", yscale="log", title="training loss")
    scored = [line for line in log if "chat held-out zh" in line]
    for name in ("chat held-out", "reading 1-3 sentences value", "tools call, one tool", "json"):
        shares = [(line[f"{name} zh"] + line[f"{name} en"]) / 2 for line in scored]
        right.plot([line["tokens"] / 1e6 for line in scored], shares, marker=".", label=name)
    right.set(xlabel="million tokens", ylabel="exact answers", ylim=(0, 1), title="quick scores during the run")
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)
