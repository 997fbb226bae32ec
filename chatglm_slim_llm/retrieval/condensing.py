"""A follow-up question as one that can be searched for, without asking a model.

"它创建于哪一年？" after talk of 清华大学 has to find 清华大学. A small model cannot be trusted with rewriting, and a
second prompt costs seconds; so a question that leans on what was said before takes key words from there: the ones of
the last question and its answer for the search, and the one thing that it is about for the model: in the place of a
pronoun, as a small model answers that nearly as often as a question that never had one. A question that stands alone
is left alone, whatever was talked about before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from chatglm_slim_llm.retrieval.context import language_of
from chatglm_slim_llm.retrieval.quoting import quoted

_ZH_PRONOUN = re.compile(
    r"它们?|(?<![其吉])他们?|她们?|(?<![如因])此(?![外前时])|(?<![耳尤极与])其(?![他它实次余中])|前者|后者|上述"
    r"|[这那](?=[个里儿些边时次年天座本位家所种份篇部是]|[？?]?$)|(?<![应本活])该(?![怎如不做去说用])"
)
_EN_PRONOUN = re.compile(
    r"\b(?:it|its|itself|he|him|his|she|her|hers|they|them|their|theirs|these|those|the same|the former|the latter)\b"
    r"|(?:^|\b(?:is|was|are|were|do|does|did|of|about|in|at|on|for|with|by|after|before|from|mean) )(?:that|this)\b"
    r"|\bthere\b(?<!is there)(?<!are there)(?<!was there)(?<!were there)(?! (?:is|are|was|were)\b)",
    re.IGNORECASE,
)
_PERSON = re.compile(r"(?<!其)他|她|\b(?:he|him|his|she|her|hers|they|them|their)\b", re.IGNORECASE)
_PLACE = re.compile(r"[那这][里儿边]|当地|\bthere\b", re.IGNORECASE)
_ASKED_WHO = re.compile(r"谁|哪位|\bwho(?:m|se)?\b", re.IGNORECASE)
_ASKED_WHERE = re.compile(
    r"哪[里儿]|哪个(?:城市|国家|地方|省)|什么地方|\bwhere\b|\b(?:which|what) (?:city|country|town|place)\b",
    re.IGNORECASE,
)
_ASKED_WHAT = re.compile(r"(?<!是)什么(?!时候)|\bwhat\b(?!'s| is| are| was| were)", re.IGNORECASE)
_ZH_SWAPS = (
    (re.compile(r"(?<!其)[它他她]们?|[那这][里儿]|该[校书国城市镇村厂寺]|此[人书地]"), "{}"),
    (re.compile(r"(?<![耳尤极与])其(?![他它实次余中])"), "{}的"),
)
_EN_SWAPS = (
    (re.compile(r"\b(?:its|his|their|her(?= \w))\b", re.IGNORECASE), "{}'s"),
    (re.compile(r"\b(?:it|he|him|she|her|they|them)\b", re.IGNORECASE), "{}"),
    (re.compile(r"\bthere\b", re.IGNORECASE), "in {}"),
)
"""Pronouns that a name can take the place of; "that town" is none, and keeps its name before the question."""
_SIMPLIFIED = str.maketrans("這裡裏個牠們誰還麼為沒樣時邊後", "这里里个它们谁还么为没样时边后")
"""Only for matching pronouns and question words: one character for one, so that places in the text stay the same."""
_KIND = re.compile(r"(?:大学|学院|学校|公司|医院|银行|[市省县国镇村])$")
_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢钱"
_ZH_PERSON = re.compile(rf"[{_SURNAMES}][\u3400-\u9fff]{{1,2}}$")
_ZH_LAST_VERB = re.compile(r"(?<=..)[用坏]$")
_ANOTHER = re.compile(
    r"^(?:那么?|还有)?(?P<zh>.{2,30}?)呢[？?]?$|^(?:and|what about|how about)\s+(?P<en>.{2,60}?)\??$", re.IGNORECASE
)

_ZH_IDLE = re.compile(
    r"请问|请|告诉我|介绍一下|介绍|说说|谈谈|你知道|知道|解释一下|关于|一下|一点|为什么|为何|怎么样|怎么|怎样|如何|什么时候|何时|什么"
    r"|哪一?[年天个位]|哪[些里儿]|哪|有?多少|有?多[久大长远高]|有几|没有|是谁|谁|是不是|有没有|是否|是|的|了|吗|呢|吧|啊|在"
    r"|(?<!共)和(?![平谐])|与|被|位于|坐落于|[这那][个些里儿种是样么时]|后来|然后|接着|还有|详细|具体|继续|原因|可以|能不能"
)
_ZH_ACTION = re.compile(
    r"(?:由|被)?(?:始建|创建|创办|创立|成立|建立|建成|建造|设立|出生|诞生|写作|创作|发明|发现|举办|属于|来自|叫做|拥有|获得|去世|毕业|担任|建|写|生)(?:于|在)?"
)
_EN_IDLE_WORDS = """
a about again all also am an and any are as at be because been but by can could did do does else for from get give
had has have he her him his how i if in into is it its itself just let like made many me more most much my no not of
on or other our out please she should so some tell than that the their them then there these they this those to too
up us was we were what when where which who whom whose why will with would year you your know explain describe show
say said says mean kind type name exactly really ok okay yes thanks continue
"""
_EN_IDLE = frozenset(_EN_IDLE_WORDS.split())
_LATIN = re.compile(r"[^\W\u3040-\u9fff]+(?:[-'’.][^\W\u3040-\u9fff]+)*")
_WIDE = re.compile("[\u3400-\u9fff]+")
_TITLE = re.compile('《([^《》]{1,40})》|“([^“”]{1,40})”|"([^"]{1,40})"')
_CITATION = re.compile(r"[\[【［]\s*\^?\d[\d\s,，、;；~～–—-]*[\]】］]")
_NAMES = re.compile(r"(?:[A-Z][\w'’-]*)(?:\s+(?:of|the|de|von|van|[A-Z0-9][\w'’-]*))*(?<!\sof)(?<!\sthe)")
_EN_ASKED = re.compile(r"^(?:what|who|where|when|which|how)(?:'s| is| are| was| were)\s+(.+?)\??$", re.IGNORECASE)
_SHORT_ANSWER, _LONGEST_TERM, _LONGEST_ASKED = 40, 30, 200
_MOST_ASKED, _MOST_ANSWERED = 6, 3
"""Key words for the search: the question's own count more than those of an answer that may have gone far afield."""
_LONGEST_TOPIC = 60
_MOST_HEARD = 16
"""Messages back; what was said before them is not meant any more."""
_LONGEST_HEARD, _LONGEST_REWRITTEN = 600, 300
_REWRITE = {
    "en": "Here is a talk and a last question. Rewrite the last question so that it can be understood without the "
    "talk. If it can be already, repeat it. Write only the question.\n\n{talk}\n\nLast question: {question}",
    "zh": "下面是一段对话和最后一个问题。请改写最后一个问题，使它不看对话也能看懂；如果已经能看懂，就照抄。只写问题。"
    "\n\n{talk}\n\n最后一个问题：{question}",
}
_OWN_SUBJECT = 4
"""Chinese characters before a pronoun that it more likely stands for than anything said earlier."""


@dataclass(frozen=True)
class Condensed:
    """A question, for the search and for the model."""

    query: str
    """What to search for."""
    question: str
    """The person's own words, with what they are about where they do not say it."""


def condense(question: str, history: Sequence[BaseMessage] = ()) -> Condensed:
    """Make a follow-up stand alone, from the rounds before it.

    Args:
        question: the person's words.
        history: what was said before, in order; only people and the model's answers are heard.
    """
    question, history = question.strip(), history[-_MOST_HEARD:]
    index = max((i for i, message in enumerate(history) if _is_question(message)), default=None)
    if index is None:
        return Condensed(question, question)
    asked = condense(history[index].text, history[:index]).question[-_LONGEST_ASKED:]
    if other := _another(question):
        return _instead(other, asked, question)
    if not is_follow_up(question):
        return Condensed(question, question)
    answer = next((m.text for m in history[index:] if m.type == "ai" and m.text.strip()), "")
    answer = _CITATION.sub("", answer[:_LONGEST_HEARD])
    if not _is_fragment(question) and (named := _named(question, asked, answer)):
        return Condensed(" ".join([question, *_cut(key_terms(named))]), _about(named, question))
    told = [word for word in key_terms(answer) if not word.isdigit()][:_MOST_ANSWERED]
    query = " ".join([question, *_cut(dict.fromkeys([*key_terms(asked)[:_MOST_ASKED], *told]))])
    return Condensed(query, f"{asked} {question}" if _is_fragment(question) else _about(_subject(asked), question))


def is_follow_up(question: str) -> bool:
    """Whether a question cannot be understood without what was said before it."""
    if not _own_words(question):
        return True
    if language_of(question) == "en":
        befores = [question[: pronoun.start()].partition(" ")[2] for pronoun in _EN_PRONOUN.finditer(question)]
        return any(not _NAMES.search(before) for before in befores)
    befores = [question[: pronoun.start()] for pronoun in _ZH_PRONOUN.finditer(_plain(question))]
    return any(all(len(run) < _OWN_SUBJECT for run in key_terms(before)) for before in befores)


def key_terms(text: str) -> list[str]:
    """What a text is about: names and words with a meaning of their own, in order, each once."""
    words = [
        (match.start(), match[0])
        for match in _LATIN.finditer(text)
        if match[0].casefold() not in _EN_IDLE and not (len(match[0]) == 1 and match[0].islower())
    ]
    shown = _ZH_PRONOUN.sub(_blank, _ZH_IDLE.sub(_blank, _plain(text)))
    words += [(run.start(), text[run.start() : run.end()]) for run in _WIDE.finditer(shown) if len(run[0]) > 1]
    return list(dict.fromkeys(word for _, word in sorted(words)))


def _own_words(question: str) -> list[str]:
    """Key terms that say what is asked about: numbers and verbs of the kind "谁创建的？" do not."""
    terms = [term for term in key_terms(question) if not term.isdigit()]
    return [word for term in terms for word in _ZH_ACTION.sub(" ", term).split() if len(word) > 1]


def _plain(text: str) -> str:
    return text.translate(_SIMPLIFIED)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _is_question(message: BaseMessage) -> bool:
    return message.type == "human" and bool(message.text.strip())


def _another(question: str) -> str:
    """``北京大学`` of "那北京大学呢？"; nothing if this is no such question, or asks for something else of it."""
    match = _ANOTHER.match(_plain(question))
    other = question[slice(*match.span("zh" if match["zh"] else "en"))].strip() if match else ""
    has_pronoun = _ZH_PRONOUN.search(_plain(other)) or _EN_PRONOUN.search(other)
    return other if _own_words(other) and "的" not in other and not has_pronoun else ""


def _instead(other: str, asked: str, question: str) -> Condensed:
    """The last question, asked of something else of the same kind; or something else about what it was about."""
    topic = _subject(asked)
    if topic in asked and topic != asked and _is_same_kind(topic, other):
        full = asked.replace(topic, other)
        return Condensed(full, full)
    query = " ".join([question, *_cut(key_terms(asked)[:_MOST_ASKED])])
    return Condensed(query, _about(topic, question))


def _is_same_kind(topic: str, other: str) -> bool:
    """Whether two are clearly alike: "北京大学" may stand for "清华大学", "校训" may not."""
    if (kind := _KIND.search(topic)) and (others := _KIND.search(other)):
        return kind[0] == others[0]
    are_people = all(_ZH_PERSON.fullmatch(name) for name in (topic, other))
    return are_people or all(_NAMES.fullmatch(name) for name in (topic, other))


def _is_fragment(question: str) -> bool:
    """Whether a question says neither what it is about nor what it asks of it: "Why?"."""
    is_empty = all(term.isdigit() for term in key_terms(question))
    return is_empty and not _ZH_PRONOUN.search(_plain(question)) and not _EN_PRONOUN.search(question)


def _about(topic: str, question: str) -> str:
    """The question with what it is about in the place of its pronoun, or before it where the two would not fit.

    In one line, as the topic may be a document's words.
    """
    topic = quoted(topic)[:_LONGEST_TOPIC]
    if not topic or topic in question:
        return question
    is_zh = language_of(question) == "zh"
    for pronoun, form in _ZH_SWAPS if is_zh else _EN_SWAPS:
        if match := pronoun.search(_plain(question)):
            if match[0].casefold() == "there" and not _NAMES.fullmatch(topic.removeprefix("In ")):
                break
            topic = topic.removeprefix("In ") if match[0].casefold() == "there" else topic
            return question[: match.start()] + form.format(topic) + question[match.end() :]
    return f"关于{topic}：{question}" if is_zh else f"About {topic}: {question}"


def _named(question: str, asked: str, answer: str) -> str:
    """What the last answer named, if the last question asked for what the pronoun stands for.

    "Who wrote it?" asks for a "he", "where is it?" for a "there".
    """
    if _PERSON.search(_plain(question)):
        if found := _ZH_PERSON.search(answer[:_SHORT_ANSWER].strip(" 。.!！")):
            return found[0]
        asked_for_it = _ASKED_WHO.search(_plain(asked))
    elif _PLACE.search(_plain(question)):
        asked_for_it = _ASKED_WHERE.search(_plain(asked))
    else:
        asked_for_it = _ASKED_WHAT.search(_plain(asked))
    named = answer.strip(" 。.!！")
    return named if asked_for_it and len(named) <= _SHORT_ANSWER and key_terms(named) else ""


def _cut(words: Iterable[str]) -> list[str]:
    return [word[:_LONGEST_TERM] for word in words]


def _subject(asked: str) -> str:
    """What a question is about: what it quotes, a name, or what it says first."""
    if title := _TITLE.search(asked):
        return str(next(filter(None, title.groups())))
    if language_of(asked) == "en":
        first, _, rest = asked.partition(" ")
        names = _NAMES.findall(rest) or ([] if first.casefold() in _EN_IDLE else _NAMES.findall(first))
        about = _EN_ASKED.match(asked)
        return max(names, key=len) if names else about[1] if about else " ".join(key_terms(asked))
    words = _own_words(asked) or key_terms(asked)
    begins_with_question = re.match("(?:请问)?(?:谁|哪|什么|几|多少)", asked)
    return _ZH_LAST_VERB.sub("", words[-1 if begins_with_question else 0]) if words else ""


def to_rewrite(question: str, history: Sequence[BaseMessage]) -> str:
    """What a capable model is asked, to make a follow-up stand alone."""
    said = [m for m in history[-_MOST_HEARD:] if m.type in ("human", "ai") and m.text.strip()]
    lang = language_of(question)
    who = {"human": "Person", "ai": "Assistant"} if lang == "en" else {"human": "用户", "ai": "助手"}
    talk = "\n".join(f"{who[message.type]}: {quoted(message.text)[:_LONGEST_HEARD]}" for message in said)
    return _REWRITE[lang].format(talk=talk, question=quoted(question))


def rewritten(reply: str, otherwise: Condensed) -> Condensed:
    """What a model made of a follow-up, if it is a question of sensible length."""
    lines = reply.strip().splitlines()
    if len(lines) != 1 or not 0 < len(lines[0]) <= _LONGEST_REWRITTEN:
        return otherwise
    question = lines[0].strip().strip('"“”')
    return Condensed(question, question) if question else otherwise
