"""A knowledge base of very many chunks: building it, searching it in a fresh process, following a few changed files.

The text is made from a person's own questions and paragraphs: sentences put together anew, about a quarter of their
words exchanged for others, so that the vocabulary grows as it does in real collections. Making a million true vectors
would take hours and change no time that is measured here: a vector is a noisy mixture of a few of 5,000 true ones.
Questions, and the files that change, go through the true embedder.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.retrieval_data import LANGUAGES, Collection
from chatglm_slim_llm.retrieval import KnowledgeBase
from chatglm_slim_llm.retrieval.embedders import Embedder, embedder, fingerprint
from chatglm_slim_llm.retrieval.index import Index
from chatglm_slim_llm.retrieval.splitting import estimate_tokens, sentences
from chatglm_slim_llm.retrieval.sync import Sync, only_one

Record = dict[str, Any]
Vectors = NDArray[np.float32]

CHUNKS_A_FILE = 50
_TRUE_VECTORS = 5000
_NOISES = 4096
_NOISE = 0.5
"""Length of the noise beside a mixture of length 1."""
_EXCHANGED = 0.25
_INVENTED = 0.3
"""Of the words that are exchanged: how many become one that the data never held."""
_INVENTED_WORDS = 300_000
_CHANGED_FILES = 10


class Writer:
    """Paragraphs that each make one chunk, in one language a paragraph."""

    def __init__(self, data: dict[str, Collection], seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._pools = {lang: [each for text in data[lang].paragraphs for each in sentences(text)] for lang in data}
        self._words = [word for each in self._pools["en"] for word in each.split()]
        self._characters = "".join(self._pools["zh"])

    def file(self, chunks: int = CHUNKS_A_FILE) -> str:
        """A file's text."""
        return "\n\n".join(self.paragraph() for _ in range(chunks)) + "\n"

    def paragraph(self, low: int = 140, high: int = 250) -> str:
        """More than half of what a chunk may hold, so that no two go into one."""
        lang = self._random.choice(LANGUAGES)
        exchange, glue = (self._english, " ") if lang == "en" else (self._chinese, "")
        text = ""
        while (size := estimate_tokens(text)) < low:
            more = exchange(self._random.choice(self._pools[lang]))
            if size + estimate_tokens(more) <= high:
                text += glue * bool(text) + more
        return text

    def _english(self, sentence: str) -> str:
        return " ".join(self._other_word() if self._random.random() < _EXCHANGED else word for word in sentence.split())

    def _other_word(self) -> str:
        if self._random.random() >= _INVENTED:
            return self._random.choice(self._words)
        rank = int(_INVENTED_WORDS ** self._random.random())  # Zipf's law: each tenfold of ranks is as frequent
        return _spelt(rank)

    def _chinese(self, sentence: str) -> str:
        characters = list(sentence)
        for place in range(len(characters) - 1):
            if self._random.random() < _EXCHANGED / 2:
                characters[place : place + 2] = self._random.choices(self._characters, k=2)
        return "".join(characters)


def _spelt(rank: int) -> str:
    syllables = [f"{a}{b}" for a in "bdfgklmnprstvz" for b in "aeiou"]
    word = ""
    rank += len(syllables)
    while rank:
        rank, syllable = divmod(rank, len(syllables))
        word += syllables[syllable]
    return word


class Mixed:
    """Stands in for an embedder: its queries are true; a passage's vector is a mixture that the text's bytes choose."""

    def __init__(self, own: Embedder, texts: Sequence[str], seed: int = 0) -> None:
        self.name = own.name
        self._own = own
        self._true = own.passages(texts)
        noise = np.random.default_rng(seed).standard_normal((_NOISES, self._true.shape[1])).astype(np.float32)
        self._noise = noise * (_NOISE / np.linalg.norm(noise, axis=1, keepdims=True))

    def queries(self, texts: Sequence[str]) -> Vectors:
        """True vectors."""
        return self._own.queries(texts)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Mixtures of three for a chunk, of one for a sentence, [text, dimension]."""
        rows = np.empty((len(texts), self._true.shape[1]), np.float32)
        for place, text in enumerate(texts):
            told = text.encode()
            picked = [zlib.crc32(told, salt) % len(self._true) for salt in range(3 if len(text) > 200 else 1)]
            mixture = self._true[picked].sum(axis=0)
            mixture /= np.linalg.norm(mixture)
            rows[place] = mixture + self._noise[zlib.crc32(told, 9) % _NOISES]
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def measure(data: dict[str, Collection], folder: Path, chunks: int, repeats: int) -> Record:
    """Build a collection in ``folder`` if it is not there, search it, change some files; times in seconds."""
    writer = Writer(data)
    base, files = base_path(folder, chunks), folder / f"files-{chunks}"
    built = folder / f"scale-{chunks}.json"
    if not built.exists():
        built.write_text(json.dumps(build(writer, files, base, chunks)))
    record: Record = json.loads(built.read_text())
    record["size_mb"] = round(base.stat().st_size / 1e6)
    questions = folder / "questions.json"
    questions.write_text(json.dumps(some_questions(data)))
    for mode in ("hybrid", "keyword", "vector"):
        runs = [in_child(base, questions, mode) for _ in range(repeats)]
        record[mode] = {key: round(statistics.median(run[key] for run in runs), 4) for key in runs[0]} | {"runs": runs}
    record["sync"] = sync(writer, files, base, repeats)
    return record


def base_path(folder: Path, chunks: int) -> Path:
    """Where the knowledge base of so many chunks is."""
    return folder / f"scale-{chunks}.db"


def some_questions(data: dict[str, Collection], count: int = 200) -> list[str]:
    """Questions of both languages, in turn."""
    step = 2 * min(len(each.questions) for each in data.values()) // count
    pairs = zip(*(data[lang].questions[::step] for lang in LANGUAGES), strict=True)
    return [each.text for pair in pairs for each in pair][:count]


def build(writer: Writer, files: Path, base: Path, chunks: int) -> Record:
    """Write the files, then index them with mixed vectors."""
    files.mkdir(parents=True, exist_ok=True)
    count = chunks // CHUNKS_A_FILE
    for place in range(count):
        (files / f"{place // 1000:03}").mkdir(exist_ok=True)
        (files / f"{place // 1000:03}" / f"{place:06}.md").write_text(writer.file(), "utf-8")
    for leftover in base.parent.glob(f"{base.name}*"):
        leftover.unlink()
    own = embedder("use")
    mixed = Mixed(own, [text for _ in range(_TRUE_VECTORS // 2) for text in sentences(writer.paragraph())[:2]])
    index = Index(base)
    with only_one(base):
        index.add_roots([files])
    report = Sync(index, mixed, fingerprint(own), loadable=("md",)).run([files])
    index.close()
    seconds = {stage: round(took, 1) for stage, took in report.seconds.items() if stage != "embedding"}
    return {"chunks": report.chunks, "files": count, "seconds": seconds}


def sync(writer: Writer, files: Path, base: Path, repeats: int) -> Record:
    """Change ten files, sync, search; each time other files and in a process that searched before."""
    paths = sorted(files.rglob("*.md"))
    runs = []
    with KnowledgeBase.open(base, embedder="use") as opened:
        opened.search("hello 你好")
        for turn in range(repeats):
            for path in paths[turn :: len(paths) // _CHANGED_FILES][:_CHANGED_FILES]:
                path.write_text(path.read_text("utf-8") + "\n\n" + writer.paragraph() + "\n", "utf-8")
            report = opened.sync()
            assert report.changed == _CHANGED_FILES, report
            started = time.perf_counter()
            opened.search("hello 你好")
            search_s = time.perf_counter() - started
            embedding_s = report.seconds["embedding"]
            runs.append(
                {"all_s": report.elapsed_s, "embedding_s": embedding_s, "rest_s": report.elapsed_s - embedding_s}
                | {f"{stage}_s": report.seconds[stage] for stage in ("looking", "reading", "writing")}
                | {"chunks": report.chunks, "search_after_s": search_s}
            )
    return {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]} | {"runs": runs}


def in_child(base: Path, questions: Path, mode: str) -> Record:
    """Searching, in a process of its own that holds nothing else."""
    command = [sys.executable, "-m", "benchmarks.retrieval_search", str(base), str(questions), mode]
    record: Record = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return record
