"""The tables of performance.md and performance.zh.md, from what the benchmarks have written.

    python -m docs.performance_page

Nothing is measured here; the benchmarks that do are named on the page. A test compares the page with their results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chatglm_slim_llm.writing import write_whole
from docs.terminal_page import filled

DOCS = Path(__file__).parent
PAGES = {"en": DOCS / "performance.md", "zh": DOCS / "performance.zh.md"}
_RESULTS = DOCS.parent / "benchmarks" / "results"
_ASKED_FOR = {"fp16": "13 GB", "int8": "10 GB", "int4": "6 GB"}
"""What ChatGLM-6B's README asks of a GPU."""
_BLOCKS = {
    "int8 row": ("`int8`", "`int8`"),
    "int4 g128 searched": ("`int4`, groups of 128", "`int4`，每组 128 列"),
    "int4 g32 searched": (
        "int4, groups of 32 (`quantize --group 32`)",
        "int4，每组 32 列（`quantize --group 32`）",
    ),
    "int4 row (the original's)": ("the original's int4, one scale a row", "原版的 int4，每行一个系数"),
}
_HEADS = {
    "speed": (
        ("engine", "prompt of 512 (tokens/s)", "first token (s)", "decode after 32 / 512 (tokens/s)", "memory (GB)"),
        (
            "引擎",
            "512 token 的提示（token/s）",
            "首个 token（秒）",
            "提示 32 / 512 之后的生成（token/s）",
            "内存（GB）",
        ),
    ),
    "serving": (
        ("tokens/s, all together", "without", "with"),
        ("合计 token/s", "不用", "使用"),
    ),
    "quality": (
        ("blocks, with int8 activations and int8 embedding", "demo: KL", "perplexity", "SmolLM2: KL", "perplexity"),
        ("各层（激活值和嵌入层为 int8）", "演示模型：KL", "困惑度", "SmolLM2：KL", "困惑度"),
    ),
    "memory": (
        ("level", "the original asks a GPU for", "peak"),
        ("级别", "原版对显存的要求", "峰值"),
    ),
}
_SERVING = (
    ("eight requests at once (left: one)", "八个请求同时（左：一个请求）", "one request", "eight requests"),
    ("guessing, in answers that copy", "照抄提示的回答：猜测", "copying without", "copying with"),
    ("guessing, in answers made to mislead it", "故意误导猜测的回答：猜测", "teasing without", "teasing with"),
)


def made(language: str) -> dict[str, str]:
    """The tables by name, in ``en`` or ``zh``."""
    column = list(PAGES).index(language)
    tables = {
        "speed": ("speed", _speed("peers")),
        "speed on AVX2": ("speed", _speed("peers-avx2")),
        "serving": ("serving", _serving(column)),
        "quality": ("quality", _quality(column)),
        "memory": ("memory", _memory()),
    }
    return {name: _table(_HEADS[head][column], rows) for name, (head, rows) in tables.items()}


def _speed(results: str) -> Iterable[list[str]]:
    for engine in _read(results)["engines"]:
        short, long = engine["rows"]
        name = f"**ChatGLM-Slim {engine['name'].split()[1]}**" if engine["engine"] == "ours" else engine["name"]
        decode = f"{short['decode_tokens_per_s']:.1f} / {long['decode_tokens_per_s']:.1f}"
        yield [
            name,
            f"{long['prefill_tokens_per_s']:.3g}",
            f"{long['ttft_s']:.1f}",
            decode,
            f"{engine['peak_memory_gb']:.1f}",
        ]


def _serving(column: int) -> Iterable[list[str]]:
    speeds = _read("serving")["tokens_per_s"]
    for *titles, before, after in _SERVING:
        yield [titles[column], f"{speeds[before]:.1f}", f"{speeds[after]:.1f}"]


def _quality(column: int) -> Iterable[list[str]]:
    measured = [row for row in _read("quality") if row["inputs"] == "compiled kernels"]
    for blocks, titles in _BLOCKS.items():
        demo, other = (_as_shipped(measured, blocks, is_demo=is_demo) for is_demo in (True, False))
        cells: list[str] = []
        for row in (demo, other):
            cells += [f"{row['kl_millinats']:.3g}", f"{row['perplexity_ratio']:.3f}"]
        yield [titles[column], *cells]


def _as_shipped(measured: Iterable[dict[str, Any]], blocks: str, *, is_demo: bool) -> dict[str, Any]:
    """The figures with the head that a level has: int4 has a shortlist, but for the demo's small vocabulary."""
    head = "int8 row, 4096 exact" if blocks == "int4 g128 searched" and not is_demo else "int8 row"
    wanted = (blocks, head, is_demo)
    return next(row for row in measured if (row["blocks"], row["table"], row["model"] == "demo") == wanted)


def _memory() -> Iterable[list[str]]:
    for row in _read("memory-6b")["rows"]:
        yield [f"`{row['level']}`", _ASKED_FOR[row["level"]], f"{row['peak_memory_gb']:.2f} GB"]


def _read(name: str) -> Any:
    return json.loads((_RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(head)
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Bring the pages up to date."""
    for language, page in PAGES.items():
        text = filled(page.read_text(encoding="utf-8"), made(language))
        write_whole(page, text)


if __name__ == "__main__":
    main()
