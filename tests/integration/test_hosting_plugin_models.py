"""Chat models of plugins: any of LangChain's answers in the terminal, and none takes it down."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing

import pytest

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import ConfigError, GenerationError, PluginError
from chatglm_slim_llm.hosting import client
from chatglm_slim_llm.hosting.assistant import Request, Turn
from chatglm_slim_llm.hosting.client import ProcessAssistant
from chatglm_slim_llm.hosting.local import LocalAssistant
from tests.integration.test_hosting_process import is_gone
from tests.plugin_folder import SCRIPTED, PluginFolder

BASE = """
import asyncio, os, sys, time
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

class Base(BaseChatModel):
    @property
    def _llm_type(self): return "test"
    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=self.reply(messages))])
    def reply(self, messages): return AIMessage("whole")

class make(Base):
"""
MODELS = {
    "whole": "    def reply(self, messages): return AIMessage('whole', response_metadata={'done_reason': 'length'})",
    "async-only": """
    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for word in ("one ", "two"):
            await asyncio.sleep(0)
            yield ChatGenerationChunk(message=AIMessageChunk(word))
    """,
    "hangs": "    def reply(self, messages): time.sleep(30)",
    "hangs-async": """
    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.sleep(30)
        yield
    """,
    "raises": "    def reply(self, messages): raise ValueError('quota\\nexceeded')",
    "exits": "    def reply(self, messages): sys.exit(4)",
    "dies": "    def reply(self, messages): os._exit(4)",
    "odd": "    def reply(self, messages): return 3",
    "prints": "    def reply(self, messages): print('noise'); return AIMessage('quiet')",
    "counts": """
    profile: dict = {"max_input_tokens": 100}
    def get_token_ids(self, text): return [0] * (10 * len(text))
    """,
    "cannot-count": "    def get_token_ids(self, text): raise ImportError('no tokenizer')",
}
BROKEN = {
    "import-raises": ("raise ValueError('no licence')", "no licence"),
    "import-exits": ("import sys; sys.exit(2)", "SystemExit: 2"),
    "wrong-type": ("def make(): return 'text'", "gave str; it must give a LangChain BaseChatModel"),
    "newer": ("CHATGLM_SLIM_API = 99\nraise ValueError", "needs version 99"),
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = PluginFolder(tmp_path_factory.mktemp("plugins"), patch)
        folder.add("models", "scripted", SCRIPTED, "temperature = 0.25")
        for name, body in MODELS.items():
            folder.add("models", name, BASE + body)
        for name, (source, _) in BROKEN.items():
            folder.add("models", name, source)
        folder.add("models", "import-hangs", "import time; time.sleep(60)")
        patch.setenv("CHATGLM_SLIM_HOME", str(folder.file.parent))
        yield folder


@pytest.fixture
def assistant_of(plugins):
    """Loads the model of a plugin, in this process or in one of its own."""
    made = []

    def assistant_of(name, kind=LocalAssistant):
        assistant = kind(LoadOptions(model=f"plugin:{name}"))
        made.append(assistant)
        assistant.load(nothing)
        return assistant

    yield assistant_of
    for assistant in made:
        assistant.close()


def nothing(what, done, total):
    pass


def ask(*texts, **more):
    return Request([Turn("human" if n % 2 == 0 else "ai", text) for n, text in enumerate(texts)], **more)


def reply(assistant, request):
    with closing(assistant.stream(request)) as stream:
        pieces = list(stream)
    assert [piece for piece in pieces if piece.finish_reason] == pieces[-1:]
    return "".join(piece.text for piece in pieces), pieces[-1]


@pytest.mark.long
@pytest.mark.parametrize("kind", [LocalAssistant, ProcessAssistant])
def test_a_model_of_a_plugin_answers_with_its_facts_and_figures(plugins, kind):
    assistant = kind(LoadOptions(model="plugin:scripted"))
    assert assistant.is_available()
    seen = []
    with closing(assistant):
        facts = assistant.load(lambda *progress: seen.append(progress))
        assert (facts.name, facts.quantization, facts.device, facts.context) == ("plugin:scripted", "", "", 8192)
        assert ("importing scripted", 0, 0) in seen
        text, last = reply(assistant, ask("hello", system="be brief"))
        assert text == "<2 messages, 0.25, None, None, ()>"
        assert last.finish_reason == "stop"
        assert (last.figures.output_tokens, last.figures.prompt_tokens, last.figures.limit) == (7, 11, 8192)
        assert last.figures.first_token_s >= 0


def test_parameters_that_the_model_has_are_given_to_it_and_others_are_left_out(assistant_of):
    parameters = {"temperature": 0.75, "max_tokens": 9, "stop": "end", "top_k": 3, "repetition_penalty": 1.5}
    assistant = assistant_of("scripted")
    assert reply(assistant, ask("hello", parameters=parameters))[0] == "<1 messages, 0.75, 9, ['end'], ()>"
    assert "0.25" in reply(assistant, ask("hello"))[0]  # the next answer has its own again
    with pytest.raises(ConfigError, match="temperature"):
        reply(assistant, ask("hello", parameters={"temperature": "hot"}))


def test_a_model_that_does_not_stream_and_one_that_only_streams_async_answer_too(assistant_of):
    text, last = reply(assistant_of("whole"), ask("hello"))
    assert (text, last.finish_reason) == ("whole", "length")
    assert last.figures.output_tokens is None
    assert reply(assistant_of("async-only"), ask("hello"))[0] == "one two"


def test_tokens_are_counted_by_the_model_or_estimated(assistant_of):
    counts = assistant_of("counts")
    assert counts.count(ask("four")).question_tokens == 40
    assert counts.load(nothing).context == 100
    estimated = assistant_of("cannot-count").count(ask("four words of English"))
    assert 4 <= estimated.question_tokens <= 8
    assert estimated.limit == 8192


def test_the_oldest_rounds_that_do_not_fit_are_left_out_and_counted(assistant_of):
    counts = assistant_of("counts")
    request = ask("aa", "bb", "cc", "dd", "ee")
    use = counts.count(request)
    assert (use.dropped_rounds, use.limit) == (1, 100)
    assert use.tokens == 72  # three turns of two letters at ten tokens, and four around each
    assert reply(counts, request)[1].dropped_rounds == 1


@pytest.mark.parametrize(
    ("name", "words", "kind"),
    [
        ("raises", "models.raises failed: ValueError: quota$", LocalAssistant),
        ("exits", "models.exits failed: .*SystemExit: 4", LocalAssistant),
        ("exits", "models.exits failed: .*SystemExit: 4", ProcessAssistant),
    ],
)
def test_what_a_model_raises_is_one_sentence(assistant_of, name, words, kind):
    assistant = assistant_of(name, kind)
    with pytest.raises(GenerationError, match=words):
        reply(assistant, ask("hello"))
    assert assistant.is_loaded()


def test_a_model_that_gives_what_is_no_reply_is_one_sentence(assistant_of, capsys):
    with pytest.raises(GenerationError, match=r"models.odd failed"):
        reply(assistant_of("odd"), ask("hello"))
    assert reply(assistant_of("prints"), ask("hello"))[0] == "quiet"
    assert capsys.readouterr().out == ""


@pytest.mark.long
def test_a_model_that_ends_its_process_is_named(assistant_of):
    assistant = assistant_of("dies", ProcessAssistant)
    with pytest.raises(
        GenerationError, match=r"The process of the plugin models.dies ended by itself \(exit status 4\)"
    ):
        reply(assistant, ask("hello"))
    assert not assistant.is_loaded()


@pytest.mark.parametrize(
    ("name", "kind"), [("hangs", LocalAssistant), ("hangs-async", LocalAssistant), ("hangs", ProcessAssistant)]
)
def test_a_stop_does_not_wait_for_a_model_that_hangs(assistant_of, monkeypatch, name, kind):
    monkeypatch.setattr(client, "_STOP_S", 20)  # after which the process is ended
    assistant = assistant_of(name, kind)
    stream = assistant.stream(ask("hello"))
    next(stream)
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 10
    assert assistant.is_loaded()


@pytest.mark.parametrize("name", BROKEN)
def test_a_plugin_that_cannot_be_loaded_is_one_sentence_that_names_it(plugins, name):
    assistant = LocalAssistant(LoadOptions(model=f"plugin:{name}"))
    with pytest.raises(PluginError, match=BROKEN[name][1]) as caught:
        assistant.load(nothing)
    assert f"models.{name}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_a_plugin_whose_import_ends_its_process_is_named(plugins):
    plugins.add("models", "import-dies", "import os; os._exit(9)")
    assistant = ProcessAssistant(LoadOptions(model="plugin:import-dies"))
    with pytest.raises(GenerationError, match=r"process of the plugin models.import-dies .*exit status 9"):
        assistant.load(nothing)
    assert assistant.pid is None


@pytest.mark.long
def test_an_import_that_hangs_can_be_cancelled(plugins):
    class StoppedError(Exception):
        pass

    def progress(what, done, total):
        pids.append(assistant.pid)
        if what == "importing import-hangs":
            raise StoppedError

    pids: list[int] = []
    assistant = ProcessAssistant(LoadOptions(model="plugin:import-hangs"))
    with pytest.raises(StoppedError):
        assistant.load(progress)
    assert is_gone(pids[0])
    with pytest.raises(StoppedError):
        LocalAssistant(LoadOptions(model="plugin:import-hangs")).load(progress)


def test_a_plugin_that_is_not_there_says_which_there_are(plugins):
    with pytest.raises(PluginError, match="did you mean 'scripted'"):
        LocalAssistant(LoadOptions(model="plugin:scriptd")).load(nothing)


@pytest.mark.long
def test_a_model_of_a_plugin_brings_no_torch(plugins):
    code = (
        "import sys\n"
        "from chatglm_slim_llm.config import LoadOptions\n"
        "from chatglm_slim_llm.hosting.assistant import Request, Turn\n"
        "from chatglm_slim_llm.hosting.local import LocalAssistant\n"
        "assistant = LocalAssistant(LoadOptions(model='plugin:scripted'))\n"
        "assistant.load(lambda *progress: None)\n"
        "assert list(assistant.stream(Request([Turn('human', 'hi')])))\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
