"""Train the demo checkpoint: `python -m training.train --publish`, and `--resume` to go on after a stop.

`--start FOLDER --first-step N` begins with the weights of a checkpoint, as if step N had just been done: a new run over
the last stretches of the schedule, with its own learning rates.

A run is cut into chapters of steps. Each chapter draws its data from the seed and its own number, and ends with a saved
state, so a resumed run sees what an uninterrupted one would have seen.
"""

import argparse
import json
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn

from chatglm_slim_llm.model import ChatGLMForConditionalGeneration
from training.chat import load_facts, load_unknown
from training.evaluate import quick_scores
from training.export import export
from training.mixture import SampleWriter, batches, load_schedule
from training.network import logits, new_model
from training.optim import Muon
from training.report import write_report
from training.samples import Encoder
from training.tokenizer import CONTROLS, build_tokenizer

CHAPTER = 100
"""Steps between two saved states."""
SCORED = 8
"""Chapters between two quick evaluations and exports."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Everything that decides the outcome of a run, but the texts."""

    seed: int = 1
    first_step: int = 0
    """Where the run begins in the schedule; more than 0 when it starts from a checkpoint."""
    steps: int = 5400
    workers: int = 2
    """Processes with one thread each that share every step; more threads would wait for each other at every product."""
    tokens: int = 2048
    """Tokens a step and worker, padding included."""
    ramp: float = 0.3
    """Share of all steps over which the passages grow to their full length."""
    num_layers: int = 6
    hidden_size: int = 256
    matrix_lr: float = 3e-3
    """Muon's, for the matrices of the blocks."""
    other_lr: float = 2e-3
    """AdamW's, for embeddings, norms and biases."""
    warmup: int = 60
    decay: float = 0.7
    """Share of the steps at the end over which the learning rates fall to zero."""
    average: float = 0.995
    """Weight of the past in the running average of the weights, which is what is exported."""


class Run:
    """The state of one training run."""

    def __init__(self, out: Path, options: RunOptions, worker: int) -> None:
        self.out, self.options, self.worker = out, options, worker
        torch.manual_seed(options.seed)
        self.encoder = Encoder(out / "ice_text.model")
        specials = {piece: self.encoder.id_of(piece) for piece in (*CONTROLS, "<pad>")}
        rows = -(-self.encoder.size // 64) * 64
        sizes = {"num_layers": options.num_layers, "hidden_size": options.hidden_size}
        self.model = new_model(rows, specials, **sizes)
        self.average = new_model(rows, specials, **sizes)
        self.average.load_state_dict(self.model.state_dict())
        self.optimizers = _optimizers(self.model, options, worker)
        self.rates = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]
        self.step, self.elapsed_s, self.tokens_seen = options.first_step, 0.0, 0
        self.facts, self.unknown, self.schedule = load_facts(), load_unknown(), load_schedule()

    def save(self) -> None:
        """Write the state beside its target, then rename it."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "counters": {"step": self.step, "elapsed_s": self.elapsed_s, "tokens_seen": self.tokens_seen},
        }
        partial = self.out / "state.pt.partial"
        torch.save(state, partial)
        partial.replace(self.out / "state.pt")

    def start(self, checkpoint: Path) -> None:
        """Begin with the weights of a finished checkpoint."""
        weights = load_file(checkpoint / "model.safetensors")
        for model in (self.model, self.average):
            left = model.load_state_dict(weights, strict=False)
            assert left.missing_keys == ["lm_head.weight"], left
            assert not left.unexpected_keys, left

    def load(self) -> None:
        """Read the state of the last finished chapter."""
        state: dict[str, Any] = torch.load(self.out / "state.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        counters = state["counters"]
        self.step, self.elapsed_s = counters["step"], counters["elapsed_s"]
        self.tokens_seen = counters["tokens_seen"]

    def chapter(self) -> Iterator[float]:
        """Train one chapter; yields the loss of each step."""
        options = self.options
        seed = random.Random(f"{options.seed} {self.step // CHAPTER} {self.worker}").getrandbits(32)
        level = min(1.0, 0.1 + self.step / max(1.0, options.ramp * options.steps))
        mixture = next((stretch for stretch in self.schedule if self.step < stretch.until), self.schedule[-1])
        writer = SampleWriter(self.encoder, mixture, level, seed, self.facts, self.unknown)
        source = batches(writer, options.tokens)
        for batch in source:
            started = time.monotonic()
            for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
                optimizer.param_groups[0]["lr"] = rate * _schedule(self.step, options)
            losses = F.cross_entropy(logits(self.model, batch), batch.targets, reduction="none")
            self.model.zero_grad()
            (losses @ batch.weights / batch.weights.sum()).backward()  # type: ignore[no-untyped-call]
            self._share_gradients()
            nn.utils.clip_grad_norm_(self.optimizers[1].param_groups[0]["params"], 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
            self._update_average()
            self.step += 1
            self.elapsed_s += time.monotonic() - started
            self.tokens_seen += batch.input_ids.numel() * options.workers
            yield losses.mean().item()
            if self.step % CHAPTER == 0 or self.step >= options.steps:
                return

    def _share_gradients(self) -> None:
        """Every worker goes on with the mean of all gradients, so their weights stay the same."""
        grads = [param.grad for param in self.model.parameters() if param.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        distributed.all_reduce(flat)
        flat /= self.options.workers
        for grad, mean in zip(grads, torch.split(flat, [grad.numel() for grad in grads]), strict=True):
            grad.copy_(mean.view_as(grad))

    @torch.no_grad()
    def _update_average(self) -> None:
        done = self.step - self.options.first_step
        keep = min(self.options.average, (done + 1) / (done + 10))
        for average, param in zip(self.average.parameters(), self.model.parameters(), strict=True):
            average.lerp_(param, 1 - keep)


def train(out: Path, options: RunOptions, *, resume: bool, start: Path | None = None) -> None:
    """Run to the end; writes state, log and the exported checkpoint under `out`.

    Args:
        out: the run's folder.
        options: what decides the outcome.
        resume: go on from the state saved there.
        start: a checkpoint whose weights and tokenizer the run begins with; None begins with nothing.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not resume:
        if start is None:
            build_tokenizer(out / "ice_text.model")
        else:
            shutil.copyfile(start / "ice_text.model", out / "ice_text.model")
        (out / "log.jsonl").write_text("")
    (out / "options.json").write_text(json.dumps(asdict(options), indent=1))
    (out / "meeting").unlink(missing_ok=True)
    spawn(_work, (out, options, resume, start), nprocs=options.workers)  # type: ignore[no-untyped-call]


def _work(worker: int, out: Path, options: RunOptions, resume: bool, start: Path | None) -> None:
    """What each worker does; the first one also keeps the state and the log."""
    torch.set_num_threads(1)
    meeting = (out / "meeting").resolve().as_uri()
    distributed.init_process_group("gloo", init_method=meeting, rank=worker, world_size=options.workers)
    run = Run(out, options, worker)
    if resume:
        run.load()
    elif start is not None:
        run.start(start)
    while run.step < options.steps:
        losses = list(run.chapter())
        if worker == 0:
            run.save()
            _report(run, sum(losses) / len(losses))
    distributed.destroy_process_group()


def _report(run: Run, loss: float) -> None:
    """One line in the log for each chapter; now and then scores and an export too."""
    line: dict[str, Any] = {
        "step": run.step,
        "tokens": run.tokens_seen,
        "minutes": round(run.elapsed_s / 60, 2),
        "loss": round(loss, 4),
    }
    if run.step // CHAPTER % SCORED == 0 or run.step >= run.options.steps:
        line |= quick_scores(run.average, run.encoder, run.facts, run.unknown)
        export(run.average, run.out / "ice_text.model", run.out / "checkpoint")
    with (run.out / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def _optimizers(
    model: ChatGLMForConditionalGeneration, options: RunOptions, worker: int
) -> list[torch.optim.Optimizer]:
    blocks = [p for p in model.transformer.layers.parameters() if p.dim() == 2]
    inside = {id(p) for p in blocks}
    others = [p for p in model.parameters() if id(p) not in inside]
    return [
        Muon(blocks, options.matrix_lr, (worker, options.workers, distributed.all_reduce)),
        torch.optim.AdamW(others, options.other_lr, betas=(0.9, 0.98), eps=3e-6, weight_decay=0.0),
    ]


def _schedule(step: int, options: RunOptions) -> float:
    """Warm up, stay, fall to zero."""
    done, steps = step - options.first_step, options.steps - options.first_step
    return min(1.0, (done + 1) / options.warmup, (steps - done) / (options.decay * steps))


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="the run's folder")
    parser.add_argument(
        "--publish", action="store_true", help="put the result into chatglm_slim_llm/demo/ and training/"
    )
    parser.add_argument("--start", type=Path, help="a checkpoint folder to begin with")
    parser.add_argument("--resume", action="store_true", help="go on from the state saved in --out")
    for name, value in asdict(RunOptions()).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    arguments = vars(parser.parse_args())
    out, resume, publish, start = (arguments.pop(name) for name in ("out", "resume", "publish", "start"))
    train(out, RunOptions(**arguments), resume=resume, start=start)
    write_report(out, out / "checkpoint", out / "report")
    if publish:
        here = Path(__file__).parent
        shutil.copytree(out / "checkpoint", here.parent / "chatglm_slim_llm" / "demo", dirs_exist_ok=True)
        shutil.copytree(out / "report", here, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
