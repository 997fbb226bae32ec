"""``chatglm-slim bench``: how fast a model runs here, and how fast this machine could be."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

from chatglm_slim_llm.config import KVCacheDtype, Quantization
from chatglm_slim_llm.errors import ConfigError


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``bench`` to the command line."""
    parser = commands.add_parser(
        "bench",
        help="measure speed and memory, next to what this machine could do",
        description="Run a model and print its speed and memory, next to the read bandwidth and the arithmetic peak of "
        "this machine, measured in the same run. Close other programs first.",
    )
    parser.add_argument(
        "--shape",
        default="demo",
        metavar="6b|demo|FOLDER",
        help="6b: the sizes of ChatGLM-6B-Slim with random weights, nothing is downloaded; or a checkpoint",
    )
    parser.add_argument("--layers", type=_count, help="fewer layers of that shape, for a quick run (with 6b only)")
    parser.add_argument(
        "--level", choices=get_args(Quantization), default="int4", help="how the weights are stored (int4)"
    )
    parser.add_argument(
        "--kv-cache-dtype",
        choices=get_args(KVCacheDtype),
        default="auto",
        help="how keys and values are kept (auto: int8 at int4)",
    )
    parser.add_argument("--prompt", type=_count, default=128, help="tokens of the prompt (128)")
    parser.add_argument("--new", type=_count, default=32, help="tokens of the reply (32)")
    parser.add_argument("--batch", type=_count, default=1, help="sequences that decode together (1)")
    parser.add_argument("--threads", type=_count, help="threads; torch's own number if not given")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.prompt < 3:
        raise ConfigError(f"--prompt is {args.prompt}; it must be 3 or more: a word, [gMASK] and <sop>", key="prompt")
    if args.new < 2:
        raise ConfigError(f"--new is {args.new}; it must be 2 or more, as the first belongs to the prompt", key="new")
    if args.layers and args.shape != "6b":
        raise ConfigError("--layers works with --shape 6b only; a checkpoint has the layers it has", key="layers")
    import torch

    from chatglm_slim_llm.cli.measuring import Workload, load_shape, measure
    from chatglm_slim_llm.weights import want_kernels

    want_kernels(torch.device("cpu"), args.kv_cache_dtype)  # before gigabytes are made for nothing
    if args.threads:
        torch.set_num_threads(args.threads)
    model, start_s = load_shape(args.shape, args.level, args.layers)
    workload = Workload(prompt=args.prompt, new=args.new, batch=args.batch, kv_cache_dtype=args.kv_cache_dtype)
    with ThreadPoolExecutor(1) as engine:  # as in use: memory comes and goes otherwise in a program's first thread
        figures = engine.submit(measure, model, workload, args.level).result()
    figures = {"shape": args.shape, "layers": model.config.num_layers, "start_s": start_s} | figures
    print(json.dumps(figures, indent=2) if args.json else as_text(figures))
    return 0


def as_text(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    f = figures
    lines = [
        f"{f['shape']} at {f['level']}, {f['layers']} layers, {f['weights_gb']:.2f} GB of weights, "
        f"{f['threads']} threads, {f['kernels']} kernels, {f['kv_cache_dtype']} keys and values",
        f"  prefill        {f['prefill_tokens_per_s']:8.1f} tokens/s   ({f['batch']} x {f['prompt']} tokens)",
        f"  first token    {f['ttft_s']:8.2f} s",
        f"  decode         {f['decode_tokens_per_s']:8.1f} tokens/s   ({f['batch']} at a time)",
    ]
    if f["peak_memory_gb"] is not None:
        lines.append(f"  peak memory    {f['peak_memory_gb']:8.2f} GB")
    if f["bandwidth_gb_s"] is not None and f["attention_step_s"] is not None:
        lines += [
            f"  weights read   {f['decode_read_gb_s']:8.1f} GB/s       "
            f"{f['decode_bandwidth_fraction']:.0%} of this machine's {f['bandwidth_gb_s']:.1f}",
            f"  products       {f['prefill_gflop_s']:8.0f} GFLOP/s    "
            f"{f['prefill_peak_fraction']:.0%} of this machine's {f['gemm_gflop_s']:.0f} "
            f"(int8 by int{f['gemm_weight_bits']})",
            f"  attention      {f['attention_step_s'] / f['step_s']:8.1%} of a decoding step",
            f"  Python, torch  {f['other_share']:8.1%}",
        ]
    return "\n".join(lines)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; give a whole number of 1 or more")
    return int(text)
