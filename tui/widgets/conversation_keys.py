"""The keys of a conversation that has the keyboard."""

from __future__ import annotations

from textual.binding import Binding, BindingType

KEYS: list[BindingType] = [
    Binding("up,k", "scroll_up", "Scroll up", show=False, id="conversation.up", tooltip="Scroll up"),
    Binding("down,j", "scroll_down", "Scroll down", show=False, id="conversation.down", tooltip="Scroll down"),
    Binding("home,g", "scroll_home", "Top", show=False, id="conversation.top", tooltip="Go to the first message"),
    Binding("end,G", "scroll_end", "Bottom", show=False, id="conversation.end", tooltip="Go to the last message"),
    Binding(
        "left_square_bracket",
        "cursor(-1)",
        "Previous message",
        show=False,
        id="conversation.previous",
        tooltip="Go to the message above",
    ),
    Binding(
        "right_square_bracket",
        "cursor(1)",
        "Next message",
        show=False,
        id="conversation.next",
        tooltip="Go to the message below",
    ),
    Binding("c", "ask('copy')", "Copy", id="conversation.copy", tooltip="Copy this message"),
    Binding(
        "y",
        "copy_code",
        "Copy code",
        id="conversation.copy_code",
        tooltip="Copy a block of code; again for the next",
    ),
    Binding("r", "ask('regenerate')", "Again", id="conversation.regenerate", tooltip="Answer this question again"),
    Binding("e", "ask('edit')", "Edit", id="conversation.edit", tooltip="Edit this question and send it again"),
    Binding("f", "ask('fork')", "Fork", id="conversation.fork", tooltip="Go on from here in a copy of this chat"),
    Binding(
        "left",
        "ask('previous_variant')",
        "Previous variant",
        show=False,
        id="conversation.previous_variant",
        tooltip="Show the variant before this one",
    ),
    Binding(
        "right",
        "ask('next_variant')",
        "Next variant",
        show=False,
        id="conversation.next_variant",
        tooltip="Show the variant after this one",
    ),
    Binding("slash", "screen.find", "Find", id="conversation.find", tooltip="Find words in this chat"),
    Binding("n", "step(1)", "Next hit", show=False, id="conversation.next_hit", tooltip="Go to the next hit"),
    Binding(
        "N", "step(-1)", "Previous hit", show=False, id="conversation.previous_hit", tooltip="Go to the hit before"
    ),
    Binding(
        "enter",
        "ask('sources')",
        "Sources",
        show=False,
        id="conversation.sources",
        tooltip="Show the sources of this answer",
    ),
    Binding(
        "t",
        "ask('tools')",
        "Tools",
        show=False,
        id="conversation.tools",
        tooltip="Show what this answer did with tools",
    ),
]
