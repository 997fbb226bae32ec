"""Notes that the model may take; as this writes a file, the person is asked each time."""

from pathlib import Path

from langchain_core.tools import BaseTool, tool

CHATGLM_SLIM_API = 1


def notes(file: str = "~/notes.txt") -> list[BaseTool]:
    """Two tools over one file; ``file`` is an option that plugins.toml may set."""
    path = Path(file).expanduser()

    @tool
    def take_note(text: str) -> str:
        """Write a note down."""
        with path.open("a", encoding="utf-8") as notes_file:
            notes_file.write(f"{text}\n")
        return "written"

    @tool
    def read_notes() -> str:
        """Read all notes."""
        return path.read_text("utf-8") if path.exists() else "there are no notes"

    read_notes.metadata = {"readOnlyHint": True}  # it only reads, so nobody has to be asked
    return [take_note, read_notes]
