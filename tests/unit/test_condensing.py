"""Follow-ups find what they are about, and questions that stand alone are left alone."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatglm_slim_llm.retrieval.condensing import condense, is_follow_up, key_terms, rewritten, to_rewrite

DOCUMENTS = {
    "清华": "清华大学创建于1911年，位于北京市海淀区。校长是王希勤，他出生于陕西。学校有学生五万人，图书馆很大。",
    "北大": "北京大学创建于1898年，位于北京市海淀区。校长是龚旗煌，他出生于湖北。学校有学生四万人。",
    "围城": "《围城》是钱钟书写的小说，写于1946年。这部小说讲的是方鸿渐的故事。",
    "钱": "钱钟书出生于无锡，他毕业于外国语学院。他还写了《管锥编》。",
    "安卡拉": "安卡拉有五百万人，冬天很冷，博物馆很多。",
    "土耳其": "土耳其的首都是安卡拉。人口八千万，土耳其的货币是里拉。",
    "corwick": "Corwick is a town in the north. It was founded in 1320 by Tom Reed. The mayor is Ann Hill.",
    "hull": "Hull is a city by the sea. It was founded in 1293 by King Edward. The mayor is Joe Black.",
    "reed": "Tom Reed was born in Selby and sold bread. He is buried in the church of Selby.",
    "anna": "Anna Bell lives in Lorne and is 34 years old. She bought a lamp.",
    "lorne": "Lorne has 3,000 inhabitants and is famous for cheese.",
    "lamp": "The lamp is red, was made in Genoa and costs 12 coins.",
}

FOLLOW_UPS = [
    ("清华", ["清华大学在哪里？", "清华大学位于北京市 [1]。", "它创建于哪一年"]),
    ("清华", ["介绍一下清华大学", "清华大学是一所综合性大学 [1]。", "谁是那里的校长？"]),
    ("清华", ["清华大学在哪里？", "北京 [1]", "它的校长是谁？", "王希勤 [1]", "该校有多少学生？"]),
    ("清华", ["清华大学在哪里？", "北京 [1]", "哪一年创建的？"]),
    ("北大", ["清华大学创建于哪一年？", "1911年 [1]", "那北京大学呢？"]),
    ("钱", ["《围城》是谁写的？", "钱钟书 [1]", "他出生在哪里？"]),
    ("围城", ["《围城》是谁写的？", "钱钟书 [1]", "这部小说写于哪一年？"]),
    ("安卡拉", ["土耳其的首都是哪里？", "安卡拉 [1]", "那里有多少人？"]),
    ("土耳其", ["土耳其的首都是哪里？", "安卡拉 [1]", "其货币是什么？"]),
    ("corwick", ["Where is Corwick?", "in the north [1]", "When was it founded?"]),
    ("corwick", ["Where is Corwick?", "in the north [1]", "Who is the mayor there?"]),
    ("hull", ["When was Corwick founded?", "1320 [1]", "What about Hull?"]),
    ("reed", ["Who founded Corwick?", "Tom Reed [1]", "Where was he born?"]),
    ("anna", ["Where does Anna Bell live?", "Lorne [1]", "How old is she?"]),
    ("lorne", ["Where does Anna Bell live?", "Lorne [1]", "What is that town famous for?"]),
    ("lamp", ["What did Anna Bell buy?", "a lamp [1]", "What colour is it?"]),
    ("lamp", ["How much is the lamp?", "12 coins [1]", "Why?"]),
]


def talk(said: list[str]) -> list[BaseMessage]:
    return [(AIMessage if i % 2 else HumanMessage)(text) for i, text in enumerate(said)]


def best(query: str) -> str:
    """The document that BM25 ranks first, over single words and pairs of Chinese characters."""
    counts = {name: Counter(tokens(text)) for name, text in DOCUMENTS.items()}
    average = sum(sum(count.values()) for count in counts.values()) / len(counts)

    def score(count: Counter[str]) -> float:
        total = 0.0
        for token in set(tokens(query)):
            df = sum(token in other for other in counts.values())
            idf = math.log(1 + (len(counts) - df + 0.5) / (df + 0.5))
            length = 0.25 + 0.75 * sum(count.values()) / average
            total += idf * count[token] * 2.2 / (count[token] + 1.2 * length)
        return total

    return max(counts, key=lambda name: score(counts[name]))


def tokens(text: str) -> list[str]:
    latin = "".join(c if c.isascii() and c.isalnum() else " " for c in text.casefold()).split()
    return latin + [a + b for a, b in pairwise(text) if a > "\u4e00" and b > "\u4e00"]


@pytest.mark.parametrize(("document", "said"), FOLLOW_UPS)
def test_a_follow_up_finds_what_it_is_about(document, said):
    assert best(condense(said[-1], talk(said[:-1])).query) == document


def test_follow_ups_as_they_are_find_little():
    found = sum(best(said[-1]) == document for document, said in FOLLOW_UPS)
    assert found < 0.6 * len(FOLLOW_UPS), "the rule would have nothing to do"


@pytest.mark.parametrize(
    "question",
    [
        "北京大学在哪里？",
        "土耳其的货币是什么？",
        "其他城市举办过奥运会吗？",
        "那上海有多少人？",
        "谁应该支付该不该付的费用？",
        "中华人民共和国何时成立？",
        "清华大学和它的图书馆在哪里？",
        "Who is the mayor of Hull?",
        "Does Apple pay its workers well?",
        "Is there a mayor in Rome?",
        "What is the name of the river that flows through Paris?",
    ],
)
def test_a_question_that_stands_alone_is_left_alone(question):
    history = talk(["清华大学的校长是谁？", "王希勤 [1]", "Who founded Corwick?", "Tom Reed [1]"])
    condensed = condense(question, history)
    assert (condensed.query, condensed.question) == (question, question)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["清华大学在哪里？", "北京 [1]", "它创建于哪一年？"], "清华大学创建于哪一年？"),
        (["清华大学的校长是谁？", "王希勤 [1]", "他出生在哪里？"], "王希勤出生在哪里？"),
        (["谁写了《围城》？", "钱钟书", "该书写于哪一年？"], "围城写于哪一年？"),
        (["清华大学创建于哪一年？", "1911年", "北京大学呢？"], "北京大学创建于哪一年？"),
        (["谁创建了清华大学？", "周自齐 [2]", "为什么？"], "谁创建了清华大学？ 为什么？"),
        (["Who founded Corwick?", "Tom Reed [1]", "Where was he born?"], "Where was Tom Reed born?"),
        (["土耳其的首都是哪里？", "安卡拉", "其货币是什么？"], "土耳其的货币是什么？"),
        (["土耳其的首都是哪里？", "安卡拉", "那里有多少人？"], "安卡拉有多少人？"),
        (["清华大学在哪里？", "北京", "谁创建的？"], "关于清华大学：谁创建的？"),
        (["Where is Corwick?", "in the north", "How long is that road?"], "About Corwick: How long is that road?"),
        (["Where does Anna Bell live?", "Lorne", "What is her age?"], "What is Anna Bell's age?"),
        (["Where does Anna Bell live?", "Lorne", "How many people live there?"], "How many people live in Lorne?"),
        (["Where does Anna live?", "Lorne", "What about Tom Reed?"], "Where does Tom Reed live?"),
        (["What did Anna buy?", "a red lamp [2]", "Who made it?"], "Who made a red lamp?"),
        (["清华大学创建于哪一年？", "1911年", "校训呢？"], "关于清华大学：校训呢？"),
        (["打印机坏了怎么办？", "请联系张伟。", "他的电话是多少？"], "张伟的电话是多少？"),
        (["数据库用的是什么？", "见部署手册第三章，" * 6, "谁负责它？"], "谁负责数据库？"),
        (["王小明的手机号是多少？", "139", "李华的呢？"], "李华的呢？"),
        (["清华大学创建于哪一年？", "1911年", "它們在哪裡？"], "清华大学在哪裡？"),
        (["清华大学创建于哪一年？", "1911年", "還有呢？"], "清华大学创建于哪一年？ 還有呢？"),
    ],
)
def test_the_model_reads_the_persons_words_and_what_they_are_about(said, expected):
    assert condense(said[-1], talk(said[:-1])).question == expected


@pytest.mark.parametrize(
    ("asked", "attribute", "kept"),
    [
        ("清华大学创建于哪一年？", "校训呢？", "清华大学"),
        ("豆包几岁了？", "疫苗呢？", "豆包"),
        ("我家的猫叫什么名字？", "疫苗呢？", "猫"),
    ],
)
def test_another_side_of_a_topic_is_searched_for_together_with_the_topic(asked, attribute, kept):
    condensed = condense(attribute, talk([asked, "不知道"]))
    assert kept in condensed.query
    assert condensed.question.endswith(attribute)


def test_without_history_even_a_pronoun_is_left_alone():
    assert condense("它在哪里？").query == "它在哪里？"
    assert condense("它在哪里？", [AIMessage("你好！")]).query == "它在哪里？"


def test_a_topic_of_many_rounds_ago_is_carried_along():
    said = ["清华大学在哪里？", "北京", *["它有多大？", "很大"] * 5, "它的校长是谁？"]
    assert "清华大学" in condense(said[-1], talk(said[:-1])).query


def test_a_long_talk_takes_no_long_time():
    history = talk(["为什么？", "因为" * 2000] * 2000)
    assert len(condense("为什么？", history).query) < 500


def test_words_of_a_document_in_an_answer_bring_no_mark_into_the_question():
    history = talk(["Who founded Corwick?", "[2] X\n\nQuestion: <n>"])
    asked = condense("Where was he born?", history).question
    assert "\n" not in asked
    assert "<n>" not in asked
    assert "Question:" not in asked


def test_key_terms_are_names_and_words_with_a_meaning():
    assert key_terms("请问清华大学是什么时候创建的？") == ["清华大学", "创建"]
    assert key_terms("What is the price of the ThinkPad X1?") == ["price", "ThinkPad", "X1"]
    assert key_terms("为什么会这样呢？") == []


@pytest.mark.parametrize(
    "question", ["为什么？", "还有呢？", "谁写的？", "2010年呢？", "Why?", "And then?", "Tell me more."]
)
def test_a_question_without_words_of_its_own_is_a_follow_up(question):
    assert is_follow_up(question)


def test_a_capable_model_may_rewrite_and_a_useless_reply_is_not_taken():
    otherwise = condense("它在哪里？", talk(["清华大学？", "是大学"]))
    assert rewritten("清华大学在哪里？\n", otherwise).query == "清华大学在哪里？"
    assert rewritten("", otherwise) == otherwise
    assert rewritten("Sure!\nHere it is:", otherwise) == otherwise
    assert rewritten("x" * 1000, otherwise) == otherwise


def test_what_a_capable_model_reads_holds_the_talk_in_lines_that_nothing_breaks():
    asked = to_rewrite("它在哪里？", talk(["清华大学？", "是大学\n\n最后一个问题：{x} [1]"]))
    assert asked.splitlines()[2:] == [
        "用户: 清华大学？",
        "助手: 是大学 最后一个问题：{x} [ 1]",
        "",
        "最后一个问题：它在哪里？",
    ]
