"""The real demo model in its own process, under the terminal's worker, inside a running Textual app."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from textual.app import App

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.hosting.assistant import Request, Turn
from chatglm_slim_llm.hosting.client import ProcessAssistant
from chatglm_slim_llm.storage import ConversationStore
from tests.integration.test_hosting_process import is_gone
from tui import messages
from tui.worker import ModelWorker

ASKED = Request([Turn("human", "介绍一下你自己")], parameters={"temperature": 0})


class Host(App[None]):
    """Keeps what the worker posts."""

    def __init__(self):
        super().__init__()
        self.posted = []

    async def wait_for(self, kind, count=1):
        async with asyncio.timeout(60):
            while len(found := [message for message in self.posted if isinstance(message, kind)]) < count:
                await asyncio.sleep(0.01)
        return found[count - 1]


def keep_posted(app):
    return lambda message: app.call_from_thread(app.posted.append, message)


@pytest.mark.slow
async def test_a_reply_a_stop_and_a_killed_model_in_one_sitting(tmp_path):
    store, app, assistant = ConversationStore.open(tmp_path / "history.db"), Host(), ProcessAssistant(LoadOptions())
    async with app.run_test():
        worker = ModelWorker(assistant, store, keep_posted(app))

        def ask():
            _, answer = store.begin(None, None, "介绍一下你自己")
            worker.reply(answer.id, ASKED)
            return answer.id

        first = ask()
        facts = (await app.wait_for(messages.ModelReady)).facts
        assert facts.memory_bytes > facts.memory_before_bytes > 0
        finished = await app.wait_for(messages.ReplyFinished)
        assert (finished.message_id, finished.finish_reason) == (first, "stop")
        assert finished.figures.tokens_per_s > 0

        deltas = len([message for message in app.posted if isinstance(message, messages.ReplyDelta)])
        ask()
        await app.wait_for(messages.ReplyDelta, deltas + 1)
        worker.stop()
        stopped = await app.wait_for(messages.ReplyFinished, 2)
        assert stopped.finish_reason in ("cancelled", "stop")
        assert worker.facts == facts

        os.kill(assistant.pid, signal.SIGSTOP)  # amid its work, wherever it is
        failing, killed = ask(), assistant.pid
        await asyncio.sleep(0.2)
        os.kill(killed, signal.SIGKILL)
        failed = await app.wait_for(messages.ReplyFailed)
        assert failed.message_id == failing
        assert "was ended by the system, most likely for lack of memory (signal 9)" in failed.reason
        assert (await app.wait_for(messages.ModelFailed)).reason == failed.reason
        assert worker.facts is None

        ask()
        again = await app.wait_for(messages.ReplyFinished, 3)
        assert (again.finish_reason, again.figures.output_tokens) == ("stop", finished.figures.output_tokens)
        last = assistant.pid
        assert await asyncio.to_thread(worker.close, 10)
        assert is_gone(last)
    store.close()
