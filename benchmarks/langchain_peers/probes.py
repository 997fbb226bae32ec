"""One question for each row of the comparison of LangChain chat models, answered by using the model.

A probe takes a `Peer` and returns ``"yes"`` or ``"no"``, with what it saw behind a colon. It knows nothing of any
package: a model that ignores what it is asked for, blocks, or goes on computing in secret gets a no.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.exceptions import ContextOverflowError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from benchmarks.langchain_peers.watching import InFlight, connections, hooked, longest_wait_s, with_patience

QUESTION = "Tell me about your day, please."
_BATCH = 8
_LONG_S = 2.0
_SETTLED_S = 0.3
_WATCHED_S = 0.5


@dataclass(frozen=True)
class Peer:
    """How to get models of one kind, all of them over the same weights."""

    make: Callable[..., BaseChatModel]
    """(``temperature=0``, ``top_p``, ``seed``, ``max_tokens``, ``stop``, ``timeout``, ``cache``; ``rambles=True`` for
    tokens that are as good as random, so that no reply ends early; ``folder``) -> a model. What the kind cannot take
    is left out."""
    many: int
    """Tokens that take it some seconds."""
    context: int
    """Tokens that prompt and reply may have."""
    head: Callable[[], Any]
    """The module that scores tokens, for forward hooks; it runs once in each pass through the weights."""
    copy_weights: Callable[[Path], Path]
    """Copies a checkpoint into a folder and returns the copy's weight file."""
    prompt_tokens: Callable[[str], int] | None = None
    """The true length of the prompt that a question makes, for models whose replies do not tell it."""


Probe = Callable[[Peer], str]


def yes_if(condition: bool, otherwise: str, seen: str = "") -> str:
    """The verdict, with what was seen."""
    if condition:
        return f"yes: {seen}" if seen else "yes"
    return f"no: {otherwise}"


def ask(probe: Probe, peer: Peer) -> str:
    """The verdict of one probe; whatever is raised on the way to it is a no."""
    try:
        return probe(peer)
    except Exception as error:  # the model is anybody's
        verdict = f"no: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}".rstrip(": ")
        return verdict if len(verdict) <= 110 else verdict[:109] + "…"


# --- where it runs ---


def no_network(peer: Peer) -> str:
    """Making a model and asking it connects to no other machine."""
    with connections() as hosts:
        peer.make(max_tokens=4).invoke(QUESTION)
    away = sorted({host for host in hosts if not _is_here(host)})
    return yes_if(not away, f"it connects to {', '.join(away)}")


def no_server(peer: Peer) -> str:
    """Asking it connects to no other process of this machine."""
    with connections() as hosts:
        peer.make(max_tokens=4).invoke(QUESTION)
    return yes_if(not any(map(_is_here, hosts)), "it connects to a server on this machine")


def _is_here(host: str) -> bool:
    return host.startswith(("127.", "::1", "localhost", "/"))


# --- streams, threads, batches ---


def streams(peer: Peer) -> str:
    """Text comes piece by piece, the first of it long before the last."""
    llm = peer.make(rambles=True, max_tokens=32)
    llm.invoke(QUESTION)
    started = time.perf_counter()
    times = [time.perf_counter() - started for chunk in llm.stream(QUESTION) if chunk.content]
    if len(times) < 8:
        return f"no: {len(times)} piece{'s' * (len(times) != 1)} for 32 tokens"
    return yes_if(times[0] < times[-1] / 2, "all pieces come at the end", f"{len(times)} pieces for 32 tokens")


def loop_runs_on(peer: Peer) -> str:
    """The event loop is never held up while a reply is made, whole or as a stream."""
    llm = peer.make(rambles=True, max_tokens=peer.many // 4)
    llm.invoke(QUESTION)

    async def read_stream() -> None:
        async for _ in llm.astream(QUESTION):
            pass

    for name, run in (("ainvoke", lambda: llm.ainvoke(QUESTION)), ("astream", read_stream)):
        longest_s, all_s = asyncio.run(longest_wait_s(run))
        if longest_s > max(all_s / 3, 0.05):
            return f"no: {name} holds the loop up for {longest_s:.2f} of {all_s:.2f} s"
    return "yes"


def batches_in_one_pass(peer: Peer) -> str:
    """Eight replies take about as many passes through the weights as one."""
    llm = peer.make(rambles=True, max_tokens=48)
    counts = [_passes(peer, lambda: llm.invoke(QUESTION)), _passes(peer, lambda: llm.batch([QUESTION] * _BATCH))]
    seen = f"{counts[0]} passes for a reply, {counts[1]} for {_BATCH}"
    return yes_if(counts[1] < 2 * counts[0], seen, seen)


def _passes(peer: Peer, act: Callable[[], Any]) -> int:
    passes: list[int] = []
    with hooked(peer.head(), lambda: passes.append(1)):
        act()
    return len(passes)


def keeps_max_concurrency(peer: Peer) -> str:
    """`batch` with ``max_concurrency=2`` has two replies under way at once, never more."""
    watch = InFlight()
    config: Any = {"max_concurrency": 2, "callbacks": [watch]}
    replies = peer.make(rambles=True, max_tokens=24).batch([QUESTION] * 6, config)
    return yes_if(len(replies) == 6 and watch.most == 2, f"{watch.most} at once")


# --- stop strings ---


def stops_at_a_word(peer: Peer) -> str:
    """A stop string that is a word of the reply ends it, in `invoke` and in `stream`."""
    text = _greedy_reply(peer)
    word = next((word for word in text.split()[2:] if text.split().count(word) == 1), text[6:7])
    return _ends_before(peer, text, word)


def stops_at_several_tokens(peer: Peer) -> str:
    """A stop string of ten letters, from the middle of one token to the middle of another, ends the reply."""
    text = _greedy_reply(peer)
    return _ends_before(peer, text, text[9:19])


def stop_never_shows(peer: Peer) -> str:
    """No part of a stop string is shown in a stream, and nothing behind it."""
    text = _greedy_reply(peer)
    stop = text[9:19]
    shown = "".join(
        str(chunk.content) for chunk in peer.make(temperature=0, max_tokens=40).stream(QUESTION, stop=[stop])
    )
    return yes_if(shown.rstrip() == text[: text.index(stop)].rstrip(), "it is shown")


def _greedy_reply(peer: Peer) -> str:
    text = str(peer.make(temperature=0, max_tokens=40).invoke(QUESTION).content)
    if len(text) < 24:
        raise ValueError(f"the reply {text!r} is too short to stop in it")
    return text


def _ends_before(peer: Peer, text: str, stop: str) -> str:
    llm = peer.make(temperature=0, max_tokens=40)
    wanted = text[: text.index(stop)].rstrip()
    streamed = "".join(str(chunk.content) for chunk in llm.stream(QUESTION, stop=[stop]))
    kept = {"invoke": str(llm.invoke(QUESTION, stop=[stop]).content), "stream": streamed}
    wrong = [way for way, found in kept.items() if found.rstrip() != wanted]
    return yes_if(not wrong, f"{' and '.join(wrong)} {'go' if wrong[1:] else 'goes'} on")


# --- what comes with a reply ---


def tells_usage(peer: Peer) -> str:
    """`invoke` and `stream` count tokens of prompt and reply."""
    llm = peer.make(rambles=True, max_tokens=8)
    streamed = None
    for chunk in llm.stream(QUESTION):
        streamed = chunk if streamed is None else streamed + chunk
    for way, message in (("invoke", llm.invoke(QUESTION)), ("stream", streamed)):
        usage = getattr(message, "usage_metadata", None)
        if not usage:
            return f"no: {way} gives none"
        if usage["output_tokens"] != 8 or usage["input_tokens"] < 3:
            return f"no: {way} says {usage['input_tokens']} and {usage['output_tokens']} for 8 new tokens"
    return "yes"


def tells_why_it_ended(peer: Peer) -> str:
    """``finish_reason`` tells a reply that was cut off from one that is complete."""
    cut = peer.make(rambles=True, max_tokens=3).invoke(QUESTION).response_metadata
    text = _greedy_reply(peer)
    whole = peer.make(temperature=0, max_tokens=40).invoke(QUESTION, stop=[text[9:19]]).response_metadata
    reasons = [about.get("finish_reason") or about.get("done_reason") for about in (cut, whole)]
    return yes_if(reasons == ["length", "stop"], f"{reasons[0]} when cut off, {reasons[1]} when complete")


def counts_text(peer: Peer) -> str:
    """A text counts as many tokens as it adds to a prompt."""
    llm = peer.make(max_tokens=1)
    short, long = QUESTION, QUESTION + " one two three four five six seven" * 8
    counted = llm.get_num_tokens(long) - llm.get_num_tokens(short)
    true = _prompt_tokens(peer, long) - _prompt_tokens(peer, short)
    return yes_if(counted == true, f"it counts {counted} where the prompt has {true} more")


def counts_messages(peer: Peer) -> str:
    """`get_num_tokens_from_messages` is the prompt's length to the token."""
    llm = peer.make(max_tokens=1)
    counted, true = llm.get_num_tokens_from_messages([HumanMessage(QUESTION)]), _prompt_tokens(peer, QUESTION)
    return yes_if(counted == true, f"it counts {counted} where the prompt has {true}")


def _prompt_tokens(peer: Peer, text: str) -> int:
    if peer.prompt_tokens is not None:
        return peer.prompt_tokens(text)
    usage: Any = getattr(peer.make(max_tokens=1).invoke(text), "usage_metadata", None)
    if usage is None:
        raise ValueError("replies have no usage_metadata to compare with")
    return int(usage["input_tokens"])


# --- ends and errors ---


def closing_ends_it(peer: Peer) -> str:
    """Whoever leaves a stream ends its computation."""
    llm = _long_reply(peer)
    leave = threading.Event()

    def read() -> None:
        stream = llm.stream(QUESTION)
        for _ in stream:
            if leave.is_set():
                break
        stream.close()  # type: ignore[attr-defined]

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    time.sleep(0.3)
    leave.set()
    verdict = _is_idle(peer)
    reader.join(timeout=30)
    return verdict


def cancelling_ends_it(peer: Peer) -> str:
    """Cancelling the task of `ainvoke` or `astream` ends its computation."""
    llm = _long_reply(peer)

    async def read() -> None:
        async for _ in llm.astream(QUESTION):
            pass

    async def cancel(reply: Callable[[], Coroutine[Any, Any, Any]]) -> str:
        task = asyncio.create_task(reply())
        await asyncio.sleep(0.3)
        if task.done():
            task.result()
        task.cancel()
        return await asyncio.to_thread(_is_idle, peer)

    for way, reply in (("ainvoke", lambda: llm.ainvoke(QUESTION)), ("astream", read)):
        if (verdict := asyncio.run(cancel(reply))) != "yes":
            return f"no: {way}: {verdict.removeprefix('no: ')}"
    return "yes"


def _long_reply(peer: Peer, **options: Any) -> BaseChatModel:
    """A model whose replies take seconds; that they do is measured, or ends of them would prove nothing."""
    started = time.perf_counter()
    for _ in peer.make(rambles=True, max_tokens=peer.many, seed=3).stream(QUESTION):
        pass
    if (taken_s := time.perf_counter() - started) < _LONG_S:
        raise ValueError(f"a reply of {peer.many} tokens takes {taken_s:.1f} s only; let `many` be larger")
    return peer.make(rambles=True, max_tokens=peer.many, seed=3, **options)


def _is_idle(peer: Peer) -> str:
    """Whether the model has stopped computing, but for the steps that were begun."""
    time.sleep(_SETTLED_S)
    passes = _passes(peer, lambda: time.sleep(_WATCHED_S))
    return yes_if(passes == 0, f"it goes on, with {passes} passes in {_WATCHED_S:g} s")


def times_out(peer: Peer) -> str:
    """A time limit ends the reply with an error, and its computation."""
    llm = _long_reply(peer, timeout=0.5)
    started = time.perf_counter()
    try:
        reply = llm.invoke(QUESTION)
    except Exception as error:
        taken_s = time.perf_counter() - started
        if not (isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower()):
            raise
        return _is_idle(peer) if taken_s < 1.5 else f"no: the error comes after {taken_s:.1f} s"
    is_cut = time.perf_counter() - started < 1.5 and len(str(reply.content)) > 0
    return "no: the reply is cut off without a word" if is_cut else "no: the reply is made to its end"


def error_reaches_the_caller(peer: Peer) -> str:
    """What breaks inside the model is raised at once, with its cause, by `invoke` and by `stream`."""
    llm = peer.make(rambles=True, max_tokens=16)
    for way, act in (("invoke", lambda: llm.invoke(QUESTION)), ("stream", lambda: list(llm.stream(QUESTION)))):
        passes: list[int] = []

        def break_the_third(passes: list[int] = passes) -> None:
            passes.append(1)
            if len(passes) > 2:
                raise RuntimeError("broken on purpose")

        with hooked(peer.head(), break_the_third):
            error = with_patience(act, patience_s=8)
        if error is None:
            return f"no: {way} hides it, or still waits after 8 s"
        if "broken on purpose" not in _causes(error):
            return f"no: {way} raises {type(error).__name__} without the cause"
    return "yes"


def _causes(error: BaseException | None) -> str:
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return " <- ".join(texts)


def says_that_the_prompt_is_too_long(peer: Peer) -> str:
    """A prompt that does not fit raises LangChain's `ContextOverflowError`."""
    try:
        peer.make(max_tokens=4).invoke("one two three " * (peer.context // 2))
    except ContextOverflowError:
        return "yes"
    return "no: it answers as if it had read all of it"
