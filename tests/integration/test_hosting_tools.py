"""Tools on the way to an answer: a model of a plugin that calls what the question says, and tools that misbehave."""

from __future__ import annotations

import json
import time
from contextlib import closing

import pytest

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.hosting import client, tool_use
from chatglm_slim_llm.hosting.assistant import Request, ToolUse, Turn
from chatglm_slim_llm.hosting.client import ProcessAssistant
from chatglm_slim_llm.hosting.local import LocalAssistant
from tests.plugin_folder import SCRIPTED, PluginFolder

TOOLS = """
    import sys, time, os
    from langchain_core.tools import StructuredTool, tool

    READS = {"readOnlyHint": True}

    @tool
    def add(a: int, b: int) -> str:
        "Add two numbers."
        return str(a + b)

    @tool
    def delete(path: str) -> str:
        "Delete a file."
        return f"deleted {path}"

    @tool
    def broken() -> str:
        "Raises."
        raise ValueError("no key\\nand more")

    @tool
    def quits() -> str:
        "Wants to end the program."
        sys.exit(3)

    @tool
    def hangs() -> str:
        "Takes for ever."
        time.sleep(30)

    @tool
    def prints() -> str:
        "Is noisy."
        print("noise")
        return "done"

    @tool
    def odd():
        "Gives a picture."
        return [{"type": "image_url", "image_url": {"url": "data:,"}}]

    @tool
    def long() -> str:
        "Says much."
        return "begin " + "字" * 1_000_000 + " end"

    @tool
    def dies() -> str:
        "Ends the process."
        os._exit(7)

    async def _later(city: str) -> str:
        import asyncio
        await asyncio.sleep(0.01)
        return f"{city}: " + str(id(asyncio.get_running_loop()))

    async def _never() -> str:
        import asyncio
        await asyncio.sleep(30)

    later = StructuredTool(
        name="later", description="Only async, as MCP's.", coroutine=_later, metadata=READS,
        args_schema={"type": "object", "properties": {"city": {"type": "string"}}},
    )
    never = StructuredTool.from_function(name="never", description="x", coroutine=_never, metadata=READS)

    for each in (add, broken, quits, hangs, prints, odd, long, dies):
        each.metadata = READS

    def make():
        return [add, delete, broken, quits, hangs, prints, odd, long, dies, later, never]
"""


def nothing(what, done, total):
    pass


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = PluginFolder(tmp_path_factory.mktemp("plugins"), patch)
        folder.add("models", "scripted", SCRIPTED)
        folder.add("tools", "all", TOOLS)
        folder.add("tools", "bad", "raise ValueError('no licence')")
        folder.add("tools", "slow", "import time; time.sleep(30)")
        patch.setenv("CHATGLM_SLIM_HOME", str(folder.file.parent))
        yield folder


@pytest.fixture(scope="module")
def inside(plugins):
    assistant = LocalAssistant(LoadOptions(model="plugin:scripted"))
    assistant.load(nothing)
    yield assistant
    assistant.close()


@pytest.fixture(scope="module")
def own(plugins):
    assistant = ProcessAssistant(LoadOptions(model="plugin:scripted"))
    assistant.load(nothing)
    yield assistant
    assistant.close()


def calling(*rounds, tools=("all",), **more):
    return Request([Turn("human", json.dumps(rounds))], tools=tools, **more)


def answer(assistant, request, allowed=True):
    """The text, the steps of tools, the notices and the last piece; whatever asks is answered."""
    text, uses, notices, last = "", [], [], None
    with closing(assistant.stream(request)) as pieces:
        for piece in pieces:
            assert last is None
            text += piece.text
            notices += [piece.notice] if piece.notice else []
            last = piece if piece.finish_reason else None
            if piece.tool is not None:
                uses.append(piece.tool)
                if piece.tool.state == "asked":
                    assistant.permit("another", not allowed)
                    assistant.permit(piece.tool.id, allowed)
    return text, uses, notices, last


def use_of(assistant, name, arguments=None):
    """How one call ended, and what the model was told of it."""
    text, uses, notices, last = answer(assistant, calling([[name, arguments or {}]]))
    assert last.finish_reason == "stop"
    assert notices == []
    assert len({use.id for use in uses}) == 1
    return uses[-1], text


@pytest.mark.parametrize("which", ["inside", "own"])
def test_what_a_tool_gives_reaches_the_model(which, request):
    text, uses, notices, last = answer(request.getfixturevalue(which), calling([["add", {"a": 2, "b": 3}]]))
    assert text == "<success: 5>"
    assert [(use.state, use.result) for use in uses] == [("running", ""), ("done", "5")]
    assert uses[0].arguments == {"a": 2, "b": 3}
    assert notices == []
    assert (last.figures.output_tokens, last.figures.prompt_tokens) == (7, 11)  # of the last message


@pytest.mark.parametrize("which", ["inside", "own"])
@pytest.mark.parametrize(
    ("allowed", "told"), [(True, "success: deleted /x"), (False, "error: the person did not allow")]
)
def test_a_tool_that_does_not_only_read_is_asked_about(which, allowed, told, request):
    text, uses, _, _ = answer(request.getfixturevalue(which), calling([["delete", {"path": "/x"}]]), allowed)
    assert told in text
    assert [use.state for use in uses] == (["asked", "running", "done"] if allowed else ["asked", "refused"])


def test_several_calls_and_several_rounds_are_done_in_their_order(inside):
    calls = calling([["add", {"a": 1, "b": 1}], ["add", {"a": 2, "b": 2}]], [["add", {"a": 3, "b": 3}]])
    text, uses, _, _ = answer(inside, calls)
    assert text == "<success: 2><success: 4><success: 6>"
    assert [use.state for use in uses] == ["running", "done"] * 3
    assert len({use.id for use in uses}) == 3


def test_after_some_rounds_the_model_has_to_answer(inside):
    _, uses, notices, last = answer(inside, calling(*[[["add", {"a": 1, "b": 1}]]] * 9))
    assert sum(use.state == "done" for use in uses) == 5
    assert "again and again" in notices[0]
    assert last.finish_reason == "stop"
    _, uses, _, _ = answer(inside, calling([["add", {"a": 1, "b": 1}]] * 50))
    assert [sum(use.state == state for use in uses) for state in ("done", "failed")] == [8, 42]


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("broken", {}, "broken failed: ValueError: no key"),
        ("quits", {}, "quits failed: it wanted to end the program (SystemExit: 3)"),
        ("odd", {}, "odd failed: TypeError: it gave something that is no text"),
        ("add", {"a": "two"}, "add does not take these arguments: a: Input should be a valid integer"),
        ("ad", {}, "there is no tool 'ad'; did you mean 'add'?"),
        ("add", "two and three", "its arguments are no JSON"),
        ("delete", {}, "delete does not take these arguments: path: Field required"),
    ],
)
def test_a_use_that_fails_is_told_to_the_model_which_goes_on(inside, name, arguments, why):
    use, text = use_of(inside, name, arguments)
    assert (use.state, use.result.splitlines()[0][: len(why)]) == ("failed", why)
    assert text.startswith(f"<error: {why}")


@pytest.mark.parametrize("name", ["hangs", "never"])
def test_a_tool_that_hangs_is_given_up(inside, monkeypatch, name):
    monkeypatch.setattr(inside._answering._runner, "_seconds", 0.2)
    use, text = use_of(inside, name)
    assert (use.state, use.result) == ("failed", f"{name} gave no result in 0.2 s")
    assert use.result in text


def test_what_a_tool_prints_is_not_part_of_the_answer(inside, own, capsys):
    assert use_of(inside, "prints")[1] == "<success: done>"
    assert capsys.readouterr().out == ""
    assert use_of(own, "prints")[1] == "<success: done>"


def test_tools_that_are_only_async_run_in_one_loop_that_stays(inside):
    results = {use_of(inside, "later", {"city": "Paris"})[0].result for _ in range(2)}
    assert len(results) == 1
    assert results.pop().startswith("Paris: ")


def test_a_long_result_is_shortened_to_a_part_of_the_context(inside):
    use, text = use_of(inside, "long")
    assert use.result.startswith("begin 字")
    assert use.result.endswith("字 end")
    assert "characters left out" in use.result
    assert use.result in text
    assert inside.count(Request([Turn("human", use.result)])).question_tokens <= 8192 // 5


@pytest.mark.parametrize("which", ["inside", "own"])
@pytest.mark.parametrize("name", ["hangs", "never", "delete"])
def test_a_stop_does_not_wait_for_a_tool_or_a_question(which, name, request, monkeypatch):
    monkeypatch.setattr(client, "_STOP_S", 20)  # after which the process is ended
    assistant = request.getfixturevalue(which)
    stream = assistant.stream(calling([[name, {"path": "/x"} if name == "delete" else {}]]))
    for piece in stream:
        if piece.tool is not None:
            break
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 10
    assert assistant.is_loaded()
    assert answer(assistant, calling([["add", {"a": 2, "b": 3}]]))[0] == "<success: 5>"


@pytest.mark.parametrize("which", ["inside", "own"])
def test_a_stop_does_not_wait_for_the_import_of_a_plugin(which, request, monkeypatch):
    monkeypatch.setattr(client, "_STOP_S", 20)
    assistant = request.getfixturevalue(which)
    stream = assistant.stream(calling([["add", {}]], tools=("slow",)))
    next(stream)
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 10
    assert assistant.is_loaded()


def test_a_plugin_that_fails_is_a_notice_and_the_answer_goes_on_with_the_others(inside):
    text, _, notices, _ = answer(inside, calling([["add", {"a": 2, "b": 3}]], tools=("bad", "all")))
    assert text == "<success: 5>"
    assert len(notices) == 1
    assert "tools.bad" in notices[0]
    assert "no licence" in notices[0]
    text, uses, notices, last = answer(inside, calling([["add", {}]], tools=("bad",)))
    assert "[]" not in text
    assert uses == []
    assert len(notices) == 1
    assert last.finish_reason == "stop"


def test_a_model_that_takes_no_tools_answers_without_them(plugins):
    plugins.add("models", "plain", SCRIPTED.replace("def bind_tools", "def _bind_tools"))
    assistant = LocalAssistant(LoadOptions(model="plugin:plain"))
    assistant.load(nothing)
    text, uses, notices, last = answer(assistant, calling([["add", {}]]))
    assert notices == ["this answer is made without tools: the model takes none"]
    assert uses == []
    assert (text, last.finish_reason) == ("<1 messages, 0.5, None, None, ()>", "stop")


def test_a_knowledge_base_goes_before_tools(inside, plugins):
    from chatglm_slim_llm.retrieval import KnowledgeBase

    (plugins.file.parent / "rooms.md").write_text("# Rooms\n\nThe key of the cellar is under the red pot.\n")
    with KnowledgeBase.open("notes", embedder="none") as base:
        base.add(plugins.file.parent / "rooms.md")
    question = Request([Turn("human", "Where is the key of the cellar?")], tools=("all",), knowledge_base="notes")
    text, uses, notices, last = answer(inside, question)
    assert uses == []
    assert "knowledge base" in notices[0]
    assert text
    assert last.finish_reason == "stop"


def test_the_tools_are_part_of_what_is_counted(inside):
    answer(inside, calling([["add", {"a": 1, "b": 1}]]))
    plain = inside.count(Request([Turn("human", "hello")])).tokens
    assert inside.count(Request([Turn("human", "hello")], tools=("all",))).tokens > plain + 100
    assert inside.count(Request([Turn("human", "hello")], tools=("nothing",))).tokens == plain


@pytest.mark.long
def test_a_tool_that_ends_the_process_is_named(own):
    with pytest.raises(Exception, match=r"exit status 7\) while the tool dies of the plugin tools.all was at work"):
        answer(own, calling([["dies", {}]]))
    assert not own.is_loaded()
    assert answer(own, calling([["add", {"a": 2, "b": 3}]]))[0] == "<success: 5>"


def test_arguments_that_json_cannot_hold_are_shown_as_text():
    assert tool_use._plain({"a": {1, 2} and float("inf"), "b": b"x"}) == {"a": "Infinity", "b": "b'x'"}
    assert ToolUse("u", "n", {}, "done").result == ""
