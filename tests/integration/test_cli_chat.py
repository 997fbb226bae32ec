"""``chatglm-slim chat`` with a real, tiny checkpoint: what it reads, what it prints, how it ends."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from fake_hub import FakeHub

from chatglm_slim_llm.checkpoint.pull import DEMO_FOLDER
from chatglm_slim_llm.cli import main
from chatglm_slim_llm.storage import Attachment, ChatSettings, ConversationStore, history_path

TINY = Path(__file__).parent.parent / "data" / "reference" / "tiny_v11"
COMMAND = [sys.executable, "-m", "chatglm_slim_llm", "chat"]
GREETING = "你好👋！我是小灯，很高兴见到你，欢迎问我任何问题。"  # what the original answers, see tests/data/reference
ENDLESS = ["--temperature", "1000", "--top-k", "0", "--top-p", "1", "--seed", "1"]  # <eop> is one token of 1,216


@pytest.fixture(autouse=True)
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in [name for name in os.environ if name.startswith(("HF_", "CHATGLM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHATGLM_SLIM_MODEL", str(TINY))
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return dict(os.environ)


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command in this process, which has torch already; returns status, stdout and stderr."""

    def run(*args: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="ascii"))
        status = main(["chat", *args])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def history(environ):
    with ConversationStore.at(history_path()) as store:
        yield store


def shown(history, chat_id=None):
    """The words of a conversation, with the reason why each answer ended."""
    chat_id = history.conversations()[0].id if chat_id is None else chat_id
    return [(message.role, message.content, message.finish_reason) for message in history.messages(chat_id)]


def test_the_argument_is_answered(chat):
    assert chat("你好", "--temperature", "0") == (0, f"{GREETING}\n", "")


def test_piped_text_is_answered(chat):
    assert chat("--temperature", "0", stdin="你好\n".encode()) == (0, f"{GREETING}\n", "")


def test_a_byte_order_mark_is_not_part_of_the_text(chat):
    assert chat("--temperature", "0", stdin="你好\r\n".encode("utf-8-sig")) == (0, f"{GREETING}\n", "")


def test_words_are_joined(chat):
    joined, one = (chat(*words, "--temperature", "0", "--json") for words in (["How", "are", "you"], ["How are you"]))
    assert json.loads(joined[1])["text"] == json.loads(one[1])["text"]


def test_argument_and_piped_text_are_joined_by_a_blank_line(chat):
    both = chat("晚上睡不着", "--temperature", "0", "--json", stdin="应该怎么办\n".encode())
    one = chat("晚上睡不着\n\n应该怎么办", "--temperature", "0", "--json")
    assert json.loads(both[1])["usage"]["input_tokens"] == json.loads(one[1])["usage"]["input_tokens"]
    assert json.loads(both[1])["text"] == json.loads(one[1])["text"]


def test_json_is_one_object_with_text_reason_and_usage(chat):
    status, out, err = chat("你好", "--temperature", "0", "--json")
    reply = json.loads(out)
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert reply["text"] == GREETING
    assert reply["finish_reason"] == "stop"
    assert reply["usage"] == {"input_tokens": 4, "output_tokens": 25, "total_tokens": 29}


def test_a_reply_that_is_cut_off_says_so_on_stderr(chat):
    status, out, err = chat("你好", "--temperature", "0", "--max-tokens", "10")
    assert (status, out) == (0, "你好👋！我是小灯，很\n")
    assert "limit" in err


def test_a_stop_text_ends_the_reply(chat):
    assert chat("你好", "--temperature", "0", "--stop", "很高兴", "--stop", "xyz")[1] == "你好👋！我是小灯，\n"


def test_the_same_seed_gives_the_same_reply(chat):
    hot = ["Hello", "--temperature", "3", "--top-p", "1", "--max-tokens", "30", "--json"]
    texts = [json.loads(chat(*hot, "--seed", seed)[1])["text"] for seed in ("1", "1", "2")]
    assert texts[0] == texts[1] != texts[2]


def test_a_system_text_reaches_the_model(chat):
    plain, told = (chat("你好", "--json", "--max-tokens", "1", *more) for more in ([], ["--system", "你是小灯"]))
    assert json.loads(told[1])["usage"]["input_tokens"] > json.loads(plain[1])["usage"]["input_tokens"]


def test_a_level_can_be_chosen(chat):
    status, out, _ = chat("你好", "--temperature", "0", "--quantization", "int8", "--json")
    assert (status, json.loads(out)["quantization"]) == (0, "int8")


def test_keys_and_values_are_kept_as_said(chat, without_kernels):
    greedy = ["你好", "--temperature", "0"]
    status, out, err = chat(*greedy, "--kv-cache-dtype", "int8")
    assert (status, out) == (2, "")
    assert err.startswith("error: kv_cache_dtype is int8, but keys and values of 8 bits need the compiled kernels")
    assert chat(*greedy, "--kv-cache-dtype", "fp16")[:2] == (0, f"{GREETING}\n")


@pytest.mark.parametrize("option", [["--temperature", "-1"], ["--top-p", "2"], ["--max-tokens", "0"], ["--stop", ""]])
def test_a_wrong_option_is_wrong_usage(chat, option):
    status, out, err = chat("你好", *option)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {option[0].strip('-').replace('-', '_')} is ")


def test_text_of_another_encoding_is_refused_with_a_way_out(chat):
    status, out, err = chat("翻译", stdin="你好".encode("gb18030"))
    assert (status, out) == (1, "")
    assert "byte 0xc4 at position 0" in err
    assert "iconv -f GB18030 -t UTF-8" in err


def test_a_prompt_that_is_too_long_is_an_error_with_both_numbers(chat):
    status, out, err = chat(stdin=("长" * 100_000).encode())
    assert (status, out) == (1, "")
    assert "2048" in err.replace(",", "")


def test_nothing_to_answer_says_what_to_do(chat):
    status, _, err = chat()
    assert status == 2
    assert "chatglm-tui" in err


@pytest.mark.skipif(not (DEMO_FOLDER / "config.json").exists(), reason="the demo checkpoint has not been made yet")
def test_the_demo_model_says_what_it_is_on_stderr_only(chat, monkeypatch):
    monkeypatch.delenv("CHATGLM_SLIM_MODEL")
    status, out, err = chat("你好")
    assert status == 0
    assert out.strip()
    assert "demo model" in err
    assert "chatglm-slim pull" in err
    assert err.count("\n") == 1


def test_on_a_terminal_without_a_message_it_does_not_wait_for_one(environ):
    terminal = pexpect.spawn(COMMAND[0], COMMAND[1:], env=environ, encoding="utf-8", timeout=20)
    terminal.expect("there is no message.*chatglm-tui")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 2


@pytest.mark.long
def test_tokens_appear_as_they_come_and_ctrl_c_ends_the_reply_which_is_kept(environ, history):
    running = subprocess.Popen(
        [*COMMAND, "你好", *ENDLESS], env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert select.select([running.stdout], [], [], 60)[0]
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert running.returncode == 130
    assert err == b"interrupted\n"
    assert out.endswith(b"\n")
    question, answer = shown(history)
    assert question == ("user", "你好", None)
    assert answer == ("assistant", out.decode().removesuffix("\n"), "cancelled")  # whole characters, even at the cut


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_the_reply_quietly(environ, history):
    with subprocess.Popen(
        [*COMMAND, "你好", *ENDLESS], env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stdout.read(1)
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(timeout=20) == 141
    _, answer = shown(history)
    assert answer[1]
    assert answer[2] == "cancelled"


# --- the history ---


def test_question_and_answer_are_kept(chat, history):
    status, out, _ = chat("你好", "--temperature", "0", "--system", "你是小灯", "--json")
    reply = json.loads(out)
    assert (status, reply["conversation_id"]) == (0, 1)
    assert shown(history) == [("user", "你好", None), ("assistant", reply["text"], "stop")]
    (kept,) = history.conversations()
    assert (kept.title, history.chat_settings(kept.id)) == ("你好", ChatSettings(system="你是小灯"))
    figures = history.messages(kept.id)[1].figures
    assert reply["figures"]["prompt_tokens"] == figures.prompt_tokens == reply["usage"]["input_tokens"]
    assert reply["figures"]["output_tokens"] == figures.output_tokens > 0


def test_without_history_nothing_is_written(chat):
    status, out, _ = chat("你好", "--temperature", "0", "--no-history", "--json")
    assert (status, json.loads(out)["conversation_id"]) == (0, None)
    assert not history_path().exists()


def test_a_conversation_goes_on_where_it_was(chat, history):
    chat("你好", "--temperature", "0", "--system", "你是小灯")
    status, out, _ = chat("--continue", "晚上睡不着应该怎么办", "--temperature", "0", "--json")
    reply = json.loads(out)
    assert (status, reply["conversation_id"], len(shown(history))) == (0, 1, 4)
    # What the model read is what a program would have given it.
    from chatglm_slim_llm import ChatGLMSlim

    llm = ChatGLMSlim(model=str(TINY))
    messages = [("system", "你是小灯"), ("human", "你好"), ("ai", shown(history)[1][1])]
    count = llm.invoke([*messages, ("human", "晚上睡不着应该怎么办")], temperature=0).usage_metadata["input_tokens"]
    assert reply["usage"]["input_tokens"] == count


def test_the_last_one_is_the_one_used_last_though_another_is_pinned(chat, history):
    pinned = history.create("pinned").id
    history.pin(pinned, True)
    chat("你好", "--max-tokens", "1")
    assert json.loads(chat("-c", "--json", "--max-tokens", "1", stdin="再来".encode())[1])["conversation_id"] == 2
    assert json.loads(chat("-c", str(pinned), "x", "--json", "--max-tokens", "1")[1])["conversation_id"] == pinned


def test_what_a_conversation_has_of_its_own_holds_unless_the_command_says_otherwise(chat, history):
    chat_id = history.begin(None, None, "hi", settings=ChatSettings("", {"max_tokens": 2, "temperature": 0}))[
        0
    ].conversation_id
    history.update(history.messages(chat_id)[1].id, "hello", finish_reason="stop")
    used = [
        json.loads(chat("-c", "你好", *more, "--json")[1])["usage"]["output_tokens"]
        for more in ([], ["--max-tokens", "5"])
    ]
    assert used == [2, 5]
    assert history.chat_settings(chat_id).parameters["max_tokens"] == 2


def test_files_that_were_sent_before_are_read_again(chat, history):
    from chatglm_slim_llm import ChatGLMSlim

    _, answer = history.begin(None, None, "what is in it?", attachments=[Attachment("a.md", "x\n```\ny\n")])
    history.update(answer.id, "x and y", finish_reason="stop")
    reply = json.loads(chat("-c", "你好", "--json", "--max-tokens", "1")[1])
    asked = "a.md:\n````\nx\n```\ny\n````\n\nwhat is in it?"
    messages = [("human", asked), ("ai", "x and y"), ("human", "你好")]
    usage = ChatGLMSlim(model=str(TINY)).invoke(messages, max_tokens=1).usage_metadata
    assert reply["usage"]["input_tokens"] == usage["input_tokens"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["-c"], "has no conversation yet"), (["-c", "7"], "no conversation 7"), (["-c", "last"], "no conversation yet")],
)
def test_a_conversation_that_is_not_there_is_an_error(chat, words, sentence):
    status, out, err = chat(*words, stdin=b"hello")
    assert (status, out) == (1, "")
    assert sentence in err


def test_a_conversation_in_the_trash_does_not_go_on(chat, history):
    history.trash(history.create("gone").id)
    status, _, err = chat("-c", "1", "hello")
    assert status == 1
    assert "is in the trash" in err


def test_an_answer_that_somebody_is_writing_is_waited_for(chat, history):
    history.begin(None, None, "hi")
    status, _, err = chat("-c", "hello")
    assert status == 1
    assert "still being written" in err


def test_a_word_after_the_message_is_not_taken_for_a_conversation(chat, capsys):
    with pytest.raises(SystemExit) as left:
        chat("hello", "--continue", "world")
    assert left.value.code == 2
    assert "'world' is no conversation's number" in capsys.readouterr().err


@pytest.mark.long
def test_a_prompt_that_the_model_cannot_read_is_not_kept(chat, history):
    status, _, err = chat("--json", stdin=("长" * 100_000).encode())
    failure = json.loads(err)
    assert (status, failure["kind"]) == (1, "PromptOverflowError")
    assert "2,048" in failure["error"] or "2048" in failure["error"]
    assert history.count() == 0


def test_an_error_under_json_is_an_object_on_stderr(chat):
    status, out, err = chat("hi", "--temperature", "-1", "--json")
    assert (status, out) == (2, "")
    assert json.loads(err) == {"error": "temperature is -1.0; it must be a number of 0 or more", "kind": "ConfigError"}


def test_a_history_that_cannot_be_written_keeps_nobody_from_an_answer(chat):
    history_path().parent.mkdir(parents=True)
    history_path().write_text("this is no database at all, and longer than its header would be" * 20)
    status, out, err = chat("你好", "--temperature", "0")
    assert (status, out) == (0, f"{GREETING}\n")
    assert err.startswith("(this is not kept in the history: ")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_killed_command_had_answered_is_kept(environ, history, how):
    with subprocess.Popen(
        [*COMMAND, "你好", *ENDLESS], env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        first = running.stdout.read(1)
        select.select([], [], [], 0.8)  # half a second of text at most may be lost
        running.send_signal(how)
        seen = (first + running.stdout.read()).decode(errors="ignore")
    assert history.mark_interrupted() == (how == signal.SIGKILL)
    _, (role, text, reason) = shown(history)
    assert (role, reason) == ("assistant", "interrupted" if how == signal.SIGKILL else "cancelled")
    assert text
    assert seen.startswith(text)


# --- a model that is not on this machine ---

ID = "silver/chatglm-6b-slim"


@pytest.fixture
def hub(environ, monkeypatch):
    with FakeHub(ID, {path.name: path.read_bytes() for path in TINY.iterdir()}) as served:
        environ["HF_ENDPOINT"] = served.url
        yield served


def test_without_a_terminal_nothing_is_downloaded_unasked(environ, hub):
    command = [*COMMAND, "你好", "--model", ID]
    result = subprocess.run(command, env=environ, input="", capture_output=True, encoding="utf-8", timeout=30)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"chatglm-slim pull {ID}" in result.stderr
    assert "--yes" in result.stderr
    assert hub.requests == []


def test_a_terminal_is_asked_first_and_no_means_no(environ, hub):
    terminal = pexpect.spawn(
        COMMAND[0], [*COMMAND[1:], "你好", "--model", ID], env=environ, encoding="utf-8", timeout=20
    )
    terminal.expect(r"not on this machine. Download \S+ kB to .*\[y/N\]")
    terminal.sendline("")
    terminal.expect("was not downloaded")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
    assert hub.names_asked_for() == set()


@pytest.mark.long
def test_yes_downloads_and_answers(environ, hub):
    command = [*COMMAND, "你好", "--model", ID, "--temperature", "0", "--yes"]
    result = subprocess.run(command, env=environ, input="", capture_output=True, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{GREETING}\n", "")
