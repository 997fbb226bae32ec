"""Plugins for the pictures: a tool that writes, a command, a model that calls the tool, and one that is not there."""

FILES = {
    "plugins.toml": """\
# seen in the picture of the plugins
[tools.notes]
target = "notes.py:add_note"
description = "Writes a line into notes.md"

[commands.word]
target = "word.py:word"
description = "A word of the day, to learn"

[models.rehearsed]
target = "rehearsed.py:Rehearsed"
description = "Notes whatever it is told"

[loaders.org]
target = "org_reader:load"
description = "Org mode, by its headings"

[tools.clock]
enabled = false
""",
    "notes.py": '''\
from langchain_core.tools import tool


@tool
def add_note(text: str, file: str) -> str:
    """Write a line at the end of a file of notes."""
    with open(file, "a", encoding="utf-8") as notes:
        notes.write(text + "\\n")
    return "written"
''',
    "word.py": """\
def word(call):
    return "寒露: the dew grows cold"
""",
    "rehearsed.py": '''\
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult


class Rehearsed(BaseChatModel):
    """A model that notes what it is told, and says so."""

    @property
    def _llm_type(self):
        return "rehearsed"

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if messages[-1].type == "tool":
            message = AIMessage("It is noted.")
        else:
            call = {"name": "add_note", "args": {"text": messages[-1].text, "file": "notes.md"}, "id": "1"}
            message = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])
''',
}
"""What each file of the folder holds."""
