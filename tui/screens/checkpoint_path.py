"""A folder that is typed because it holds a checkpoint, looked at."""

from __future__ import annotations

import asyncio

from chatglm_slim_llm.errors import ChatGLMSlimError
from tui.language import tr
from tui.local_models import LocalModel, look_at
from tui.reasons import told
from tui.widgets.path_input import PathInput


async def checkpoint_at(line: PathInput) -> LocalModel | None:
    """The checkpoint in the folder that stands in ``line``; ``None`` if there is none, which the line then says."""
    if not line.value.strip():
        line.refuse(tr("Type the path of a folder that holds a checkpoint."))
        return None
    try:
        return await asyncio.to_thread(look_at, line.path)
    except (ChatGLMSlimError, OSError) as error:
        line.refuse(told(str(error)))
        return None
