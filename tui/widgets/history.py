"""The list of past conversations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from chatglm_slim_llm.storage import Conversation
from tui.messages import ConversationChosen, DeleteAsked
from tui.wrapping import visible

_EMPTY = Option(Content.styled("No conversations yet", "$text-muted"), disabled=True)


class History(OptionList):
    """Past conversations, the newest first: Enter opens one, Delete asks and deletes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "delete,d",
            "delete",
            "Delete",
            key_display="del",
            id="history.delete",
            tooltip="Delete the conversation marked in the history",
        ),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._titles: dict[int, str] = {}
        self.border_title = "History"

    def show(self, conversations: Sequence[Conversation], current_id: int | None) -> None:
        """Replace the list, and mark the one that is open."""
        self._titles = {conversation.id: conversation.title for conversation in conversations}
        self.clear_options()
        self.add_options([_option(conversation, current_id) for conversation in conversations] or [_EMPTY])
        if current_id in self._titles:
            self.highlighted = self.get_option_index(str(current_id))

    def on_focus(self) -> None:
        if self.highlighted is None:
            self.action_first()

    def action_delete(self) -> None:
        if (option := self.highlighted_option) and option.id:
            conversation_id = int(option.id)
            self.post_message(DeleteAsked(conversation_id, self._titles[conversation_id]))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(ConversationChosen(int(event.option_id or 0)))


def _option(conversation: Conversation, current_id: int | None) -> Option:
    mark = "● " if conversation.id == current_id else "  "
    title = Content(visible(conversation.title).replace("\n", " "))
    when = Content.styled(f"  {_moment(conversation.updated_at)}", "$text-muted")
    return Option(Content.assemble((mark, "$accent"), title, "\n", when), id=str(conversation.id))


def _moment(moment: datetime) -> str:
    local, today = moment.astimezone(), datetime.now().astimezone().date()
    if local.date() == today:
        return f"{local:%H:%M}"
    return f"{local:%d %b}" if local.year == today.year else f"{local:%d %b %Y}"
