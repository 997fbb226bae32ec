"""Settings: where each value comes from, what is wrong with a file, and how one is written into it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import ConfigError
from tui import settings
from tui.arguments import parser, settings_of
from tui.settings import LoadedSettings, Settings, hints, load, save
from tui.settings.docs import TITLES, explanations
from tui.settings.text import parsed, shown


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, "utf-8")
    return path


def test_without_anything_every_value_is_the_default(tmp_path):
    loaded = load(tmp_path / "settings.toml", environ={})
    assert loaded == LoadedSettings(Settings())
    assert loaded.origin("interface.theme") == "default"
    assert not (tmp_path / "settings.toml").exists()


def test_an_argument_wins_over_the_environment_which_wins_over_the_file(tmp_path):
    path = written(tmp_path, '[load]\nmodel = "file/model"\nquantization = "int8"\ndevice = "cuda"\n')
    environ = {"CHATGLM_SLIM_MODEL": "env/model", "CHATGLM_SLIM_QUANTIZATION": "int4"}
    loaded = load(path, {"load.model": "argument/model", "load.device": None}, environ)
    assert loaded.settings.load.model == "argument/model"
    assert loaded.settings.load.quantization == "int4"
    assert loaded.settings.load.device == "cuda"
    assert [loaded.origin(f"load.{name}") for name in ("model", "quantization", "device")] == [
        "argument",
        "environment",
        "file",
    ]


def test_the_commands_options_reach_the_settings():
    said = parser().parse_args(
        ["--model", "m", "--quantization", "int4", "--device", "cpu", "--kv-cache-dtype", "int8"]
    )
    loaded = load(Path("none.toml"), settings_of(said), {})
    assert loaded.settings.load == LoadOptions(model="m", quantization="int4", device="cpu", kv_cache_dtype="int8")


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("true", True), ("off", False), ("0", False)])
def test_a_switch_in_the_environment_is_read_as_people_write_it(tmp_path, text, expected):
    environ = {"CHATGLM_TUI_ACCESSIBLE": text}
    assert load(tmp_path / "none.toml", environ=environ).settings.interface.accessible is expected


def test_a_wrong_variable_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ConfigError, match=r"CHATGLM_SLIM_DEVICE: device 'gpu' is unknown") as error:
        load(tmp_path / "none.toml", environ={"CHATGLM_SLIM_DEVICE": "gpu"})
    assert error.value.source == "CHATGLM_SLIM_DEVICE"


def test_a_wrong_argument_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="one of 'fp16', 'int8', 'int4'"):
        load(tmp_path / "none.toml", {"load.quantization": "int3"}, {})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('themee = "nord"', ", line 3: there is no setting 'interface.themee'; did you mean 'interface.theme'?"),
        ("accessible = 3", ", line 3: interface.accessible is 3; it must be true or false"),
        ('language = "fr"', ", line 3: interface.language is 'fr'; it must be one of 'auto', 'en', 'zh'"),
        ('theme = " "', ", line 3: theme is empty; give the name of a theme"),
        ("theme = { a = 1 }", ", line 3: interface.theme is {'a': 1}; it must be a text"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line_and_the_rest_is_used(tmp_path, line, told):
    path = written(tmp_path, f"[interface]\nanimation = false\n{line}\n[program]\ntrash_days = 7\n")
    loaded = load(path, environ={})
    assert loaded.problems == (f"{path}{told}",)
    assert loaded.settings.interface.animation is False
    assert loaded.settings.program.trash_days == 7
    assert loaded.settings.interface.theme == Settings().interface.theme


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[interfac]\ntheme = "nord"', "there is no setting 'interfac'; did you mean 'interface'?"),
        ('theme = "nord"', "there is no setting 'theme'; did you mean 'interface.theme'?"),
        ("zzz = 1", "there is no setting 'zzz'"),
        ("interface = 3", "interface is 3; it must be a table, which begins with [interface]"),
    ],
)
def test_a_key_out_of_its_table_is_told(tmp_path, text, told):
    (problem,) = load(written(tmp_path, text), environ={}).problems
    assert problem.endswith(told)


@pytest.mark.parametrize("group", ["interface", "keys"])
def test_a_group_that_is_no_table_is_told_as_such(tmp_path, group):
    path = written(tmp_path, f"{group} = 5\n")
    loaded = load(path, environ={})
    assert loaded.settings == Settings()
    assert loaded.problems == (f"{path}, line 1: {group} is 5; it must be a table, which begins with [{group}]",)


@pytest.mark.parametrize("content", [b"[interface\n", b"\xff\xfe\x00", b"a = 1\na = 2\n"])
def test_a_broken_file_is_told_never_overwritten_and_the_program_starts(tmp_path, content):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    loaded = load(path, environ={})
    assert loaded.settings == Settings()
    assert len(loaded.problems) == 1
    assert "the defaults are used" in loaded.problems[0]
    with pytest.raises(ConfigError, match="repair it"):
        save(path, "interface.theme", "nord")
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path):
    (tmp_path / "settings.toml").mkdir()
    (problem,) = load(tmp_path / "settings.toml", environ={}).problems
    assert "cannot be read" in problem
    with pytest.raises(ConfigError, match="cannot be written"):
        save(tmp_path / "settings.toml", "interface.theme", "nord")


def test_keys_are_read_in_both_ways_of_writing_an_id(tmp_path):
    path = written(tmp_path, '[keys]\napp.quit = "f10"\n"chat.new" = "f9, f8"\n')
    assert load(path, environ={}).settings.keys == {"app.quit": "f10", "chat.new": "f9, f8"}


def test_a_list_a_whole_number_and_nothing_fit_their_types(tmp_path):
    path = written(tmp_path, '[sampling]\ntemperature = 1\nstop = ["a", "b"]\nmax_tokens = 5\n')
    sampling = load(path, environ={}).settings.sampling
    assert (sampling.temperature, sampling.stop, sampling.max_tokens) == (1.0, ("a", "b"), 5)
    (problem,) = load(written(tmp_path, "[sampling]\nmax_tokens = true"), environ={}).problems
    assert problem.endswith("sampling.max_tokens is true; it must be a whole number or left out")


def test_saving_keeps_comments_order_and_what_is_not_known(tmp_path):
    path = written(
        tmp_path,
        '# mine\n\n[interface]\nfuture = 1\ntheme = "nord"  # calm\n\n[keys]\napp.quit = "f10"\n"chat.new" = "f9"\n',
    )
    save(path, "interface.theme", "dracula")
    save(path, "keys.app.quit", "f8")
    save(path, "keys.chat.new", None)
    save(path, "sampling.stop", ("b",))
    assert path.read_text("utf-8") == (
        '# mine\n\n[interface]\nfuture = 1\ntheme = "dracula"  # calm\n\n[keys]\napp.quit = "f8"\n'
        '\n[sampling]\nstop = ["b"]\n'
    )


def test_saving_makes_the_file_and_its_folder_and_taking_out_what_is_not_there_does_nothing(tmp_path):
    path = tmp_path / "config" / "settings.toml"
    save(path, "interface.theme", None)
    save(path, "program.trash_days", 3)
    save(path, "keys.app.quit", "f10")
    save(path, "keys.chat.new", None)
    assert tomllib.loads(path.read_text("utf-8")) == {"program": {"trash_days": 3}, "keys": {"app.quit": "f10"}}
    assert path.stat().st_mode & 0o777 == 0o600
    assert load(path, environ={}).settings.keys == {"app.quit": "f10"}


def test_a_link_stays_a_link_and_the_file_keeps_its_mode(tmp_path):
    (tmp_path / "dotfiles").mkdir()
    target = tmp_path / "dotfiles" / "chatglm.toml"
    target.write_text('[interface]\ntheme = "nord"\n', "utf-8")
    target.chmod(0o644)
    path = tmp_path / "settings.toml"
    path.symlink_to(target)
    save(path, "interface.theme", "dracula")
    assert path.is_symlink()
    assert "dracula" in target.read_text("utf-8")
    assert target.stat().st_mode & 0o777 == 0o644
    assert list(target.parent.iterdir()) == [target]


def test_a_value_that_cannot_be_used_is_not_saved(tmp_path):
    path = tmp_path / "settings.toml"
    for key, value in [("program.trash_days", -1), ("nothing.such", 1), ("keys.app.quit", 3)]:
        with pytest.raises(ConfigError):
            save(path, key, value)
    assert not path.exists()


def test_a_table_that_is_something_else_is_not_overwritten(tmp_path):
    path = written(tmp_path, "interface = 3\n")
    with pytest.raises(ConfigError, match="interface is not a table"):
        save(path, "interface.theme", "nord")
    assert path.read_text() == "interface = 3\n"


def test_changing_gives_the_new_settings_even_where_they_cannot_be_saved(tmp_path):
    path = tmp_path / "settings.toml"
    loaded, problem = settings.change(path, LoadedSettings(), "interface.theme", "nord")
    assert (loaded.settings.interface.theme, loaded.origin("interface.theme"), problem) == ("nord", "file", "")
    loaded, problem = settings.change(path, loaded, "interface.theme", None)
    assert loaded == LoadedSettings()
    path.write_text("[", "utf-8")
    loaded, problem = settings.change(path, loaded, "interface.theme", "nord")
    assert loaded.settings.interface.theme == "nord"
    assert "not valid TOML" in problem


def test_every_setting_is_explained_and_has_a_group():
    assert set(explanations()) == set(hints())
    assert all(text.endswith(".") and "`" not in text for text in explanations().values())
    assert {key.partition(".")[0] for key in hints()} | {"keys"} == set(TITLES)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("sampling.temperature", "0.5", 0.5),
        ("sampling.temperature", "warm", "warm"),
        ("sampling.top_k", " 7 ", 7),
        ("sampling.top_k", "", ""),
        ("sampling.max_tokens", "", None),
        ("sampling.stop", "", ()),
        ("sampling.stop", '"a\\n", "，"', ("a\n", "，")),
        ("sampling.stop", "a, b", ("a", "b")),
        ("sampling.stop", "停，完,好", ("停", "完", "好")),
        ("sampling.stop", '"停，完"， b, 1', ("停，完", "b", "1")),
        ("sampling.stop", 'say "a"', ('say "a"',)),
        ("load.model", "3", "3"),
    ],
)
def test_what_is_typed_becomes_a_value_and_stands_there_again(key, text, value):
    assert parsed(key, text) == value
    assert parsed(key, shown(value)) == value
