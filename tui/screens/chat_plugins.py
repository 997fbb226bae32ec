"""Between the chat and plugins: which commands they add, the dialogs that switch them, the tools of a chat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from chatglm_slim_llm.config import PLUGIN
from tui.background import in_background
from tui.language import tr
from tui.plugin_commands import PluginCommands
from tui.plugin_list import PluginList
from tui.talk import Talk
from tui.telling import complain

if TYPE_CHECKING:
    from tui.screens.chat import ChatScreen

_MOST_PROBLEMS = 3


class ChatPlugins:
    """What the chat screen does with plugins; they are read beside the screen.

    Args:
        screen: the chat.
        talk: the conversation on it.
        read: reads the plugins; takes a while.
    """

    def __init__(self, screen: ChatScreen, talk: Talk, read: Callable[[], PluginList]) -> None:
        self._screen, self._talk, self._read = screen, talk, read
        self.commands = PluginCommands(screen.pane)
        self.retrievers: list[str] = []
        """What may stand in the place of a knowledge base, by the names that stand there."""

    def look(self, *, is_start: bool = False) -> None:
        """Find out which commands there are, and which tools are off; at the start, say what is wrong."""

        def then(plugins: PluginList) -> None:
            self._screen.pane.prompt.commands = plugins.commands
            self._talk.tools_off = {spec.name for spec in plugins.of("tools") if spec.state == "off"}
            self.retrievers = [f"{PLUGIN}{spec.name}" for spec in plugins.on("retrievers")]
            self._screen.pane.show_hint()
            if is_start:
                self._tell(plugins.complaints)

        in_background(self._screen, self._read, then, lambda reason: self._tell([reason]))

    def _tell(self, problems: list[str]) -> None:
        for problem in problems[:_MOST_PROBLEMS]:
            complain(self._screen, problem, tr("Plugins"))
        if (left := len(problems) - _MOST_PROBLEMS) > 0:
            complain(self._screen, tr("… {count} more", count=left), tr("Plugins"))

    def show(self) -> None:
        """Show all plugins; what is switched there holds at once."""
        from tui.screens.plugins import PluginsScreen

        def then(has_switched: bool | None) -> None:
            if has_switched:
                self.commands.forget()
                self.look()

        self._screen.app.push_screen(PluginsScreen(self._read), then)

    def choose_tools(self) -> None:
        """Choose the tools of the chat on the screen."""
        from tui.screens.tools import ToolsScreen

        settings = self._talk.settings

        def then(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self._screen.pane.set(replace(settings, tools=names))

        screen = ToolsScreen(settings.tools, has_knowledge=bool(settings.knowledge_base), plugins=self._read)
        self._screen.app.push_screen(screen, then)
