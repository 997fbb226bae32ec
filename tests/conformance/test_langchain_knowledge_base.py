"""The knowledge base under LangChain's own tests of vector stores and retrievers, and under its indexing API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import aindex, index
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from chatglm_slim_llm.retrieval import KnowledgeBase

pytestmark = pytest.mark.usefixtures("one_encoder")


class TestKnowledgeBase(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:  # type: ignore[override]
        with KnowledgeBase.open(tmp_path / "standard.db", embedder=self.get_embeddings()) as base:
            yield base


class TestKnowledgeBaseByDefault(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:  # type: ignore[override]
        with KnowledgeBase.open(tmp_path / "standard.db") as base:
            yield base


_KNOWN = [Document("Anna lives in room KD-402."), Document("The meeting is at noon."), Document("猫喜欢晒太阳。")]


class TestKnowledgeBaseRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _base(self, tmp_path: Path) -> Iterator[None]:
        with KnowledgeBase.open(tmp_path / "retriever.db") as self.base:
            self.base.add_documents(_KNOWN)
            yield

    @property
    def retriever_constructor(self) -> Any:
        return lambda k=4: self.base.as_retriever(search_kwargs={"k": k})

    @property
    def retriever_query_example(self) -> str:
        return "Where does Anna live?"


@pytest.fixture
def base(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(tmp_path / "indexed.db") as opened:
        yield opened


def test_indexing_twice_adds_nothing_and_a_changed_source_takes_the_olds_place(base):
    def put(documents):
        counts = index(
            documents, base.record_manager(), base, cleanup="incremental", source_id_key="source", key_encoder="sha256"
        )
        return counts["num_added"], counts["num_skipped"], counts["num_deleted"]

    first = [
        Document("猫喜欢晒太阳。", metadata={"source": "cats"}),
        Document("Dogs bark.", metadata={"source": "dogs"}),
    ]
    assert put(first) == (2, 0, 0)
    assert put(first) == (0, 2, 0)
    assert put([Document("Dogs howl.", metadata={"source": "dogs"})]) == (1, 0, 1)
    assert {document.page_content for document in base.similarity_search("dogs cats 猫", k=9)} == {
        "猫喜欢晒太阳。",
        "Dogs howl.",
    }


async def test_a_full_clean_up_leaves_what_was_given_last_also_when_awaited(base):
    async def put(*texts):
        return await aindex(
            [Document(text, metadata={"source": "all"}) for text in texts],
            base.record_manager(),
            base,
            cleanup="full",
            source_id_key="source",
            key_encoder="sha256",
        )

    await put("one", "two")
    await put("two", "three")
    assert sorted(document.page_content for document in base.similarity_search("one two three", k=9)) == [
        "three",
        "two",
    ]


def test_records_of_two_namespaces_do_not_meet(base):
    one, two = base.record_manager("one"), base.record_manager("two")
    one.update(["a", "b"], group_ids=["g", None])
    two.update(["b"])
    assert one.exists(["a", "b", "c"]) == [True, True, False]
    assert two.list_keys() == ["b"]
    assert one.list_keys(group_ids=["g"]) == ["a"]
    one.delete_keys(["b"])
    assert two.exists(["b"]) == [True]
