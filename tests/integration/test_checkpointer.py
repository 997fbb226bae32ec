"""Agents of LangGraph in the history file: they go on where they were, in whatever process."""

from __future__ import annotations

import asyncio
import operator
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, StateSnapshot

from chatglm_slim_llm import ChatGLMSlim
from chatglm_slim_llm.checkpointer import ConversationCheckpointer
from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.storage import ConversationStore
from tests.programs import LIGHT

TINY = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")
THREAD = {"configurable": {"thread_id": "线程 1"}}


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: 20 °C"


class Scripted(GenericFakeChatModel):
    """Says what the test wants, and remembers what it was asked."""

    asked: list[list[str]] = []

    def bind_tools(self, tools: Any, **kwargs: Any) -> Scripted:
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        self.asked.append([str(message.content) for message in messages])
        return super()._generate(messages, *args, **kwargs)


def scripted(*replies: AIMessage | str) -> Scripted:
    return Scripted(messages=iter(replies), asked=[])


def call(city: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "weather", "args": {"city": city}, "id": f"call {city}"}])


def said(state: dict[str, Any]) -> list[str]:
    return [str(message.content) for message in state["messages"]]


SIDES = ["left", "right", "last"]


class Sums(TypedDict):
    total: Annotated[int, operator.add]
    steps: Annotated[list[str], DeltaChannel(lambda state, writes: state + [x for write in writes for x in write])]


@dataclass
class Unknown:
    """Of a kind that no checkpointer is told of."""

    steps: int = 0


class Holds(TypedDict):
    found: Unknown | None


class Often(TypedDict):
    steps: Annotated[
        list[str],
        DeltaChannel(lambda state, writes: state + [x for write in writes for x in write], snapshot_frequency=3),
    ]


def sums(checkpointer: Any) -> Any:
    """Two nodes side by side, then one more; one channel is rebuilt from the writes that led to it."""
    graph = StateGraph(Sums)
    graph.add_node("left", lambda state: {"total": 1, "steps": ["left"]})
    graph.add_node("right", lambda state: {"total": 10, "steps": ["right"]})
    graph.add_node("last", lambda state: {"total": state["total"], "steps": ["last"]})
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    graph.add_edge(["left", "right"], "last")
    return graph.compile(checkpointer=checkpointer)


def start(graph: Any, total: int, steps: list[str]) -> Any:
    """Each state is kept before the next step: LangGraph's other ways hand over sets that the next step changes."""
    return graph.invoke({"total": total, "steps": steps}, THREAD, durability="sync")


def told(history: Iterator[StateSnapshot]) -> list[tuple[Any, ...]]:
    """What does not differ between two runs: neither ids nor times."""
    return [
        (each.values, each.next, each.metadata and each.metadata.get("step"), each.metadata and each.metadata["source"])
        for each in history
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.db"


# --- what LangGraph expects of every checkpointer


async def test_langgraphs_own_suite_passes(tmp_path):
    files = iter(range(1000))

    @checkpointer_test(name="ConversationCheckpointer")
    async def made():
        yield ConversationCheckpointer(tmp_path / f"{next(files)}.db")

    report = await validate(made)
    assert {name: result.failures for name, result in report.results.items() if result.failures} == {}
    assert sum(result.tests_passed for result in report.results.values()) >= 81
    assert report.passed_all()


def test_a_graphs_history_is_the_one_that_memory_keeps(path):
    ours, theirs = sums(ConversationCheckpointer(path)), sums(InMemorySaver())
    for graph in (ours, theirs):
        for total in (100, 1000):
            start(graph, total, ["start"])
    assert told(ours.get_state_history(THREAD)) == told(theirs.get_state_history(THREAD))
    assert told(sums(ConversationCheckpointer(path)).get_state_history(THREAD)) == told(ours.get_state_history(THREAD))
    assert ours.get_state(THREAD).values["total"] == 2 * (2 * (100 + 11) + 1000 + 11)


async def test_sync_and_async_see_the_same_threads(path):
    graph = sums(ConversationCheckpointer(path))
    await graph.ainvoke({"total": 100, "steps": []}, THREAD)
    await asyncio.to_thread(start, graph, 0, [])
    found = [each async for each in graph.aget_state_history(THREAD)]
    assert told(found) == told(await asyncio.to_thread(lambda: list(graph.get_state_history(THREAD))))
    assert (await graph.aget_state(THREAD)).values["total"] == 2 * (2 * 111 + 11)


async def test_what_a_running_graph_hands_over_is_kept_as_it_was_then(path):
    checkpointer = ConversationCheckpointer(path)
    live = ["then"]
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"]["steps"] = live
    config = {"configurable": {"thread_id": "1", "checkpoint_ns": "", "checkpoint_id": checkpoint["id"]}}
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
    may_write = threading.Event()
    writing = asyncio.gather(
        asyncio.to_thread(may_write.wait),
        checkpointer.aput({"configurable": {"thread_id": "1"}}, checkpoint, {}, {}),
        checkpointer.aput_writes(config, [("steps", live)], "task"),
    )
    await asyncio.sleep(0)
    live.append("later")
    may_write.set()
    await writing
    kept = checkpointer.get_tuple(config)
    assert kept.checkpoint["channel_values"]["steps"] == ["then"]
    assert kept.pending_writes == [("task", "steps", ["then"])]


def test_a_run_from_an_earlier_state_forks_and_the_first_way_stays(path):
    results = []
    for checkpointer in (ConversationCheckpointer(path), InMemorySaver()):
        graph = sums(checkpointer)
        start(graph, 100, [])
        before_last = next(each for each in graph.get_state_history(THREAD) if each.next == ("last",))
        changed = graph.update_state(before_last.config, {"total": 1000, "steps": ["mended"]}, as_node="right")
        forked = graph.invoke(None, changed, durability="sync")
        results.append((forked, graph.get_state(THREAD).values, told(graph.get_state_history(THREAD))))
    assert results[0] == results[1]
    assert results[0][0]["total"] == 2 * 1111
    assert {"total": 222, "steps": ["left", "right", "last"]} in [values for values, *_ in results[0][2]]


# --- agents, in one process after another

ASKS_ON = """
import sys
from langchain.agents import create_agent
from chatglm_slim_llm.checkpointer import ConversationCheckpointer
from tests.integration.test_checkpointer import THREAD, call, said, scripted, weather
model = scripted(call(sys.argv[2]), f"It is warm in {sys.argv[2]}.")
agent = create_agent(model, [weather], checkpointer=ConversationCheckpointer(sys.argv[1]))
print(said(agent.invoke({"messages": [("human", f"{sys.argv[2]}?")]}, THREAD)))
"""


def run(program: str, *arguments: object) -> str:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", LIGHT + program, *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.long
def test_an_agent_goes_on_in_another_process(path):
    first = ["北京?", "", "北京: 20 °C", "It is warm in 北京."]
    assert run(ASKS_ON, path, "北京") == str(first)
    model = scripted(call("Oslo"), "Colder.")
    agent = create_agent(model, [weather], checkpointer=ConversationCheckpointer(path))
    second = agent.invoke({"messages": [("human", "And Oslo?")]}, THREAD)
    assert said(second) == [*first, "And Oslo?", "", "Oslo: 20 °C", "Colder."]
    assert model.asked[0] == [*first, "And Oslo?"]
    assert isinstance(second["messages"][2], ToolMessage)
    assert second["messages"][1].tool_calls[0]["args"] == {"city": "北京"}
    other = agent.get_state({"configurable": {"thread_id": "another"}})
    assert other.values == {}


def test_a_question_to_a_person_waits_for_another_process(path):
    approves = HumanInTheLoopMiddleware(interrupt_on={"weather": True})

    def agent(*replies: AIMessage | str) -> Any:
        checkpointer = ConversationCheckpointer(path)
        return create_agent(scripted(*replies), [weather], middleware=[approves], checkpointer=checkpointer)

    asked = agent(call("Oslo")).invoke({"messages": [("human", "Oslo?")]}, THREAD)
    assert asked["__interrupt__"][0].value["action_requests"][0]["name"] == "weather"
    later = agent("Cold.")
    assert later.get_state(THREAD).interrupts == tuple(asked["__interrupt__"])
    answered = later.invoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    assert said(answered) == ["Oslo?", "", "Oslo: 20 °C", "Cold."]


async def test_an_async_agent_streams_and_goes_on(path):
    agent = create_agent(scripted(call("Oslo"), "Cold."), [weather], checkpointer=ConversationCheckpointer(path))
    steps = [step async for step in agent.astream({"messages": [("human", "Oslo?")]}, THREAD)]
    assert [list(step) for step in steps] == [["model"], ["tools"], ["model"]]
    state = await agent.aget_state(THREAD)
    assert said(state.values) == ["Oslo?", "", "Oslo: 20 °C", "Cold."]
    assert state.next == ()


def test_the_chat_model_of_this_package_goes_on(path):
    def ask(question: str) -> list[BaseMessage]:
        model = ChatGLMSlim(model=TINY, temperature=0, max_tokens=8)
        agent = create_agent(model, [], checkpointer=ConversationCheckpointer(path))
        return list(agent.invoke({"messages": [("human", question)]}, THREAD)["messages"])

    first = ask("你好")
    second = ask("你是谁？")
    assert second[:2] == first
    assert second[3].content == ChatGLMSlim(model=TINY, temperature=0, max_tokens=8).invoke(second[:3]).content


# --- the file

COUNTS_FOR_EVER = """
import sys
from tests.integration.test_checkpointer import THREAD, sums
from chatglm_slim_llm.checkpointer import ConversationCheckpointer
graph = sums(ConversationCheckpointer(sys.argv[1]))
rounds = 0
while True:
    graph.invoke({"total": 0, "steps": []}, THREAD, durability="sync")
    rounds += 1
    print(rounds, flush=True)
"""


@pytest.mark.long
def test_what_a_killed_process_said_it_kept_is_there(path):
    command = [sys.executable, "-c", COUNTS_FOR_EVER, str(path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        rounds = int([process.stdout.readline() for _ in range(20)][-1])
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
    with sqlite3.connect(path) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()
    graph = sums(ConversationCheckpointer(path))
    ended = [each.values["total"] for each in graph.get_state_history(THREAD) if each.next == ()]
    expected = [0]
    for _ in range(len(ended)):
        expected.append(2 * (expected[-1] + 11))
    assert len(ended) >= rounds
    assert ended[::-1] == expected[1:]
    assert graph.invoke({"total": 0, "steps": []}, THREAD)["steps"][-3:] == ["left", "right", "last"]


COUNTS = """
import sys
from tests.integration.test_checkpointer import sums
from chatglm_slim_llm.checkpointer import ConversationCheckpointer
graph = sums(ConversationCheckpointer(sys.argv[1]))
for _ in range(5):
    graph.invoke({"total": 0, "steps": []}, {"configurable": {"thread_id": sys.argv[2]}})
"""


@pytest.mark.long
def test_processes_keep_their_threads_in_one_new_file(path):
    command = [sys.executable, "-c", LIGHT + COUNTS, str(path)]
    started = [subprocess.Popen([*command, name], cwd=Path(__file__).parents[2]) for name in "ab"]
    assert [process.wait() for process in started] == [0, 0]
    graph = sums(ConversationCheckpointer(path))
    states = [graph.get_state({"configurable": {"thread_id": name}}).values for name in "ab"]
    assert states == [{"total": 682, "steps": ["left", "right", "last"] * 5}] * 2


def test_a_deleted_thread_leaves_no_rows_and_the_others_stay(path):
    with ConversationStore.open(path) as store:
        store.create("a conversation of the terminal")
        checkpointer = ConversationCheckpointer(store)
        for thread_id in ("a", "b"):
            sums(checkpointer).invoke({"total": 0, "steps": []}, {"configurable": {"thread_id": thread_id}})
        checkpointer.delete_thread("a")
        assert len(store.conversations()) == 1
    with sqlite3.connect(path) as db:
        for table in ("thread_checkpoints", "thread_writes"):
            assert db.execute(f"select distinct thread_id from {table}").fetchall() == [("b",)]
    db.close()
    assert list(ConversationCheckpointer(path).list({"configurable": {"thread_id": "a"}})) == []


def kept(path: Path, table: str = "thread_checkpoints") -> dict[str, int]:
    with sqlite3.connect(path) as db:
        rows = db.execute(f"select thread_id, count(*) from {table} group by thread_id").fetchall()
    db.close()
    return dict(rows)


def thread(thread_id: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread_id}}


def test_a_copied_thread_has_the_same_history_and_goes_its_own_way(path):
    checkpointer = ConversationCheckpointer(path)
    graph = sums(checkpointer)
    graph.invoke({"total": 0, "steps": ["a"]}, thread("a"))
    checkpointer.copy_thread("a", "b")
    checkpointer.copy_thread("a", "b")  # once more changes nothing
    assert told(graph.get_state_history(thread("b"))) == told(graph.get_state_history(thread("a")))
    before = told(graph.get_state_history(thread("a")))
    assert graph.invoke({"total": 0, "steps": ["b"]}, thread("b"))["steps"] == ["a", *SIDES, "b", *SIDES]
    assert told(graph.get_state_history(thread("a"))) == before


def test_a_pruned_thread_goes_on_as_one_that_was_not(path):
    checkpointer = ConversationCheckpointer(path)
    graph = sums(checkpointer)
    for thread_id in ("pruned", "whole"):
        graph.invoke({"total": 0, "steps": ["a"]}, thread(thread_id))
    checkpointer.prune(["pruned"])
    assert graph.get_state(thread("pruned")).values == graph.get_state(thread("whole")).values
    went_on = [graph.invoke({"total": 5, "steps": ["b"]}, thread(thread_id)) for thread_id in ("pruned", "whole")]
    assert went_on[0] == went_on[1]


def test_pruning_keeps_the_newest_state_of_a_graph_whose_states_are_whole(path):
    checkpointer = ConversationCheckpointer(path)
    model = scripted(call("Oslo"), "Cold.", "Good bye.")
    agent = create_agent(model, [weather], checkpointer=checkpointer)
    agent.invoke({"messages": [("human", "Oslo?")]}, thread("a"))
    assert kept(path)["a"] > 1
    checkpointer.prune(["a", "nobody's"])
    assert kept(path) == {"a": 1}
    assert kept(path, "thread_writes") == {}
    agent.invoke({"messages": [("human", "Bye")]}, thread("a"))
    assert model.asked[-1] == ["Oslo?", "", "Oslo: 20 °C", "Cold.", "Bye"]


def test_pruning_reads_no_state_that_it_keeps_whole(path, caplog):
    checkpointer = ConversationCheckpointer(path)
    builder = StateGraph(Holds)
    builder.add_node("one", lambda state: {"found": Unknown()})
    builder.add_edge(START, "one")
    builder.compile(checkpointer=checkpointer).invoke({"found": None}, thread("a"))
    checkpointer.prune(["a"])
    assert kept(path) == {"a": 1}
    assert caplog.messages == []
    assert checkpointer.get_tuple(thread("a")).checkpoint["channel_values"]["found"] == {"steps": 0}
    assert "Blocked deserialization" in caplog.text  # so it was read here, and not before


def test_pruning_keeps_what_a_channel_of_changes_is_rebuilt_from_and_no_more(path):
    checkpointer = ConversationCheckpointer(path)
    builder = StateGraph(Often)
    builder.add_node("one", lambda state: {"steps": ["one"]})
    builder.add_edge(START, "one")
    graph = builder.compile(checkpointer=checkpointer)
    for number in range(9):
        graph.invoke({"steps": [str(number)]}, thread("a"), durability="sync")
        before = graph.get_state(thread("a")).values
        checkpointer.prune(["a"])
        assert kept(path)["a"] <= 6
        assert graph.get_state(thread("a")).values == before
    assert before["steps"] == [word for number in range(9) for word in (str(number), "one")]


def test_a_thread_can_be_pruned_away_and_no_other_way(path):
    checkpointer = ConversationCheckpointer(path)
    for thread_id in ("a", "b"):
        sums(checkpointer).invoke({"total": 0, "steps": []}, thread(thread_id))
    with pytest.raises(ConfigError, match="strategy 'oldest' is unknown; choose keep_latest or delete"):
        checkpointer.prune(["a"], strategy="oldest")
    checkpointer.prune(["a"], strategy="delete")
    assert list(kept(path)) == ["b"]


@pytest.mark.parametrize("ids", ["a", b"a", None, 3])
async def test_ids_that_are_no_list_are_refused_and_nothing_is_deleted(path, ids):
    checkpointer = ConversationCheckpointer(path)
    sums(checkpointer).invoke({"total": 0, "steps": []}, {"configurable": {"thread_id": "a", "run_id": "a"}})
    before = kept(path)
    with pytest.raises(ConfigError, match=f"thread_ids is {ids!r}; it must be a list of ids"):
        checkpointer.prune(ids)
    with pytest.raises(ConfigError, match=f"thread_ids is {ids!r}; it must be a list of ids"):
        await checkpointer.aprune(ids, strategy="delete")
    with pytest.raises(ConfigError, match=f"run_ids is {ids!r}; it must be a list of ids"):
        checkpointer.delete_for_runs(ids)
    assert kept(path) == before


@pytest.mark.parametrize("config", [{"configurable": {}}, {}])
async def test_a_config_without_a_thread_is_refused(path, config):
    checkpointer = ConversationCheckpointer(path)
    for ask in (checkpointer.get_tuple, lambda config: list(checkpointer.list(config))):
        with pytest.raises(ConfigError, match=r"has no thread_id; .*\{'configurable': \{'thread_id': '1'\}\}"):
            ask(config)
    with pytest.raises(ConfigError, match="has no thread_id"):
        await checkpointer.aget_tuple(config)


def test_what_a_run_kept_is_deleted_and_other_runs_stay(path):
    checkpointer = ConversationCheckpointer(path)
    graph = sums(checkpointer)
    for run_id in ("r1", "r2"):
        graph.invoke({"total": 0, "steps": []}, {"configurable": {"thread_id": f"of {run_id}", "run_id": run_id}})
    checkpointer.delete_for_runs(["r1"])
    assert list(kept(path)) == list(kept(path, "thread_writes")) == ["of r2"]


def test_runs_are_told_by_their_whole_id_in_its_own_place(path):
    checkpointer = ConversationCheckpointer(path)
    graph = sums(checkpointer)
    about = {"r1": {}, "r12": {}, '"r1"': {}, "线": {}, "other": {"parent": "r1", "odd": float("nan")}}
    for run_id, others in about.items():
        config = {"configurable": {"thread_id": f"of {run_id}", "run_id": run_id}, "metadata": others}
        graph.invoke({"total": 0, "steps": []}, config)
    checkpointer.delete_for_runs([])
    assert len(kept(path)) == 5
    checkpointer.delete_for_runs(["r1", "线", "nobody's"])
    assert kept(path).keys() == kept(path, "thread_writes").keys() == {"of r12", 'of "r1"', "of other"}


def test_the_file_can_be_written_while_a_list_of_it_is_read(path):
    checkpointer = ConversationCheckpointer(path)
    graph = sums(checkpointer)
    graph.invoke({"total": 0, "steps": []}, THREAD)
    number = 0
    for _ in checkpointer.list(THREAD):
        graph.invoke({"total": 0, "steps": []}, {"configurable": {"thread_id": str(number)}})
        number += 1
    assert number == 4


def test_a_task_that_fails_again_has_one_error(path):
    checkpointer = ConversationCheckpointer(path)
    sums(checkpointer).invoke({"total": 0, "steps": []}, THREAD)
    config = checkpointer.get_tuple(THREAD).config
    checkpointer.put_writes(config, [("total", 1), ("__error__", "first")], "task")
    checkpointer.put_writes(config, [("__error__", "second")], "task")
    assert checkpointer.get_tuple(config).pending_writes == [("task", "__error__", "second"), ("task", "total", 1)]


def test_looking_for_a_thread_leaves_no_trace(path):
    assert ConversationCheckpointer(path).get_tuple(THREAD) is None
    assert not path.parent.exists()


async def test_the_event_loop_goes_on_while_another_program_holds_the_file(path):
    graph = sums(ConversationCheckpointer(path))
    await graph.ainvoke({"total": 0, "steps": []}, THREAD)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    running = asyncio.create_task(graph.ainvoke({"total": 0, "steps": []}, THREAD))
    for _ in range(20):  # were the loop blocked, nobody would give the file free and the write would fail
        await asyncio.sleep(0.005)
    assert not running.done()
    other.close()
    assert (await running)["total"] == 66
