"""The demo model, in this process and in one of its own: what holds for both, and what only the second can promise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import (
    ChatGLMSlimError,
    CheckpointNotFoundError,
    ConfigError,
    GenerationError,
    PluginNotFoundError,
    RetrievalError,
)
from chatglm_slim_llm.hosting.assistant import Request, Turn
from chatglm_slim_llm.hosting.client import ProcessAssistant
from chatglm_slim_llm.hosting.local import LocalAssistant
from tests.integration.test_hosting_process import is_gone, wait_until
from tests.plugin_folder import PluginFolder

GREEDY = {"temperature": 0}
ENDLESS = {"temperature": 50.0, "top_k": 0, "top_p": 1.0, "seed": 4}  # practically never meets the end mark
PRICES = """
    from langchain_core.tools import StructuredTool, tool

    @tool
    def find_price(item: str) -> str:
        "Look up the price of an item."
        return {"pear": "3 yuan", "apple": "4 yuan"}.get(item, "unknown")

    @tool
    def odd(a: str) -> str:
        "x"
        return a

    @tool
    def verbose(a: str) -> str:
        "x"
        return a

    def make():
        odd.args_schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}
        return [find_price, odd]

    def make_verbose():
        verbose.description = "word " * 4000
        return verbose
"""


def nothing(what, done, total):
    pass


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a knowledge base; the child process inherits it."""
    from chatglm_slim_llm.retrieval import KnowledgeBase

    home = tmp_path_factory.mktemp("home")
    (home / "rooms.md").write_text("# Rooms\n\nThe key of the cellar is under the red pot in the kitchen.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHATGLM_SLIM_HOME", str(home))
        plugins = PluginFolder(home / "plugins", patch)
        plugins.add("tools", "prices", PRICES)
        plugins.add("tools", "verbose", PRICES.replace("make()", "make_others()").replace("make_verbose", "make"))
        with KnowledgeBase.open("notes", embedder="none") as base:
            base.add(home / "rooms.md")
        (home / "data" / "knowledge" / "broken.db").write_bytes(b"this is no database, and long enough to be one" * 99)
        yield home


@pytest.fixture(scope="module")
def inside(home):
    assistant = LocalAssistant(LoadOptions())
    yield assistant
    assistant.close()
    assert not assistant.is_loaded()


@pytest.fixture(scope="module")
def own(home):
    assistant = ProcessAssistant(LoadOptions())
    yield assistant
    assistant.close()


@pytest.fixture(scope="module", params=["inside", "own"])
def fresh(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def assistant(fresh):
    fresh.load(nothing)
    return fresh


def ask(*texts, **more):
    turns = [Turn("human" if place % 2 == 0 else "ai", text) for place, text in enumerate(texts)]
    return Request(turns, parameters=GREEDY | more.pop("parameters", {}), **more)


def reply(assistant, request):
    with closing(assistant.stream(request)) as stream:
        pieces = list(stream)
    assert [piece for piece in pieces if piece.finish_reason] == pieces[-1:]
    return "".join(piece.text for piece in pieces), pieces[-1]


def test_loading_tells_what_was_loaded(fresh):
    assert fresh.is_available()
    seen = []
    facts = fresh.load(lambda *progress: seen.append(progress))
    assert fresh.is_loaded()
    assert fresh.load(nothing) == facts
    assert (facts.name, facts.quantization, facts.device, facts.context) == ("demo", "fp16", "cpu", 2048)
    assert facts.memory_bytes >= facts.memory_before_bytes > 0
    if isinstance(fresh, ProcessAssistant):  # this process may have the weights, or room, that earlier tests have left
        assert facts.memory_bytes > facts.memory_before_bytes
        *_, (_, done, total) = seen
        assert done == total > 1_000_000


def test_a_reply_comes_with_its_figures(assistant):
    text, last = reply(assistant, ask("你好"))
    assert "演示" in text
    assert last.finish_reason == "stop"
    assert last.figures.output_tokens > 5
    assert last.figures.tokens_per_s > 0
    assert last.figures.first_token_s > 0
    assert last.figures.limit == 2048
    assert last.dropped_rounds == 0


@pytest.mark.long
def test_the_count_is_what_the_reply_reports(assistant):
    for request in (
        ask("你好"),
        ask("你好", "你好！", "清华大学在哪里？"),
        ask("What is 1 + 1?", system="You are a calculator."),
        ask(*["说点什么", "好的。" * 300] * 5, "再来", parameters={"max_tokens": 5}),
        ask("你好", parameters={"max_length": 100, "max_tokens": 3}),
    ):
        use = assistant.count(request)
        _, last = reply(assistant, request)
        assert (use.tokens, use.limit) == (last.figures.prompt_tokens, last.figures.limit)
        assert use.dropped_rounds == last.dropped_rounds


def test_rounds_that_do_not_fit_are_counted(assistant):
    use = assistant.count(ask(*["说点什么", "好的。" * 300] * 5, "再来"))
    assert 0 < use.dropped_rounds < 5
    assert use.tokens <= 2048
    assert assistant.count(ask(*["a", "b"] * 5, "c")).dropped_rounds == 0


def test_what_is_not_typed_yet_is_counted_too(assistant):
    empty = assistant.count(ask("你好", "你好！", ""))
    typed = assistant.count(ask("你好", "你好！", "清华大学在哪里？"))
    assert empty.question_tokens == 0
    assert 0 < typed.question_tokens < 15
    assert empty.tokens < typed.tokens
    assert assistant.count(ask("")).tokens <= 2  # the marks that end a prompt


def test_a_question_that_is_too_long_is_counted_and_refused(assistant):
    request = ask("字词" * 3000)
    use = assistant.count(request)
    assert use.tokens > use.limit == 2048
    with pytest.raises(ChatGLMSlimError, match="room for 2048"):
        reply(assistant, request)


def test_parameters_and_system_prompt_reach_the_model(assistant):
    text, last = reply(assistant, ask("你好", parameters={"max_tokens": 3}))
    assert last.finish_reason == "length"
    assert last.figures.output_tokens == 3
    text, _ = reply(assistant, ask("你好"))
    cut, _ = reply(assistant, ask("你好", parameters={"stop": text[4]}))
    assert text.startswith(cut)
    assert len(cut) <= 4
    _, plain = reply(assistant, ask("你好"))
    _, told = reply(assistant, ask("你好", system="请用英文回答。"))
    assert told.figures.prompt_tokens > plain.figures.prompt_tokens + 3


@pytest.mark.parametrize("parameters", [{"top_p": 3}, {"temperature": "hot"}, {"nonsense": 1}])
def test_a_parameter_that_cannot_be_used_is_said_in_a_sentence(assistant, parameters):
    with pytest.raises(ConfigError, match=next(iter(parameters))):
        reply(assistant, ask("你好", parameters=parameters))


def test_an_empty_question_is_an_error_of_ours(assistant):
    with pytest.raises(GenerationError):
        reply(assistant, ask(" "))
    with pytest.raises(GenerationError):
        reply(assistant, Request([]))


def test_documents_answer_with_their_sources(assistant, home):
    text, last = reply(assistant, ask("Where is the key of the cellar?", knowledge_base="notes"))
    assert text
    assert last.finish_reason == "stop"
    assert last.figures.output_tokens > 1
    assert [source.source for source in last.sources] == [str(home / "rooms.md")]
    assert "red pot" in last.sources[0].text
    text, last = reply(assistant, ask("量子色动力学是什么？", knowledge_base="notes"))
    assert not last.sources


@pytest.mark.parametrize(("name", "words"), [("nowhere", "gone"), ("broken", "damaged"), ("../x", "knowledge base")])
def test_a_knowledge_base_that_cannot_be_searched_is_one_clear_error(assistant, name, words):
    with pytest.raises(ChatGLMSlimError, match=words):
        reply(assistant, ask("Where is the key?", knowledge_base=name))


def test_a_knowledge_base_that_goes_away_is_noticed(assistant, home):
    from chatglm_slim_llm.retrieval import KnowledgeBase

    with KnowledgeBase.open("fleeting", embedder="none") as base:
        base.add(home / "rooms.md")
    reply(assistant, ask("Where is the key?", knowledge_base="fleeting"))
    base.path.unlink()
    with pytest.raises(RetrievalError, match="gone"):
        reply(assistant, ask("Where is the key?", knowledge_base="fleeting"))


def test_the_demo_calls_a_tool_asks_for_permission_and_answers_with_what_it_gave(assistant):
    request = ask("What is the price of pear?", tools=("prices",))
    text, states, notices = "", [], []
    with closing(assistant.stream(request)) as pieces:
        for piece in pieces:
            text += piece.text
            notices += [piece.notice] if piece.notice else []
            if piece.tool is not None:
                states.append((piece.tool.state, piece.tool.name, piece.tool.arguments, piece.tool.result))
                if piece.tool.state == "asked":
                    assistant.permit(piece.tool.id, True)
    call = ("find_price", {"item": "pear"})
    assert states == [("asked", *call, ""), ("running", *call, ""), ("done", *call, "3 yuan")]
    assert "3 yuan" in text
    assert piece.finish_reason == "stop"
    assert piece.figures.prompt_tokens > assistant.count(request).tokens > assistant.count(ask("What?")).tokens
    [notice] = notices  # a schema that no reply can be held to
    assert "the tool odd of plugin tools.prices is left out" in notice


def test_our_own_model_is_a_plugin_as_others_are(inside, home):
    inside.load(nothing)
    own_plugin = LocalAssistant(LoadOptions(model="plugin:chatglm-slim"))
    facts = own_plugin.load(nothing)
    assert (facts.name, facts.quantization, facts.context) == ("plugin:chatglm-slim", "fp16", 2048)
    assert reply(own_plugin, ask("你好"))[0] == reply(inside, ask("你好"))[0]
    own_plugin.close()
    file = home / "plugins" / "plugins.toml"
    before = file.read_text()
    file.write_text(before + "[models.chatglm-slim]\nenabled = false\n")
    with pytest.raises(PluginNotFoundError, match=r"plugins enable models\.chatglm-slim"):
        LocalAssistant(LoadOptions()).load(nothing)
    file.write_text(before)


def test_tools_that_leave_no_room_in_the_context_are_not_used(inside):
    inside.load(nothing)
    with closing(inside.stream(ask("What is the price of pear?", tools=("verbose", "prices")))) as pieces:
        said = list(pieces)
    assert "leaves no room in the context" in "".join(piece.notice for piece in said)
    assert not any(piece.tool for piece in said)
    assert said[-1].finish_reason == "stop"


def test_a_closed_stream_leaves_the_model_free(assistant):
    for _ in range(3):
        stream = assistant.stream(ask("介绍一下你自己", parameters=ENDLESS))
        next(stream)
        stream.close()
    assert assistant.is_loaded()
    assert reply(assistant, ask("你好"))[1].finish_reason == "stop"


# --- only in a process of its own


def test_a_count_starts_no_process():
    assistant = ProcessAssistant(LoadOptions())
    with pytest.raises(GenerationError, match="load one first"):
        assistant.count(ask("你好"))
    assert assistant.pid is None


@pytest.mark.long
def test_a_process_killed_amid_a_reply_is_one_clear_error_and_the_next_reply_has_another(own):
    reply(own, ask("你好"))
    before = own.pid
    with closing(own.stream(ask("介绍一下你自己", parameters=ENDLESS))) as stream:
        next(stream)
        os.kill(before, signal.SIGKILL)
        with pytest.raises(GenerationError, match="most likely for lack of memory"):
            list(stream)
    assert not own.is_loaded()
    assert own.pid is None
    text, _ = reply(own, ask("你好"))
    assert "演示" in text
    assert own.pid not in (None, before)


@pytest.mark.long
def test_a_stop_that_is_not_heeded_ends_the_process(own):
    own.load(nothing)
    stuck = own.pid
    stream = own.stream(ask("介绍一下你自己", parameters=ENDLESS))
    next(stream)
    os.kill(stuck, signal.SIGSTOP)
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 10
    assert not own.is_loaded()
    assert is_gone(stuck)


def test_what_progress_raises_ends_the_loading_and_its_process(home):
    class StoppedError(Exception):
        pass

    def progress(what, done, total):
        pids.append(assistant.pid)
        if len(pids) > 1:
            raise StoppedError

    pids: list[int] = []
    assistant = ProcessAssistant(LoadOptions())
    with pytest.raises(StoppedError):
        assistant.load(progress)
    assert not assistant.is_loaded()
    assert is_gone(pids[0])


@pytest.mark.slow
def test_weights_that_are_missing_are_said_so_from_in_there(home):
    assistant = ProcessAssistant(LoadOptions(model=str(home / "nowhere")))
    with pytest.raises(CheckpointNotFoundError, match="nowhere"):
        assistant.load(nothing)
    assert assistant.pid is None


@pytest.mark.long
def test_how_keys_and_values_are_kept_reaches_the_process(home, monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_KERNELS", "torch")
    with closing(ProcessAssistant(LoadOptions(kv_cache_dtype="int8"))) as assistant:
        with pytest.raises(ConfigError, match=r"^kv_cache_dtype is int8, but") as refused:
            assistant.load(nothing)
        assert refused.value.key == "kv_cache_dtype"


def test_closing_gives_back_all_memory_and_stops_a_loading(home):
    assistant = ProcessAssistant(LoadOptions())
    pids = []

    def progress(what, done, total):
        if not pids:
            pids.append(assistant.pid)
            assistant.close()

    with pytest.raises(GenerationError, match="was stopped"):
        assistant.load(progress)
    assert is_gone(pids[0])
    assert assistant.pid is None


@pytest.mark.slow
def test_a_program_killed_amid_a_reply_leaves_no_process(home):
    code = (
        "from chatglm_slim_llm.config import LoadOptions\n"
        "from chatglm_slim_llm.hosting.client import ProcessAssistant\n"
        "from chatglm_slim_llm.hosting.assistant import Request, Turn\n"
        "assistant = ProcessAssistant(LoadOptions())\n"
        "assistant.load(lambda *progress: None)\n"
        "print(assistant.pid, flush=True)\n"
        "while True:\n"
        "    for piece in assistant.stream(Request([Turn('human', '介绍一下你自己')])): pass\n"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with program:
        pid = int(program.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        program.kill()
    wait_until(lambda: is_gone(pid))
