"""A passage: a text as numbers, words and breaks, each word with the topic that it names."""

import re
from functools import lru_cache, partial
from typing import NamedTuple

from llmctx.decision.numbers.figure import FIGURE
from llmctx.decision.numbers.names import CALLED, OWN
from llmctx.decision.numbers.no_claim import HINTS, NUMBERED, without_no_claims
from llmctx.decision.numbers.spelled import SPELLED_WORDS, in_digits
from llmctx.decision.numbers.topics import topic_of, topics_of

_LONGEST = 10_000
_ITEM = re.compile(
    rf"""
    (?P<word>(?!US[$\u20ac\u00a3\u00a5]|(?:USD|EUR|GBP)(?:[ ][+\-\u2212]?|[+\-\u2212])\.?\d)
      [A-Za-z_][\w]*(?:[-.&/'\u2019:]?[A-Za-z_][\w]*|\[\d+\])*)
    | (?=[+\-\u2212\u2013$\u20ac\u00a3\u00a5\d.UEG])
    (?P<sign>[+\-\u2212\u2013](?=[ ]?[$\u20ac\u00a3\u00a5\d.]|(?:USD|EUR|GBP)))?
    (?P<money>(?:US)?[$\u20ac\u00a3\u00a5][ ]?|\b(?:USD|EUR|GBP)[ ]?)?
    (?P<sign2>[+\-\u2212](?=\d))?
    (?<!\w)(?<!(?<!\.)\.)(?P<number>{FIGURE})(?![\d])
    (?P<scale>[ ]?(?:thousand|grand|million|billion|bn|mn|mm|[kKM])\b|[mBb](?![\w]))?
    (?P<unit>[ ]?%|[ ]?percent(?:age[ ]points?)?\b|[ ]?per[ ]cent\b
      |[ ]?pct\b(?!=)|[ ]?pp\b|[ ]?(?:bps?|basis[ ]points?)\b|[ ]?(?:dollars?|USD|EUR|GBP|euros?|pounds?)\b
      |[ ]?(?:cents?|penn(?:y|ies)\b|ticks?\b|\u00a2)
      |[ ]?(?:x|\u00d7|:[ ]?1)(?![\w]|\s*[\d$]|\s*\.\d)|[ ]to[ ](?:1|one)\b(?![.,]?\d|[ ]\d)|[ ]?R\b(?![:/(])
      |[ ]?(?:hours?|hrs?|minutes?|mins?)\b|[ ]?h\b(?![ ]?[$\d])|c\b)?
    | (?P<break>[.!?;](?=[\s*_)"]|$)|\n(?![a-z]))
    | (?P<comma>,(?=[\s"])|[ ][\u2014\u2013-][ ]|\u2014)
    | (?P<mark>\.{{2,}}(?=[ ]?[$\u20ac\u00a3\d])|\.\.|[-=]>|[~\u2248<>=\u2264\u2265@|(:/])
    """,
    re.VERBOSE,
)
_SILENT = frozenset({"break", "comma", "mark"})
_TURNING = frozenset("while whereas but although though yet".split())
"""Words with which another clause begins."""
_VALUED = re.compile(r"[\"']? ?[-+\u2212:=<>\d]")
_KEYED = frozenset("pct usd dist distance price value held trade 14 14m 1m".split())
_LETTERS = re.compile("[a-z]+")
_DIGIT = re.compile("[0-9]")
_HINTING = re.compile(r"[:#&\[/\n]|\(\d|\A\W*\d|\d-|\d of |\d[ ]?(?:st|nd|rd|th|[ap]\.?m|ms|[mhd]\b)|[A-Za-z+-]\d")
"""Marks without which, and without one of the words of HINTS, everything is a claim."""
_NUMBERED = {word: re.compile(rf"{word} #?\d") for word in NUMBERED}
"""What a word that names by number looks like; a pattern that begins with a plain text is searched for fast."""
_ABBREVIATIONS = frozenset("i e vs approx ca resp incl etc no avg max min est cf conf".split())
_ABBREVIATED = re.compile(r"\b(?:i\.e|e\.g|vs|approx|ca|resp|incl|etc|no|avg|max|min|est|cf|conf)\.", re.IGNORECASE)
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


_item = partial(tuple.__new__, Item)
"""As Item(...), in a third of the time: a text has a hundred."""


def items_of(text: str, vocabulary: frozenset[str]) -> list[Item]:
    """The pieces of a text in order, without what is no claim; [] where it has no digits."""
    text = text[:_LONGEST]
    lowered = text.lower()
    words = frozenset(_LETTERS.findall(lowered))
    if not words.isdisjoint(SPELLED_WORDS):
        text = in_digits(text)
        lowered = text.lower()
    if not _DIGIT.search(text):
        return []
    text = text.translate(_UNMARKED)
    if any(f"{word}." in lowered for word in words & _ABBREVIATIONS):
        text = _ABBREVIATED.sub(lambda found: found[0][:-1] + " ", text)
    if (
        not words.isdisjoint(HINTS)
        or _HINTING.search(text)
        or any(_NUMBERED[word].search(lowered) for word in words & _NUMBERED.keys())
    ):
        text = without_no_claims(text)
    return _items(text, vocabulary)


def _items(text: str, vocabulary: frozenset[str]) -> list[Item]:
    found: list[Item] = []
    before = ""
    for match in _ITEM.finditer(text):
        kind, piece = match.lastgroup or "", match[0]
        if kind == "word":
            word = piece.lower()
            if word in _TURNING and found:
                found.append(_item(("comma", word, match, None)))
            else:
                found.append(
                    _item(("word", word, match, _topic(_key(match) if "_" in piece else piece, before, vocabulary)))
                )
                before = word
        elif kind in _SILENT:
            found.append(_item((kind, piece, match, None)))
            before = ""
        else:
            found.append(_item(("number", piece, match, None)))
            before = ""
    return found


def _key(match: re.Match[str]) -> str:
    """The word; a name with underscores before a value in parts: dist_stop=1.2."""
    word, text, end = match[0], match.string, match.end()
    told = word.rpartition("_")[2] in _KEYED or word.rpartition("_")[2] in CALLED
    return word.replace("_", "-") if told and _VALUED.match(text, end) else word


@lru_cache(maxsize=20_000)
def _topic(word: str, before: str, vocabulary: frozenset[str]) -> str | frozenset[str] | None:
    """What a word names; models use the same few thousand words."""
    word = word.replace("\u2019", "'")
    if "-" in word and word.replace("-", "_") in OWN:
        word = word.replace("-", "_")
    if ("." in word or "_" in word) and _PATH.fullmatch(word):
        return topics_of("." + word) or None
    word = word.lower()
    topic = topic_of(word, before, vocabulary)
    if topic is None and word.endswith("'s"):
        topic = topic_of(word[:-2], before, vocabulary)
    if topic is not None or not ("/" in word or "-" in word):
        return topic
    parts = (topic_of(part, "", vocabulary) for part in re.split("[/-]", word))
    return frozenset(part for part in parts if part is not None) or None
