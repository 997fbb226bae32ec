"""`ChatGLMSlim.register`: LangChain finds the package by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain.embeddings import init_embeddings
from langchain_core.load import dumpd, dumps, load, loads
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate

from chatglm_slim_llm import ChatGLMSlim, ChatGLMSlimEmbeddings, ChatGLMSlimError, ChatGLMSlimLLM
from tests.langchain_tables import CHAT, EMBEDDINGS, LOAD, tables_put_back

TINY = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")
HELLO = "你好👋！我是小灯，很高兴见到你，欢迎问我任何问题。"

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:The function `loads?` is in beta"),
]


@pytest.fixture(autouse=True)
def unregistered() -> Iterator[None]:
    with tables_put_back():
        yield


@pytest.fixture
def _registered() -> None:
    ChatGLMSlim.register()


# --- by name ---


@pytest.mark.usefixtures("_registered")
@pytest.mark.parametrize("name", ["demo", TINY, "C:\\data\\chatglm-6b-slim", "silver/chatglm-6b-slim"])
def test_chat_models_and_embeddings_are_made_by_name(name: str) -> None:
    for llm in (init_chat_model(f"chatglm:{name}", seed=3), init_chat_model(name, model_provider="chatglm", seed=3)):
        assert isinstance(llm, ChatGLMSlim)
        assert (llm.model, llm.seed) == (name, 3)
    options: dict[str, Any] = {"normalize": False}
    embeddings = init_embeddings(f"chatglm:{name}", **options), init_embeddings(name, provider="chatglm", **options)
    for made in embeddings:
        assert isinstance(made, ChatGLMSlimEmbeddings)
        assert (made.model, made.normalize) == (name, False)


@pytest.mark.usefixtures("_registered")
def test_a_model_that_was_made_by_name_answers() -> None:
    assert init_chat_model(f"chatglm:{TINY}", device="cpu", temperature=0).invoke("你好").content == HELLO


@pytest.mark.usefixtures("_registered")
def test_a_configurable_model_loads_the_weights_once_for_all_its_calls(loads: list[str]) -> None:
    fields = ("model", "model_provider", "max_tokens")
    llm = init_chat_model(configurable_fields=fields, device="cpu", quantization="int8")
    for max_tokens in (1, 2, 3):
        chosen = {"configurable": {"model": f"chatglm:{TINY}", "max_tokens": max_tokens}}
        assert llm.invoke("你好", chosen).usage_metadata["output_tokens"] == max_tokens
    assert len(loads) == 1


@pytest.mark.usefixtures("_registered")
def test_an_agent_is_made_by_name() -> None:
    agent = create_agent(model=f"chatglm:{TINY}")
    answered: AIMessage = agent.invoke({"messages": [("user", "你好")]})["messages"][-1]
    assert answered.response_metadata["model_name"] == TINY


# --- load ---


@pytest.mark.parametrize("allowed", ["all", [ChatGLMSlim, ChatGLMSlimLLM]], ids=["all", "classes"])
def test_what_dumps_writes_can_be_loaded_without_naming_the_package(allowed: Any) -> None:
    loads(dumps(HumanMessage("x")), allowed_objects="all")  # LangChain remembers now what "all" is
    ChatGLMSlim.register()
    llm, completion = ChatGLMSlim(temperature=0.5, stop=["x"]), ChatGLMSlimLLM(seed=3)
    assert loads(dumps(llm), allowed_objects=allowed).model_dump() == llm.model_dump()
    assert load(dumpd(completion), allowed_objects=allowed).asdict() == completion.asdict()


@pytest.mark.usefixtures("_registered")
def test_a_chain_that_holds_the_model_can_be_loaded() -> None:
    chain = ChatPromptTemplate.from_template("{x}") | ChatGLMSlim(temperature=0.5)
    assert loads(dumps(chain), allowed_objects="all").last.temperature == 0.5


@pytest.mark.usefixtures("_registered")
@pytest.mark.parametrize("allowed", ["core", "messages", []])
def test_who_trusts_only_langchains_own_classes_does_not_trust_ours(allowed: Any) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        loads(dumps(ChatGLMSlim()), allowed_objects=allowed)


# --- registering ---


@pytest.mark.long
def test_importing_registers_nothing() -> None:
    code = (
        "import sys, chatglm_slim_llm.registration\n"
        "from chatglm_slim_llm import ChatGLMSlim, ChatGLMSlimEmbeddings, ChatGLMSlimLLM\n"
        "from langchain.chat_models import base, init_chat_model\n"
        "from langchain_core.load import load\n"
        "namespaces = sys.modules[load.__module__].DEFAULT_NAMESPACES\n"
        "print('chatglm' in base._BUILTIN_PROVIDERS, 'chatglm_slim_llm' in namespaces)\n"
        "ChatGLMSlim.register()\n"
        "print(init_chat_model('chatglm:demo').model, [n for n in ('torch', 'transformers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["False False", "demo []"]


def test_registering_often_and_from_many_threads_is_registering_once() -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ChatGLMSlim.register(), range(20)))
    assert LOAD.DEFAULT_NAMESPACES.count("chatglm_slim_llm") == 1
    assert CHAT._BUILTIN_PROVIDERS["chatglm"][:2] == ("chatglm_slim_llm", "ChatGLMSlim")


@pytest.mark.parametrize(
    ("module", "name", "other"),
    [
        (CHAT, "_BUILTIN_PROVIDERS", None),
        (EMBEDDINGS, "_BUILTIN_PROVIDERS", ()),
        (EMBEDDINGS, "_BUILTIN_PROVIDERS", {"openai": "langchain_openai"}),
        (CHAT, "_BUILTIN_PROVIDERS", {"chatglm": ("langchain_chatglm", "ChatGLM", None)}),
        (LOAD, "DEFAULT_NAMESPACES", None),
        (LOAD, "ALL_SERIALIZABLE_MAPPINGS", None),
    ],
)
def test_a_langchain_with_other_tables_is_said_in_one_sentence_and_left_alone(
    module: Any, name: str, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, other)
    with pytest.raises(ChatGLMSlimError, match=r"langchain 1\..*ChatGLMSlim\(model=\.\.\.\)") as caught:
        ChatGLMSlim.register()
    assert "\n" not in str(caught.value)
    for table in (CHAT._BUILTIN_PROVIDERS, EMBEDDINGS._BUILTIN_PROVIDERS):
        assert "chatglm_slim_llm" not in str(table)


def test_a_table_that_is_gone_is_said_as_one_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(CHAT, "_BUILTIN_PROVIDERS")
    with pytest.raises(ChatGLMSlimError, match="_BUILTIN_PROVIDERS"):
        ChatGLMSlim.register()
