"""A passage: a text as numbers, words and breaks, each word with the topic that it names."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from llmctx.decision.numbers.no_claim import without_no_claims
from llmctx.decision.numbers.spelled import in_digits
from llmctx.decision.numbers.topics import OWN, topic_of, topics_of

_LONGEST = 10_000
NUMBER = r"(?:\d{1,3}(?:[,'\u2019\u202f]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_ITEM = re.compile(
    rf"""
    (?P<sign>[+\-\u2212\u2013](?=[ ]?[$\u20ac\u00a3\u00a5\d.]|(?:USD|EUR|GBP)))?
    (?P<money>(?:US)?[$\u20ac\u00a3\u00a5][ ]?|\b(?:USD|EUR|GBP)[ ]?)?
    (?P<sign2>[+\-\u2212](?=\d))?
    (?<![\w.])(?P<number>{NUMBER})(?![\d])
    (?P<scale>[ ]?(?:thousand|million|billion|bn|mn|mm)\b|[kKMmBb](?![\w]))?
    (?P<unit>[ ]?%|[ ]?percent(?:age[ ]points?)?\b|[ ]?per[ ]cent\b|[ ]?pct\b|[ ]?pp\b|[ ]?(?:bps?|basis[ ]points?)\b
      |[ ]?(?:dollars?|USD|EUR|GBP|euros?|pounds?)\b|[ ]?(?:cents?|\u00a2)
      |[ ]?(?:x|\u00d7|:1)(?![\w]|\s*[\d$]|\s*\.\d)|R\b)?
    | (?P<break>[.!?;\n](?=[\s*_)"]|$))
    | (?P<comma>,(?=\s)|[ ][\u2014\u2013-][ ]|\u2014|(?<=[ ])(?:while|whereas|but|although|though|yet)\b)
    | (?P<word>[A-Za-z_][\w]*(?:[-.&/'\u2019:]?[A-Za-z_][\w]*|\[\d+\])*)
    | (?P<mark>[~\u2248<>=\u2264\u2265@|(:/])
    """,
    re.VERBOSE,
)
_ABBREVIATED = re.compile(r"\b(?:i\.e|e\.g|vs|approx|ca|resp|incl|etc|no|avg|max|min|est|cf)\.", re.IGNORECASE)
_UNMARKED = str.maketrans({"*": " ", "`": " "})
_PATH = re.compile(rf"(?:[a-z]\w*[.])+\w+(?:\[\d+\])?|{'|'.join(OWN)}|[a-z]+_\d+m?")


class Item(NamedTuple):
    """One piece of a text."""

    kind: str
    """number, word, break (a sentence ends), comma (a clause ends), or mark."""
    text: str
    """As written; a word in lower case."""
    match: re.Match[str]
    """Where it stands, and a number's parts."""
    topic: str | frozenset[str] | None
    """What a word names."""

    @property
    def topics(self) -> frozenset[str]:
        """The topics that it names, none or several."""
        topic = self.topic
        return frozenset((topic,)) if isinstance(topic, str) else topic or frozenset()


def items_of(text: str, vocabulary: frozenset[str]) -> list[Item]:
    """The pieces of a text in order, without what is no claim; [] where it has no digits."""
    text = in_digits(text[:_LONGEST])
    if not any(c.isdigit() for c in text):
        return []
    text = _ABBREVIATED.sub(lambda found: found[0][:-1] + " ", text.translate(_UNMARKED))
    return list(_items(without_no_claims(text), vocabulary))


def _items(text: str, vocabulary: frozenset[str]) -> Iterator[Item]:
    before = ""
    for match in _ITEM.finditer(text):
        if match["number"] is not None:
            yield Item("number", match[0], match, None)
            before = ""
        elif match["word"] is not None:
            word = match[0].replace("\u2019", "'")
            topic = (topics_of("." + word) or None) if _PATH.fullmatch(word) else None
            word = word.lower()
            yield Item("word", word, match, topic or _topic(word, before, vocabulary))
            before = word
        else:
            yield Item(match.lastgroup or "", match[0], match, None)


def _topic(word: str, before: str, vocabulary: frozenset[str]) -> str | frozenset[str] | None:
    topic = topic_of(word, before, vocabulary)
    if topic is None and word.endswith("'s"):
        topic = topic_of(word[:-2], before, vocabulary)
    if topic is not None or not ("/" in word or "-" in word):
        return topic
    parts = (topic_of(part, "", vocabulary) for part in re.split("[/-]", word))
    return frozenset(part for part in parts if part is not None) or None


def float_of(number: str) -> float:
    """The value of the digits, without separators of thousands."""
    return float(re.sub(r"[,'\u2019\u202f]", "", number))
