"""Answers for other assistants: one at a time, told of as they grow, and given up when nobody wants them any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from chatglm_slim_llm.errors import CheckpointNotFoundError, GenerationError
from chatglm_slim_llm.hosting.assistant import ModelFacts, Piece, Progress, Request
from chatglm_slim_llm.mcp.answers import Answers
from chatglm_slim_llm.mcp.threads import in_thread
from chatglm_slim_llm.storage import Source

SOURCE = Source(number=1, passage_id="a", source="rooms.md", text="Anna lives in KD-402.")


class Scripted:
    """Loads when it may, and says a word whenever it is let."""

    def __init__(self) -> None:
        self.may_load, self.may_speak = threading.Event(), threading.Event()
        self.loads, self.answers, self.given_up, self.is_ready = 0, 0, 0, False

    def is_available(self) -> bool:
        return True

    def is_loaded(self) -> bool:
        return self.is_ready

    def load(self, progress: Progress) -> ModelFacts:
        self.loads += 1
        while not self.may_load.wait(0.01):
            progress("loading", 1, 4)
        self.is_ready = True
        return ModelFacts("scripted", "fp16", "cpu", 2048)

    def stream(self, request: Request) -> Generator[Piece]:
        self.answers += 1
        try:
            yield Piece("KD-402")
            while not self.may_speak.wait(0.01):
                yield Piece()
            yield Piece(" [1]", "stop", sources=(SOURCE,))
        except GeneratorExit:
            self.given_up += 1
            raise

    def close(self) -> None:
        pass


class Ear:
    """What was told, and what to do once a text was."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.heard = {"loading": asyncio.Event(), "KD-402": asyncio.Event(), "waiting": asyncio.Event()}

    async def __call__(self, message: str) -> None:
        self.told.append(message)
        for text, event in self.heard.items():
            if message.startswith(text):
                event.set()


def asked(answers: Answers, ear: Ear) -> asyncio.Task:
    return asyncio.ensure_future(answers.ask(Path("notes.db"), "In which room is Anna?", ear))


async def test_loading_and_the_answer_so_far_are_told():
    assistant, ear = Scripted(), Ear()
    asking = asked(Answers(assistant, "scripted"), ear)
    await ear.heard["loading"].wait()
    assistant.may_load.set()
    await ear.heard["KD-402"].wait()
    assistant.may_speak.set()
    written = await asking
    assert (written.text, written.sources, written.finish_reason) == ("KD-402 [1]", (SOURCE,), "stop")
    steps = list(dict.fromkeys(ear.told))
    assert steps[-3:] == ["loading the model, 25%", "reading the passages", "KD-402"]


async def test_an_answer_that_is_given_up_stops_the_model_before_the_next_begins():
    assistant, first, second = Scripted(), Ear(), Ear()
    assistant.may_load.set()
    answers = Answers(assistant, "scripted")
    giving_up = asked(answers, first)
    await first.heard["KD-402"].wait()
    next_one = asked(answers, second)
    await second.heard["waiting"].wait()
    assert assistant.answers == 1
    giving_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await giving_up
    assert assistant.given_up == 1
    assistant.may_speak.set()
    assert (await next_one).text == "KD-402 [1]"


async def test_a_model_goes_on_loading_when_whoever_asked_first_gives_up():
    assistant, first, second = Scripted(), Ear(), Ear()
    answers = Answers(assistant, "scripted")
    giving_up = asked(answers, first)
    await first.heard["loading"].wait()
    giving_up.cancel()
    next_one = asked(answers, second)
    await second.heard["loading"].wait()
    assistant.may_load.set(), assistant.may_speak.set()
    assert (await next_one).text == "KD-402 [1]"
    assert assistant.loads == 1


async def test_a_model_that_failed_is_loaded_again_by_the_next_question():
    class Failing(Scripted):
        def load(self, progress: Progress) -> ModelFacts:
            if not self.loads:
                self.loads += 1
                raise GenerationError("not enough memory")
            return super().load(progress)

    assistant = Failing()
    assistant.may_load.set(), assistant.may_speak.set()
    answers = Answers(assistant, "scripted")
    with pytest.raises(GenerationError, match="not enough memory"):
        await asked(answers, Ear())
    assert (await asked(answers, Ear())).text == "KD-402 [1]"


async def test_what_would_have_to_be_downloaded_is_only_with_leave():
    class Elsewhere(Scripted):
        def is_available(self) -> bool:
            return False

    assistant = Elsewhere()
    assistant.may_load.set(), assistant.may_speak.set()
    with pytest.raises(CheckpointNotFoundError, match="chatglm-slim pull somebody/something"):
        await asked(Answers(assistant, "somebody/something"), Ear())
    assert assistant.loads == 0
    assert (await asked(Answers(assistant, "somebody/something", may_download=True), Ear())).text == "KD-402 [1]"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration()])
async def test_work_in_a_thread_cannot_end_the_program(error: BaseException):
    def work() -> None:
        raise error

    with pytest.raises(Exception, match=r"end the program|StopIteration"):
        await in_thread(work)
