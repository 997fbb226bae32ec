"""The command palette: every command and key, every theme, and the conversations that hold what is typed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from rich.text import Text
from textual.app import App
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ConversationStore
from chatglm_slim_llm.storage import Hit as Found
from tui import keys
from tui.commands import COMMANDS, Command
from tui.language import tr
from tui.messages import CommandGiven, ConversationChosen
from tui.screens.settings import SettingChanged

_CONVERSATIONS = 30


class Palette(CommandPalette):
    """Textual's palette without its sign, and with room for an answer in five lines."""

    VERTICAL_BREAKPOINTS = [(0, "-short"), (14, "-tall")]  # noqa: RUF012  (Textual declares no ClassVar)
    DEFAULT_CSS = """
    Palette SearchIcon { display: none; }
    Palette CommandInput { padding-left: 1; }
    Palette > Vertical { width: 90; max-width: 100%; }
    Palette.-short > Vertical { margin-top: 0; }
    Palette.-short #--input { border: none; }
    Palette.-short CommandInput { border: none; height: 1; }
    """


def open_palette(app: App[Any]) -> None:
    """Show the palette, unless it is shown already."""
    if not CommandPalette.is_open(app):
        app.push_screen(Palette(providers=[Commands], placeholder=tr("Search"), id="--command-palette"))


@dataclass(frozen=True)
class Offer:
    """Something the palette can do."""

    name: str
    run: Callable[[], Any]
    key: str = ""
    help: str = ""


class Commands(Provider):
    """Offers what the screen below can do; conversations come from ``app.store``, where there is one."""

    async def discover(self) -> Hits:
        for offer in self._offers():
            yield DiscoveryHit(_line(offer), offer.run, offer.name, _quiet(offer.help))

    async def search(self, query: str) -> Hits:
        for offer in self._offers():
            if score := _score(query, offer):
                yield Hit(score, _line(offer, query), offer.run, offer.name, _quiet(offer.help))
        for rank, found in enumerate(await self._conversations(query)):
            run = partial(self._choose, found, query)
            yield Hit(0.4 - rank / 1000, _title(found), run, found.conversation.title, _quiet(found.excerpt))

    def _offers(self) -> Iterator[Offer]:
        shown: dict[str, str] = {}
        others = []
        commands: Sequence[Command] = getattr(self.screen, "commands", COMMANDS)
        for active in self.screen.active_bindings.values():
            action = active.binding.action.removeprefix("app.").removeprefix("screen.")
            if active.node not in (self.screen, self.app):
                continue  # the prompt's own "copy" is not the chat's
            shown.setdefault(action, keys.short(active.binding.key))
            if (
                active.binding.id
                and action not in {command.action for command in commands}
                and action != "command_palette"
            ):
                others.append(active)
        if not self.screen.is_modal:
            for command in commands:
                yield Offer(
                    command.about if command.help else f"/{command.name}",
                    partial(self._give, command.name),
                    shown.get(command.action, ""),
                    f"/{command.name}" if command.help else command.origin,
                )
        for active in others:
            binding = active.binding
            run = partial(self.app.run_action, binding.action, active.node)
            yield Offer(tr(binding.tooltip or binding.description), run, keys.short(binding.key))
        for name in sorted(self.app.available_themes, key=lambda name: (not name.startswith("chatglm-"), name)):
            yield Offer(tr("Theme: {name}", name=name), partial(self._wear, name))

    def _give(self, command: str) -> None:
        self.screen.post_message(CommandGiven(command, ""))

    def _wear(self, theme: str) -> None:
        self.screen.post_message(SettingChanged("interface.theme", theme))

    def _choose(self, found: Found, words: str) -> None:
        self.screen.post_message(ConversationChosen(found.conversation.id, found.message_id, words))

    async def _conversations(self, query: str) -> list[Found]:
        store: ConversationStore | None = getattr(self.app, "store", None)
        if store is None or self.screen.is_modal:
            return []
        try:
            return await asyncio.to_thread(store.search, query, limit=_CONVERSATIONS)
        except StorageError:  # the history itself tells
            return []


def _score(query: str, offer: Offer) -> float:
    """Every word that was typed must stand there; the name counts more than what is said about it."""
    words, name = query.lower().split(), offer.name.lower()
    if all(word in name for word in words):
        return 1.0 if name.startswith(query.lower().strip()) else 0.9
    return 0.5 if all(word in f"{name} {offer.help}".lower() for word in words) else 0.0


def _line(offer: Offer, query: str = "") -> Text:
    """The name with what was typed in it marked, and the key."""
    line = Text(offer.name)
    for word in query.split():
        line.highlight_words([word], "underline", case_sensitive=False)
    return line + Text(f"  {offer.key}", "bold") if offer.key else line


def _title(found: Found) -> Text:
    return Text(found.conversation.title or tr("Conversation"))


def _quiet(text: str) -> str | None:
    """A line below; the palette would read a string as markup."""
    return cast(str, Content(text)) if text else None
