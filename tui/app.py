"""The composition root of ``chatglm-tui``: arguments in, the real objects built, the app run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.timer import Timer
from textual.widgets import TextArea

from chatglm_slim_llm.config import DEFAULT_HUB_ID, DEMO_MODEL, PLUGIN, GenerationOptions, LoadOptions
from chatglm_slim_llm.errors import ChatGLMSlimError, CheckpointNotFoundError, ConfigError
from chatglm_slim_llm.hosting.amounts import size_text
from chatglm_slim_llm.hosting.assistant import Assistant, ModelFacts
from chatglm_slim_llm.hosting.client import ProcessAssistant
from chatglm_slim_llm.hosting.library import Library
from chatglm_slim_llm.hosting.local import LocalAssistant
from chatglm_slim_llm.storage import ConversationStore, history_path
from tui import arguments, keys, language, serve, settings, themes
from tui.background import in_background
from tui.ending import end_when_asked
from tui.language import tr
from tui.messages import DownloadNeeded, ModelFailed, ModelLoading, ModelReady
from tui.plugin_list import PluginList
from tui.plugin_list import read as read_plugins
from tui.plugin_models import is_of_plugin
from tui.reasons import told
from tui.screens.chat import ChatScreen
from tui.settings import LoadedSettings, Settings
from tui.talk import Talk
from tui.telling import complain
from tui.unsteered import Unsteered
from tui.widgets.prompt_input import read_pastes_whole
from tui.worker import ModelWorker

_IDLE_BEFORE_LOADING_S = 0.7

AssistantOf = Callable[[Settings], Assistant]


def assistant_of(wanted: Settings) -> Assistant:
    """The model that the settings name, in a process of its own unless they say otherwise."""
    return LocalAssistant(wanted.load) if wanted.program.process == "inside" else ProcessAssistant(wanted.load)


class ChatApp(App[None]):
    """The terminal assistant: it owns the model, the settings and the look; the chat screen owns the conversation."""

    TITLE = "chatglm-tui"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", id="app.quit", tooltip="Quit; everything is saved", priority=True),
        Binding("f1", "help", "Help", id="app.help", tooltip="Keys and commands, of this place first", priority=True),
        Binding("f2", "options", "Settings", id="app.settings", tooltip="Settings of the program", priority=True),
        Binding(
            "ctrl+t",
            "model",
            "Model",
            id="app.model",
            tooltip="Choose the model, its level and its device",
            priority=True,
        ),
        Binding(
            "ctrl+p", "command_palette", "Palette", id="app.palette", tooltip="Find commands and chats", priority=True
        ),
        Binding("ctrl+l", "jump", "Jump", show=False, id="app.jump", tooltip="Go anywhere by a letter", priority=True),
        Binding(
            "ctrl+c",
            "help_quit",
            show=False,
            system=True,
            id="app.copy",
            tooltip="Copy what is selected with the mouse",
        ),
    ]

    def __init__(
        self,
        loaded: LoadedSettings,
        store: ConversationStore,
        *,
        assistants: AssistantOf = assistant_of,
        library: Library | None = None,
        settings_file: Path | None = None,
        plugins: Callable[[], PluginList] = read_plugins,
    ) -> None:
        super().__init__()
        self.loaded = loaded
        self.code_theme = ""
        """The Pygments style of code in answers; empty for one that fits the theme."""
        self.store = store
        self._settings_file = settings_file or settings.settings_path()
        self._assistants = assistants
        self._library = library or Library()
        self._worker = ModelWorker(assistants(loaded.settings), store, self._post_to_chat)
        talk = Talk(store, self._sampling)
        self._chat = ChatScreen(store, self._worker, self._library, talk, plugins=plugins)
        self._idle: Timer | None = None
        self._unsteered = Unsteered()
        self._is_downloading = False
        self.threads_ended = True

    def _post_to_chat(self, message: Any) -> None:
        self._chat.pane.post_message(message)

    def _sampling(self) -> GenerationOptions:
        return self.loaded.settings.sampling

    def on_mount(self) -> None:
        if not self.is_headless and not self.is_web:  # the driver of the web has ways of its own
            end_when_asked(self, self._chat.pane.keep_draft)
        self._apply_interface()
        problems = [*self.loaded.problems, *themes.install(self, self._settings_file.parent / "themes")]
        problems += [*self._apply_theme(), *keys.apply(self, self.loaded.settings.keys)]
        self._name_model()
        self.push_screen(self._chat)
        for problem in problems:
            complain(self._chat, problem, tr("Settings"))
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """After the first paint: ask a newcomer which model to use, or load it once the keyboard rests."""
        self._clear_trash()
        if self._is_first_start():
            from tui.screens.first_start import FirstStart

            keeps_level = self.loaded.origin("load.quantization") != "default"
            self.push_screen(FirstStart(self.loaded.settings.load, keeps_level=keeps_level), self._use_first)
        else:
            self._load_when_idle()

    def _is_first_start(self) -> bool:
        return (
            self.loaded.origin("load.model") == "default"
            and not self._settings_file.exists()
            and not self.store.path.exists()
        )

    def _use_first(self, options: LoadOptions | None) -> None:
        wanted = self.loaded.settings.load
        if options is None or options == wanted:
            self._save("load.model", wanted.model)  # a choice is not asked for twice
            self._load_when_idle()
        else:
            self._use_model(options)

    def _clear_trash(self) -> None:
        days = self.loaded.settings.program.trash_days
        if days and self.store.path.exists():
            in_background(
                self._chat,
                lambda: self.store.empty_trash(older_than_days=days),
                lambda _count: None,
                lambda reason: complain(self._chat, reason, tr("Trash")),
            )

    async def action_quit(self) -> None:
        """Quit; everything is saved."""
        self._chat.pane.keep_draft()
        await super().action_quit()

    def on_exit_app(self) -> None:
        self._chat.pane.keep_draft()  # a closed tab of the served terminal comes here without quitting

    def on_unmount(self) -> None:
        self.threads_ended = self._worker.close()
        self._chat.plugins.commands.close()
        self._library.close()

    # --- the model: loaded after the first paint, once the keyboard rests

    def _load_when_idle(self) -> None:
        self._idle = self.set_timer(_IDLE_BEFORE_LOADING_S, self._worker.load)

    @on(TextArea.Changed)
    def _wait_for_idle(self) -> None:
        if self._idle is not None:
            self._idle.reset()

    def _name_model(self, facts: ModelFacts | None = None) -> None:
        wanted = self.loaded.settings.load
        is_demo = wanted.model == DEMO_MODEL
        level, device = (facts.quantization, facts.device) if facts else (wanted.quantization, "")
        if is_of_plugin(wanted.model):  # what has no level of ours must not seem to have one
            level, device = "", ""
        self._chat.status.model = " · ".join(filter(None, [_short(wanted.model), level, device]))
        self._chat.pane.set_notice(tr("This is the small demo model; Ctrl+T chooses another") if is_demo else "")

    @on(ModelLoading)
    def _show_loading(self, event: ModelLoading) -> None:
        from tui.screens.download import Download

        self._is_downloading = event.what in ("downloading", "checking")
        if self.screen_stack and isinstance(self.screen, Download) and self.screen.is_fetching:
            self.screen.show_progress(event.what, event.done_bytes, event.total_bytes)

    @on(ModelReady)
    def _show_ready(self, event: ModelReady) -> None:
        self._close_download()
        self._name_model(event.facts)
        if event.facts.memory_bytes and self.loaded.settings.load.model != DEMO_MODEL:
            before, now = size_text(event.facts.memory_before_bytes), size_text(event.facts.memory_bytes)
            self.notify(tr("Memory before {before}, now {now}", before=before, now=now), markup=False)

    @on(ModelFailed)
    def _show_failed(self) -> None:
        self._close_download()

    @on(DownloadNeeded)
    def _ask_for_download(self) -> None:
        from tui.screens.download import Download

        self.push_screen(Download(self.loaded.settings.load.model, self._worker.answer_download))

    def _close_download(self) -> None:
        from tui.screens.download import Download

        self._is_downloading = False
        if self.screen_stack and isinstance(self.screen, Download):  # there is none while the app ends
            self.pop_screen()

    def action_model(self) -> None:
        """Choose the model, its level and its device; while one is fetched, see how far it is, or stop that."""
        from tui.screens.download import Download
        from tui.screens.models import ModelPicker

        if self._is_downloading:
            model, answer = self.loaded.settings.load.model, self._worker.answer_download
            self.push_screen(Download(model, answer, is_fetching=True))
            return
        self.push_screen(ModelPicker(self.loaded.settings.load, self._worker.facts), self._use_model)

    def _use_model(self, options: LoadOptions | None) -> None:
        if options is None:
            return
        for name in ("model", "quantization", "device"):
            if getattr(options, name) != getattr(self.loaded.settings.load, name):
                self._save(f"load.{name}", getattr(options, name))
        self._replace_model()

    def _replace_model(self) -> None:
        if self._idle is not None:
            self._idle.stop()
        self._name_model()
        self._worker.replace(self._assistants(self.loaded.settings))

    # --- settings

    def action_options(self) -> None:
        """Settings of the program."""
        from tui.screens.settings import SettingsScreen

        if isinstance(self.screen, SettingsScreen):
            self.screen.action_close()
        else:
            self.push_screen(SettingsScreen(self.loaded, self._settings_file))

    def on_setting_changed(self, event: Any) -> None:
        """A setting is to have another value: it is saved, and holds from now on."""
        self._save(event.key, event.value)
        group = event.key.partition(".")[0]
        if group == "interface":
            self._apply_interface()
            for problem in self._apply_theme():
                complain(self._chat, problem, tr("Settings"))
            if event.key == "interface.language":
                self._name_model(self._worker.facts)
                self._chat.speak()
        elif group == "keys":
            chosen = self.loaded.settings.keys
            keys.apply(self, chosen)
            for problem in keys.conflicts(keys.actions(), chosen, of=event.key.removeprefix("keys.")):
                complain(self._chat, problem, tr("Settings"))
        elif group == "load" or event.key == "program.process":
            self._replace_model()
        elif event.key == "program.editor":
            self._apply_interface()

    def _save(self, key: str, value: object) -> None:
        try:
            settings.save(self._settings_file, key, value)
        except ConfigError as error:
            complain(self._chat, str(error), tr("Not saved"))
            self._keep_unsaved(key, value)
        else:
            self.loaded = self.loaded.with_value(key, value)

    def _keep_unsaved(self, key: str, value: object) -> None:
        from tui.screens.settings import SettingsScreen

        self.loaded = self.loaded.with_value(key, value, "unsaved")
        for screen in self.screen_stack:
            if isinstance(screen, SettingsScreen):
                screen.show_as_is(self.loaded)

    def _apply_theme(self) -> list[str]:
        wanted = self.loaded.settings.interface.theme
        if wanted in self.available_themes:
            self.theme = wanted
            return []
        names = ", ".join(sorted(name for name in self.available_themes if name.startswith("chatglm-")))
        return [
            tr(
                "There is no theme “{name}”; choose one of {names}, or put it into the themes folder",
                name=wanted,
                names=names,
            )
        ]

    def _apply_interface(self) -> None:
        interface = self.loaded.settings.interface
        language.use(language.of_environment() if interface.language == "auto" else interface.language)
        self.set_class(interface.accessible, "-accessible")
        self.animation_level = "none" if interface.accessible or not interface.animation else "full"
        self.code_theme = "" if interface.code_theme == "auto" else interface.code_theme
        self._chat.pane.prompt.editor = self.loaded.settings.program.editor

    # --- the frame

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line goes through before it is written."""
        return [*super().get_line_filters(), self._unsteered]

    def action_help(self) -> None:
        """Keys and commands, of this place first."""
        from tui.screens.help import Help

        if isinstance(self.screen, Help):
            self.pop_screen()
        else:
            self.push_screen(Help(self.screen))

    def action_command_palette(self) -> None:
        """Find commands, themes and conversations by typing."""
        from tui import palette

        palette.open_palette(self)

    def action_jump(self) -> None:
        """Go anywhere by a letter."""
        from tui import jump

        jump.start(self)

    def action_help_quit(self) -> None:
        """Ctrl+C with nothing selected stops the answer; it does not quit, for fingers press it without thinking."""
        if self.screen is self._chat and (self._chat.plugins.commands.stop() or self._chat.pane.stop()):
            return
        self.notify(tr("Press Ctrl+Q to quit. Ctrl+C copies what is selected."))

    def on_app_blur(self, _event: events.AppBlur) -> None:
        self._chat.pane.keep_draft(waits=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the terminal assistant; returns the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    said = arguments.parser().parse_args(given)
    if said.serve:
        _speak(said.language)
        return serve.run(given)
    try:
        loaded = settings.load(settings.settings_path(), arguments.settings_of(said))
        _want_model(loaded.settings.load)
        if loaded.origin("load.model") == "argument":
            _want_plugin(loaded.settings.load.model)
        store = ConversationStore.open(history_path())
    except ChatGLMSlimError as error:
        _say(said.language, str(error))
        return 1
    with store:
        if not (sys.stdin.isatty() and sys.stdout.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
            _say(said.language, "this needs a terminal for its input and output; use chatglm-slim chat in a pipe")
            return 2
        app = ChatApp(loaded, store)
        read_pastes_whole(app)
        app.run()
    status = app.return_code or 0
    if not app.threads_ended or "torch" in sys.modules:
        _end_now(status)
    return status


def _say(wanted: str | None, sentence: str) -> None:
    """Why there will be no screen."""
    _speak(wanted)
    sys.stderr.write(f"chatglm-tui: {told(sentence)}\n")


def _speak(wanted: str | None) -> None:
    """The language that was asked for on the line, in a variable, in the file, or by the system."""
    named = wanted or os.environ.get(settings.ENVIRONMENT["interface.language"])
    spoken = named or settings.load(settings.settings_path(), environ={}).settings.interface.language
    language.use("zh" if spoken == "zh" or (spoken != "en" and language.of_environment() == "zh") else "en")


def _want_model(options: LoadOptions) -> None:
    """A folder that is not there is told before anything is painted."""
    folder = Path(options.model).expanduser()
    is_path = folder.is_absolute() or options.model.startswith(".") or options.model.count("/") > 1
    if is_path and not folder.is_dir():
        raise CheckpointNotFoundError(
            f"{options.model} is no folder; give the folder of a checkpoint, a hub id such as {DEFAULT_HUB_ID}, or demo"
        )


def _want_plugin(model: str) -> None:
    """A plugin that was named just now and is not on is told at once; one of the settings may come back."""
    if is_of_plugin(model):
        from chatglm_slim_llm.plugins import plugin

        plugin("models", model.removeprefix(PLUGIN))


def _end_now(status: int) -> None:
    """End without waiting for a step of the model, or the seconds that tearing torch down takes; all is saved."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _short(model: str) -> str:
    """A folder's own name; ``demo`` and ``owner/name`` as they are."""
    return model if model.count("/") <= 1 else Path(model).name


if __name__ == "__main__":
    sys.exit(main())
