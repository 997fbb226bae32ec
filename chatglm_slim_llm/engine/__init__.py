"""Token ids in, text deltas out: sampling, stopping, cancelling and fitting the prompt."""

from __future__ import annotations

from chatglm_slim_llm.engine.engine import Delta, Engine, FinishReason, Request, Statistics
from chatglm_slim_llm.engine.fitting import FittedPrompt, Round, fit_prompt
from chatglm_slim_llm.engine.polish import Polisher, polish
from chatglm_slim_llm.engine.sampling import Sampler, fix_invalid, sample_probs
from chatglm_slim_llm.engine.stopping import StopScanner

__all__ = [
    "Delta",
    "Engine",
    "FinishReason",
    "FittedPrompt",
    "Polisher",
    "Request",
    "Round",
    "Sampler",
    "Statistics",
    "StopScanner",
    "fit_prompt",
    "fix_invalid",
    "polish",
    "sample_probs",
]
