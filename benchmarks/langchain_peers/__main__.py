"""Asks one kind of LangChain chat model everything, and writes the table of all kinds.

    python -m benchmarks.langchain_peers --peer ours --out benchmarks/results/langchain_peers.json
    python -m benchmarks.langchain_peers --peer huggingface --checkpoint FOLDER --many 4000 --out …
    python -m benchmarks.langchain_peers --table docs/comparison.md

A peer runs in an interpreter that has its package (``pip install torch==2.13.0``, then ``langchain-huggingface
langchain-tests``); ``HF_HUB_OFFLINE=1`` shows that it needs no hub. ``--rows`` asks only some questions. Peers that
need a server have cells with the line of their source that decides; those were read, not run.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.langchain_peers.contenders import huggingface, ollama, ours, versions
from benchmarks.langchain_peers.probes import Peer, ask
from benchmarks.langchain_peers.rows import ROWS, STANDARD
from benchmarks.langchain_peers.standard import passed_standard_tests
from benchmarks.langchain_peers.table import rewrite

RESULTS = Path(__file__).parents[1] / "results" / "langchain_peers.json"
_PACKAGES = {
    "ours": ("chatglm-slim-llm", "langchain-core", "langchain-tests", "torch", "transformers"),
    "ollama": ("langchain-ollama", "ollama", "langchain-core"),
    "huggingface": ("langchain-huggingface", "langchain-core", "langchain-tests", "torch", "transformers"),
}


def main() -> None:
    """Ask, print and write."""
    given = _arguments()
    if given.peer:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        keys = given.rows or [row.key for row in ROWS] + [STANDARD]
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = given.checkpoint or Path(folder) / "tiny-llama"
            verdicts = answers(given.peer, _peer(given, checkpoint), checkpoint, keys)
        if given.out:
            _merge(given.out, given.peer, verdicts, given.on)
    if given.table:
        text = given.table.read_text(encoding="utf-8")
        given.table.write_text(rewrite(text, json.loads(given.results.read_text(encoding="utf-8"))), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.langchain_peers", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=list(_PACKAGES))
    parser.add_argument("--checkpoint", type=Path, help="of huggingface; without it a tiny random model is made")
    parser.add_argument("--many", type=int, default=4000, help="tokens that take huggingface's model some seconds")
    parser.add_argument("--rows", nargs="+", metavar="KEY")
    parser.add_argument("--on", default="", help="what the model is called, where it is not the column's usual one")
    parser.add_argument("--out", type=Path, help="results to put the verdicts into")
    parser.add_argument("--table", type=Path, help="page to write the table into")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def _peer(given: argparse.Namespace, checkpoint: Path) -> Peer:
    if given.peer == "huggingface":
        return huggingface(checkpoint, many=given.many)
    return ours() if given.peer == "ours" else ollama()


def answers(name: str, peer: Peer, checkpoint: Path, keys: Sequence[str]) -> dict[str, str]:
    """The verdict of each row in ``keys``, printed as it comes."""
    verdicts: dict[str, str] = {}
    for row in ROWS:
        if row.key in keys:
            verdicts[row.key] = ask(row.probe, peer)
            print(f"{row.title:55} {verdicts[row.key]}", flush=True)
    if STANDARD in keys:
        verdicts[STANDARD] = passed_standard_tests(name, checkpoint)
        print(f"{'standard tests passed':55} {verdicts[STANDARD]}", flush=True)
    return verdicts


def _merge(path: Path, name: str, verdicts: dict[str, str], model: str) -> None:
    """Replace the cells that were asked now; others, and notes that were written by hand, stay."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    column = results["columns"][name]
    column |= {"versions": versions(*_PACKAGES[name]), "date": date.today().isoformat()}
    for key, verdict in verdicts.items():
        kept = {"note": note} if (note := column["cells"].get(key, {}).get("note")) else {}
        column["cells"][key] = {"verdict": verdict, "from": f"run on {model}" if model else "run"} | kept
    path.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
