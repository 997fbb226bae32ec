"""Token ids in, text deltas out: sampling, stopping, cancelling, sharing steps and fitting the prompt."""

from __future__ import annotations

from chatglm_slim_llm.engine.engine import Engine, Request
from chatglm_slim_llm.engine.fitting import FittedPrompt, Round, fit_prompt, prompt_text
from chatglm_slim_llm.engine.formats import CALL_START, CallsFormat, Format, JsonFormat
from chatglm_slim_llm.engine.grammar.compiling import check_format
from chatglm_slim_llm.engine.polish import Polisher, polish
from chatglm_slim_llm.engine.reply import Delta, FinishReason, Statistics
from chatglm_slim_llm.engine.sampling import Sampler, fix_invalid, sample_probs
from chatglm_slim_llm.engine.stopping import StopScanner

__all__ = [
    "CALL_START",
    "CallsFormat",
    "Delta",
    "Engine",
    "FinishReason",
    "FittedPrompt",
    "Format",
    "JsonFormat",
    "Polisher",
    "Request",
    "Round",
    "Sampler",
    "Statistics",
    "StopScanner",
    "check_format",
    "fit_prompt",
    "fix_invalid",
    "polish",
    "prompt_text",
    "sample_probs",
]
