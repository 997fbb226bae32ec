"""The rows of the comparison, in their order: what is asked, and by which probe."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.langchain_peers import calls, keeping, probes
from benchmarks.langchain_peers.probes import Probe

STANDARD = "standard_tests"


@dataclass(frozen=True)
class Row:
    """One question."""

    title: str
    probe: Probe

    @property
    def key(self) -> str:
        """Names the row in the results."""
        return self.probe.__name__


ROWS = (
    Row("needs no network", probes.no_network),
    Row("needs no server", probes.no_server),
    Row("tokens as they are made", probes.streams),
    Row("async never holds the event loop up", probes.loop_runs_on),
    Row("a batch in common passes through the weights", probes.batches_in_one_pass),
    Row("`max_concurrency` is kept", probes.keeps_max_concurrency),
    Row("stop strings end a reply", probes.stops_at_a_word),
    Row("stop strings of several tokens", probes.stops_at_several_tokens),
    Row("no part of a stop string shows in a stream", probes.stop_never_shows),
    Row("tools reach the prompt", calls.tools_reach_the_prompt),
    Row("`tool_choice` forces a call of that tool", calls.obeys_tool_choice),
    Row("arguments of calls always fit the schema", calls.calls_are_valid),
    Row("calls stream piece by piece", calls.calls_stream),
    Row("structured output: `json_schema`", calls.gives_json_schema),
    Row("structured output: `function_calling`", calls.gives_by_calling),
    Row("structured output: `json_mode`", calls.gives_json),
    Row("output valid at any token budget, or an error says it is too small", calls.valid_at_any_budget),
    Row("`usage_metadata`", probes.tells_usage),
    Row("finish reason", probes.tells_why_it_ended),
    Row("`get_num_tokens` is true", probes.counts_text),
    Row("`get_num_tokens_from_messages` is the prompt's length", probes.counts_messages),
    Row("... with tools", calls.counts_tools),
    Row("closing a stream ends the computation", probes.closing_ends_it),
    Row("cancelling a task ends the computation", probes.cancelling_ends_it),
    Row("timeout", probes.times_out),
    Row("an error reaches the caller at once, with its cause", probes.error_reaches_the_caller),
    Row("a prompt too long is a `ContextOverflowError`", probes.says_that_the_prompt_is_too_long),
    Row("a seed repeats a reply", keeping.repeats_with_a_seed),
    Row("cache key holds the sampling options", keeping.cache_tells_options_apart),
    Row("cache key holds the checkpoint", keeping.cache_tells_checkpoints_apart),
    Row("`dumps` and `loads`", keeping.can_be_stored),
    Row("profile with the input limit", keeping.has_a_profile),
    Row("LangSmith parameters", keeping.tells_langsmith),
)
