"""Conversations out of the history file and into it: Markdown and HTML to read, JSON to keep, others' exports to bring.

``exporting.py`` writes, ``importing.py`` reads; one module a format beside them. A conversation crosses as one value,
``WholeConversation``, so no format knows of the database. What comes from outside is never trusted: files are read in
bounded pieces, every type is checked, and a conversation is added whole or not at all.
"""

from __future__ import annotations

from chatglm_slim_llm.storage.exchange.exporting import FORMATS, Format, export_text, export_to, write_export
from chatglm_slim_llm.storage.exchange.importing import ImportReport, import_file

__all__ = ["FORMATS", "Format", "ImportReport", "export_text", "export_to", "import_file", "write_export"]
