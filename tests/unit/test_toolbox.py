"""Tools of plugins: those that work are there, the others are left out with a sentence."""

from __future__ import annotations

import sys
import textwrap

import pytest

from chatglm_slim_llm.aside import finished
from chatglm_slim_llm.toolbox import Toolbox, Tools, build_tools
from tests.plugin_folder import PluginFolder

WEATHER = """
    from langchain_core.tools import tool

    @tool
    def weather(city: str) -> str:
        "The weather of a city."
        return f"{city}: sunny"

    make = weather
"""
TWO = """
    from langchain_core.tools import tool

    def make(unit: str = "C"):
        @tool
        def warmth() -> str:
            "How warm it is."
            return f"20 {unit}"

        @tool
        def weather(city: str) -> str:
            "Another weather."
            return "rain"

        return [warmth, weather]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> PluginFolder:
    return PluginFolder(tmp_path, monkeypatch)


def names(tools: Tools) -> list[str]:
    return [tool.name for tool in tools.tools]


def test_a_tool_and_a_function_that_gives_several_are_tools(folder):
    folder.add("tools", "weather", WEATHER)
    folder.add("tools", "two", TWO, 'unit = "F"')
    tools = build_tools(["weather"])
    assert (names(tools), tools.notices, tools.plugin_of) == (["weather"], (), {"weather": "weather"})
    assert build_tools(["two"]).tools[0].invoke({}) == "20 F"


def test_of_two_tools_of_one_name_the_first_is_used_and_the_other_is_told_of(folder):
    folder.add("tools", "weather", WEATHER)
    folder.add("tools", "two", TWO)
    tools = build_tools(["two", "weather", "two"])
    assert names(tools) == ["warmth", "weather"]
    assert tools.plugin_of == {"warmth": "two", "weather": "two"}
    assert tools.notices == ("plugin tools.weather has a tool 'weather' as tools.two has, which is used",)
    folder.add("tools", "twice", TWO.replace("return [warmth, weather]", "return [weather, weather]"))
    assert build_tools(["twice"]).notices == ("plugin tools.twice has a tool 'weather' twice; the first is used",)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise ValueError('no key')", "ValueError: no key"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("make = 3", "is int"),
        ("def make(): return ['text']", "gave str; it must give a LangChain BaseTool"),
        ("def make(): return None", "gave NoneType"),
        ("def make(): raise KeyError('x')", "KeyError"),
        ("def make(): raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def make(): yield 1", "gave generator"),
        ("CHATGLM_SLIM_API = 99\nraise ValueError", "needs version 99"),
        (
            "from langchain_core.tools import StructuredTool\n"
            "make = StructuredTool(name='odd', description='', args_schema={'type': 'object'}, func=print)\n"
            "make.args_schema = 3",
            "cannot be described",
        ),
    ],
)
def test_a_plugin_that_fails_is_left_out_with_a_sentence_that_names_it(folder, source, words):
    folder.add("tools", "broken", source)
    folder.add("tools", "weather", WEATHER)
    tools = build_tools(["broken", "weather"])
    assert names(tools) == ["weather"]
    [notice] = tools.notices
    assert "tools.broken" in notice
    assert words in notice
    assert "\n" not in notice


def test_options_that_a_plugin_does_not_take_are_a_notice(folder):
    folder.add("tools", "two", TWO, "units = 3")
    folder.add("tools", "weather", WEATHER, "city = 'Paris'")
    notices = build_tools(["two", "weather"]).notices
    assert "did you mean unit?" in notices[0]
    assert "takes no options" in notices[1]


def test_a_plugin_that_is_not_there_or_off_is_a_notice(folder):
    folder.add("tools", "weather", WEATHER)
    folder.file.write_text(folder.file.read_text() + "enabled = false\n")
    notices = build_tools(["weather", "nothing"]).notices
    assert "tools.weather is not on" in notices[0]
    assert "no plugin 'nothing'" in notices[1]


def test_a_plugin_that_hangs_is_left_out_and_prints_do_no_harm(folder, capsys):
    folder.add("tools", "slow", "print('noise')\nimport time\ntime.sleep(0.7)\n" + textwrap.dedent(TWO))
    folder.add("tools", "weather", WEATHER)
    box = Toolbox()
    tools = finished(box.open(["slow", "weather"], seconds=0.2))
    assert names(tools) == ["weather"]
    assert "tools.slow" in tools.notices[0]
    assert "not ready after 0.2 s" in tools.notices[0]
    sys.stdout.write("ours\n")
    assert capsys.readouterr().out == "ours\n"
    while "warmth" not in names(tools):  # it comes later
        tools = finished(box.open(["slow", "weather"]))


def test_a_plugin_is_made_once(folder):
    folder.add("tools", "two", TWO)
    box = Toolbox()
    assert box.made(["two"]).tools == ()
    first = finished(box.open(["two"]))
    assert finished(box.open(["two"])).tools[0] is first.tools[0] is box.made(["two"]).tools[0]


def test_a_plugin_that_is_switched_off_or_has_other_options_by_now_is_not_used_as_it_was(folder):
    folder.add("tools", "two", TWO, 'unit = "F"')
    box, before = Toolbox(), folder.file.read_text()
    assert finished(box.open(["two"])).tools[0].invoke({}) == "20 F"
    folder.file.write_text(before.replace("F", "K"))
    assert finished(box.open(["two"])).tools[0].invoke({}) == "20 K"
    folder.file.write_text(before.replace("[tools.two]", "[tools.two]\nenabled = false"))
    tools = finished(box.open(["two"]))
    assert names(tools) == []
    assert "tools.two is not on" in tools.notices[0]


def test_who_is_at_work_is_told(folder):
    folder.add("tools", "weather", WEATHER)
    heard: list[str] = []
    finished(Toolbox().open(["weather", "nothing"], doing=heard.append))
    assert heard == ["the plugin tools.weather", "", "the plugin tools.nothing", ""]
