"""`ChatGLMSlimEmbeddings` as a LangChain user meets it, on a tiny checkpoint and on the demo model."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from torch import Tensor

import chatglm_slim_llm.network as glm
from chatglm_slim_llm import ChatGLMSlim, ChatGLMSlimEmbeddings
from chatglm_slim_llm.checkpoint import load_model, load_tokenizer
from chatglm_slim_llm.errors import CheckpointNotFoundError, ConfigError, GenerationError
from chatglm_slim_llm.model import ChatGLMForConditionalGeneration
from chatglm_slim_llm.network.states import MAX_TOKENS

TINY = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")
DEMO = Path(__file__).parents[2] / "chatglm_slim_llm" / "demo"
TEXTS = ["你好", "The quick brown fox jumps over the lazy dog.", "北京是中国的首都。" * 60, "a", "北京"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def embeddings() -> ChatGLMSlimEmbeddings:
    return ChatGLMSlimEmbeddings(model=TINY, device="cpu")


@pytest.fixture
def count_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the model was given texts; each time takes at least 20 ms, as a large model does."""
    passes: list[int] = []
    read_states = glm.read_states

    def counted(*args: Any) -> Any:
        passes.append(1)
        time.sleep(0.02)
        return read_states(*args)

    monkeypatch.setattr(glm, "read_states", counted)
    return lambda: len(passes)


def plain_states(folder: Path | str, text: str, part: slice = slice(None)) -> Tensor:
    """What transformers' forward pass makes of the tokens of (a part of) a text: [tokens, hidden]."""
    ids = load_tokenizer(folder).encode(text)
    return forward(load_model(folder), [*ids[:-2][part], *ids[-2:]])


def plain_vector(model: ChatGLMForConditionalGeneration, text: str) -> Tensor:
    mean = forward(model, load_tokenizer(DEMO).encode(text)).mean(0)
    return mean / mean.norm()


def forward(model: ChatGLMForConditionalGeneration, prompt: list[int]) -> Tensor:
    with torch.inference_mode():
        output = model(torch.tensor([prompt]), output_hidden_states=True)
    return output.hidden_states[-1][0, :-2].float()


# --- vectors ---


@pytest.mark.parametrize("text", TEXTS[:3], ids=len)
def test_a_vector_is_the_mean_of_the_last_hidden_states_of_the_texts_tokens(
    text: str, embeddings: ChatGLMSlimEmbeddings
) -> None:
    mean = plain_states(TINY, text).mean(0)
    assert embeddings.embed_query(text) == pytest.approx((mean / mean.norm()).tolist(), abs=1e-3)


@pytest.mark.long
@pytest.mark.parametrize(("level", "bits", "limit"), [("int8", 8, 2), ("int4", 4, 1)])
def test_packed_weights_cost_no_more_than_the_originals_formats(level: Any, bits: int, limit: float) -> None:
    """The limits of `test_batched`: packed int8 rounds its inputs too, packed int4 has a scale for each group."""
    model, originals = load_model(DEMO), load_model(DEMO).quantize(bits)
    expected = torch.stack([plain_vector(model, text) for text in TEXTS])
    theirs = torch.stack([plain_vector(originals, text) for text in TEXTS])
    ours = torch.tensor(ChatGLMSlimEmbeddings(device="cpu", quantization=level).embed_documents(TEXTS))
    assert 0 < (ours - expected).norm() < limit * (theirs - expected).norm()


def test_vectors_have_length_1_unless_asked_otherwise(embeddings: ChatGLMSlimEmbeddings) -> None:
    plain = ChatGLMSlimEmbeddings(model=TINY, device="cpu", normalize=False)
    vector, raw = torch.tensor(embeddings.embed_query("你好")), torch.tensor(plain.embed_query("你好"))
    torch.testing.assert_close(vector.norm(), torch.tensor(1.0))
    torch.testing.assert_close(raw / raw.norm(), vector)
    torch.testing.assert_close(raw, plain_states(TINY, "你好").mean(0), rtol=1e-3, atol=1e-3)


def test_company_changes_no_bit_of_a_vector(embeddings: ChatGLMSlimEmbeddings) -> None:
    texts = [*TEXTS, "", *TEXTS[::-1]]
    assert sum(len(text) for text in texts) > 2 * MAX_TOKENS  # several passes of several texts
    assert embeddings.embed_documents(texts) == [embeddings.embed_query(text) for text in texts]


def test_short_texts_share_a_pass(embeddings: ChatGLMSlimEmbeddings, count_passes: Callable[[], int]) -> None:
    embeddings.embed_documents(["你好"] * 20)
    assert count_passes() == 1


@pytest.mark.long
def test_a_text_longer_than_the_context_is_averaged_over_equal_windows(embeddings: ChatGLMSlimEmbeddings) -> None:
    text = "北京是中国的首都，上海是最大的城市。" * 400
    num_tokens = len(load_tokenizer(TINY).encode(text)) - 2
    assert num_tokens > 2046
    count = -(-num_tokens // 2046)
    size = -(-num_tokens // count)
    windows = [plain_states(TINY, text, slice(i * size, (i + 1) * size)) for i in range(count)]
    mean = torch.cat(windows).mean(0)
    assert embeddings.embed_query(text) == pytest.approx((mean / mean.norm()).tolist(), abs=1e-3)


def test_an_empty_text_has_the_vector_of_the_mark_that_ends_every_prompt(embeddings: ChatGLMSlimEmbeddings) -> None:
    model, tokenizer = load_model(TINY), load_tokenizer(TINY)
    with torch.inference_mode():
        output = model(torch.tensor([tokenizer.encode("")]), output_hidden_states=True)
    mark = output.hidden_states[-1][0, 0]
    assert embeddings.embed_query("") == pytest.approx((mark / mark.norm()).tolist(), abs=1e-3)


def test_no_texts_give_no_vectors(embeddings: ChatGLMSlimEmbeddings) -> None:
    assert embeddings.embed_documents([]) == []


def test_a_vector_store_finds_a_text_by_itself(embeddings: ChatGLMSlimEmbeddings) -> None:
    store = InMemoryVectorStore.from_documents([Document(text) for text in TEXTS], embeddings)
    found = store.similarity_search_with_score(TEXTS[1], k=1)
    assert found[0][0].page_content == TEXTS[1]
    assert found[0][1] == pytest.approx(1)


# --- options and weights ---


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"normalise": True}, "^ChatGLMSlimEmbeddings has no option 'normalise'; did you mean 'normalize'"),
        ({"temperature": 0}, "^ChatGLMSlimEmbeddings has no option 'temperature'"),
        ({"quantization": "int3"}, "^quantization 'int3' is not a level"),
        ({"model": ""}, "^model is ''"),
    ],
)
def test_an_option_that_cannot_be_used_is_named_at_once(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ChatGLMSlimEmbeddings(**given)


def test_defaults_come_from_the_environment_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_MODEL", TINY)
    monkeypatch.setenv("CHATGLM_SLIM_QUANTIZATION", "int8")
    assert (ChatGLMSlimEmbeddings().model, ChatGLMSlimEmbeddings().quantization) == (TINY, "int8")
    assert ChatGLMSlimEmbeddings(model="demo").is_demo


def test_weights_are_shared_with_a_chat_model_of_the_same_options(embeddings: ChatGLMSlimEmbeddings) -> None:
    assert ChatGLMSlim(model=TINY, device="cpu", temperature=0)._load() is embeddings._load()
    assert copy.deepcopy(embeddings)._load() is embeddings._load()
    assert pickle.loads(pickle.dumps(embeddings)).embed_query("a") == embeddings.embed_query("a")


def test_another_level_set_on_the_object_counts(embeddings: ChatGLMSlimEmbeddings) -> None:
    own = ChatGLMSlimEmbeddings(model=TINY, device="cpu")
    own.quantization = "int8"
    assert own.embed_query("你好") != embeddings.embed_query("你好")


@pytest.mark.long
def test_constructing_reads_no_file_and_loads_no_torch() -> None:
    code = (
        "import sys\nfrom chatglm_slim_llm import ChatGLMSlimEmbeddings\nChatGLMSlimEmbeddings()\nopened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(args) if event in ('open', 'os.listdir') else None)\n"
        "ChatGLMSlimEmbeddings(model='somebody/something', quantization='int4')\n"
        "print(opened, [name for name in ('torch', 'transformers', 'sentencepiece') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[] []"


# --- errors ---


def test_a_checkpoint_that_is_not_there_is_said_on_first_use(tmp_path: Path) -> None:
    embeddings = ChatGLMSlimEmbeddings(model=str(tmp_path / "none"))
    assert not embeddings.is_available()
    with pytest.raises(CheckpointNotFoundError, match="none"):
        embeddings.embed_query("x")


@pytest.mark.parametrize(
    ("texts", "kind", "complaint"),
    [
        ("你好", ConfigError, "texts is one text"),
        (["a", 3], ConfigError, "text 1 is 3"),
        (["a", "b\ud83d"], GenerationError, "text 1 cannot be embedded: .* surrogate"),
    ],
)
def test_what_is_no_text_is_named(
    texts: Any, kind: type[Exception], complaint: str, embeddings: ChatGLMSlimEmbeddings
) -> None:
    with pytest.raises(kind, match=complaint):
        embeddings.embed_documents(texts)


# --- threads and async ---


def test_replies_and_vectors_that_are_computed_at_once_are_those_computed_alone(
    embeddings: ChatGLMSlimEmbeddings,
) -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu", temperature=0)
    reply, vectors = llm.invoke("你好").content, embeddings.embed_documents(TEXTS)
    with ThreadPoolExecutor(6) as pool:
        replies = [pool.submit(lambda: llm.invoke("你好").content) for _ in range(6)]
        embedded = [pool.submit(embeddings.embed_documents, TEXTS) for _ in range(6)]
    assert {future.result() for future in replies} == {reply}
    assert all(future.result() == vectors for future in embedded)


@pytest.mark.long
def test_a_reply_goes_on_while_a_long_text_is_read(
    embeddings: ChatGLMSlimEmbeddings, count_passes: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_states, may_end = glm.read_states, threading.Event()

    def held(*args: Any) -> Any:
        states = yield from read_states(*args)
        assert count_passes() < 12 or may_end.wait(20), "the reply waits for the text"
        return states

    monkeypatch.setattr(glm, "read_states", held)
    llm = ChatGLMSlim(model=TINY, device="cpu", temperature=0)
    stream = llm.stream("你好")
    next(stream)
    reader = threading.Thread(target=embeddings.embed_documents, args=(["北京是中国的首都。" * 200] * 12,))
    reader.start()
    rest = list(stream)
    assert reader.is_alive()
    assert len(rest) > 10
    may_end.set()
    reader.join()
    assert count_passes() == 12


async def test_the_async_forms_give_the_same_vectors(embeddings: ChatGLMSlimEmbeddings) -> None:
    assert await embeddings.aembed_documents(TEXTS) == embeddings.embed_documents(TEXTS)
    assert await embeddings.aembed_query("") == embeddings.embed_query("")
    with pytest.raises(GenerationError):
        await embeddings.aembed_documents(["a\ud83d"])


async def test_the_event_loop_runs_on_meanwhile(
    embeddings: ChatGLMSlimEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    met: list[bool] = []
    read_states = glm.read_states

    def meet(*args: Any) -> Any:
        """Read on only when the loop has come by."""
        came = threading.Event()
        loop.call_soon_threadsafe(came.set)
        met.append(came.wait(10))
        return read_states(*args)

    monkeypatch.setattr(glm, "read_states", meet)
    await embeddings.aembed_documents(["北京是中国的首都。" * 60] * 5)
    assert met == [True] * 5


async def test_cancelling_the_task_ends_the_work(
    embeddings: ChatGLMSlimEmbeddings, count_passes: Callable[[], int]
) -> None:
    task = asyncio.create_task(embeddings.aembed_documents(["北京是中国的首都。" * 60] * 1000))
    while count_passes() < 2:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    at_cancel = count_passes()
    await asyncio.sleep(0.2)
    assert count_passes() <= at_cancel + 1
