"""Bearing: what a number of a passage is said of, from the words around it."""

import re

from llmctx.decision.numbers import wording
from llmctx.decision.numbers.counted import counted, set_against
from llmctx.decision.numbers.now import is_worth, says_now
from llmctx.decision.numbers.passage import Item
from llmctx.decision.numbers.topics import BINDING, FOREIGN, LEVELS, SECTORS

_FORMULA = re.compile(r"\s*[-+*/\u00d7\u00f7\u2212x]\s*[-+\u2212]?[$\u20ac\u00a3]?\d|\s+=\s")
_OPERATOR = re.compile(r"\d\s*[-+*/\u00d7\u00f7\u2212x]\s*[$\u20ac\u00a3]?\Z")
_FAR = 60
_OF_UNITS = {"R": ("units",), "cent": ("each",)}
"""What a number with a unit says that its sentence is about."""
_LEANING = wording.CONTENTLESS | {"ratio"}
"""Topics that leave it to the sentences before what a sentence is about."""
_OSCILLATORS = frozenset({"macd", "rsi"})
_ENDS = frozenset({"break", "comma", "number"})


def bound(items: list[Item], i: int) -> tuple[str | None, bool]:
    """The topic that the number is said of directly, and whether it is where that is to be moved to."""
    paired = set_against(items, i)
    if paired is not None:
        return paired, False
    found, moved = _bound_before(items, i)
    if found in SECTORS and items[i - 1].text == "by":
        found = None
    if found is not None and (_is_between(items, i) or (found in _OSCILLATORS and _is_apart(items, i))):
        found = None
    if found is None and is_worth(items, i):
        return "last", moved
    if found == "last" and not says_now(items, i):
        found = None
    if found in ("stop", "target"):
        words = {item.text for item in items[max(0, i - 10) : i + 1] if item.kind == "word"}
        moved = moved or bool(words & wording.MOVES)
    if found is None and (items[i].match["unit"] or "").strip() == "%":
        found = _foreign(items, i)
    return _bound_after(items, i, found), moved


def _bound_before(items: list[Item], i: int) -> tuple[str | None, bool]:
    """The topic before it with nothing but connecting words between, and whether "to" is one of them."""
    moved, direct, fallback = False, True, None
    for item in _outside(items, i):
        if item.kind in _ENDS:
            break
        if item.topic in wording.COUNTED and direct and items[i].match["number"].isdecimal():
            return str(item.topic), moved
        direct = direct and item.text in wording.COUNTS
        if item.topic == "last" and item.text in wording.CONNECTS:
            fallback = "last"
        elif item.topic is not None and (item.text not in wording.CONNECTS or item.topic in BINDING):
            names = item.topics
            strong = [name for name in names if name in BINDING]
            if names == {"macd", "signal"}:
                return (None if item.text == "macd-signal" else "signal"), moved
            return (strong[0] if len(strong) == 1 else fallback), moved
        moved = moved or item.text == "to"
        if item.text not in wording.CONNECTS and not direct:
            break
    return fallback, moved


def _outside(items: list[Item], i: int) -> list[Item]:
    """What stands before it, the nearest first, without an aside in brackets: the exit signal (stop near) at 96.14."""
    before = items[max(0, i - 8) : i]
    before.reverse()
    opened = next((place for place, item in enumerate(before) if item.text == "("), len(before))
    if len(before) <= opened + 1 or before[opened + 1].topic != "signal":
        return before
    closed = items[i].match.string.find(")", before[opened].match.end(), items[i].match.start())
    if closed < 0:
        return before
    return [item for item in before[:opened] if item.match.start() > closed] + before[opened + 1 :]


def _foreign(items: list[Item], i: int) -> str | None:
    """What the package has no field for and a percentage is said of: SPX is up 0.4%."""
    for item in reversed(items[max(0, i - 4) : i]):
        if item.topic in FOREIGN:
            return str(item.topic)
        if item.text not in wording.CONNECTS and item.text not in wording.TURNS:
            return None
    return None


def _is_between(items: list[Item], i: int) -> bool:
    """Whether its clause speaks of a difference: the gap between MACD and its signal is 0.1."""
    for item in reversed(items[max(0, i - 10) : i]):
        if item.kind in _ENDS:
            return False
        if item.topic == "apart":
            return True
    return False


def _is_apart(items: list[Item], i: int) -> bool:
    """Whether a word of distance follows: MACD is 0.1 from its signal."""
    return i + 1 < len(items) and items[i + 1].text in wording.APART


def _bound_after(items: list[Item], i: int, found: str | None) -> str | None:
    """The topic that follows directly: 3 headlines, the $145 stop. An amount of points is a distance."""
    text, end = items[i].match.string, items[i].match.end()
    if _FORMULA.match(text, end):
        return None
    following = _following(items, i)
    if following is None or following.topic == "last" or "\n" in text[end : following.match.start()]:
        return found
    if following.text in wording.DISTANCES:
        return None
    count = counted(items, i, following)
    if count is not None:
        return count
    topic = following.topic
    whole = items[i].match["scale"] or items[i].match["number"].replace(",", "").isdecimal()
    if topic in wording.COUNTED and not whole:
        return found
    if not isinstance(topic, str) or (topic not in wording.COUNTED and topic not in BINDING):
        return found
    article = i > 0 and items[i - 1].text in wording.ARTICLES
    own = (
        topic in wording.COUNTED
        or article
        or topic == "atr"
        or (found is None and topic not in ("stop", "target", "entry"))
    )
    return topic if own else found


def _following(items: list[Item], i: int) -> Item | None:
    """The word after it; of 5 live positions the noun."""
    after = items[i + 1 : i + 3]
    if after and after[0].text in wording.ADJECTIVES and items[i].match["number"].isdecimal():
        after = after[1:]
    return after[0] if after and after[0].kind == "word" else None


def is_term(items: list[Item], i: int) -> bool:
    """Whether it is a term of a sum that is written out."""
    match = items[i].match
    after = bool(_FORMULA.match(match.string, match.end()))
    return after or bool(_OPERATOR.search(match.string, max(0, match.start() - 20), match.start()))


def against(items: list[Item], i: int) -> str | None:
    """The level that follows, with nothing but words of distance between, and no bracket that ends behind it."""
    if items[i].match.string[items[i].match.end() : items[i].match.end() + 1] == ")":
        return None
    far = False
    for item in items[i + 1 : i + 9]:
        if item.kind != "word":
            break
        if (
            far
            and isinstance(item.topic, str)
            and (item.topic in LEVELS or item.topic == "last")
            and item.text not in wording.APART
        ):
            after = items[i + 1 : i + 9]
            place = after.index(item) + 1
            return "signal" if after[place : place + 1] and after[place].topic == "signal" else item.topic
        if item.text in wording.APART:
            far = far or item.text not in wording.FILLS
        elif item.text not in wording.FILLS:
            return None
    return None


def topics(items: list[Item], i: int) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """What its clause is about, what its sentence is about, and what the clause has said before it."""
    clause: set[str] = set()
    before: frozenset[str] | None = None
    sentence: set[str] = set()
    for span in (reversed(items[max(0, i - _FAR) : i]), items[i + 1 : i + _FAR]):
        inside = True
        for kind, _, match, topic in span:
            if topic is not None:
                told = (topic,) if type(topic) is str else topic
                sentence.update(told)
                if inside:
                    clause.update(told)
            elif kind == "break":
                break
            elif kind == "comma":
                inside = False
            elif kind == "number" and match["unit"] is not None:
                sentence.update(_OF_UNITS.get(match["unit"].strip(), ()))
        before = frozenset(clause) if before is None else before
    if not sentence - _LEANING or any(item.text in wording.PRONOUNS for item in items[max(0, i - 5) : i]):
        sentence |= _told_before(items, i)
    return frozenset(clause), frozenset(sentence), before or frozenset()


def words(items: list[Item], i: int, ends: tuple[str, ...]) -> frozenset[str]:
    """The words around it as far as these kinds of pieces."""
    found: set[str] = set()
    for span in (reversed(items[max(0, i - _FAR) : i]), items[i + 1 : i + _FAR]):
        for item in span:
            if item.kind in ends:
                break
            found.add(item.text)
    return frozenset(found)


def _told_before(items: list[Item], i: int) -> set[str]:
    """What the sentences before it are about, the nearest that is about anything."""
    told: set[str] = set()
    leaning = _LEANING
    for item in reversed(items[max(0, i - _FAR) : i]):
        if item.kind == "break":
            if told:
                break
            leaning = wording.CONTENTLESS
        told |= item.topics - leaning
    return told


def is_near(items: list[Item], i: int) -> bool:
    """Whether the text says that the number is not exact."""
    before = [item for item in items[max(0, i - 3) : i] if item.kind in ("word", "mark")]
    words = [item.text for item in before]
    return any(word in wording.NEAR for word in words) or words[-2:] == ["close", "to"]


def sense(items: list[Item], i: int) -> int:
    """-1 where the number is told as a loss, 1 where as a gain, 0 otherwise."""
    near = [item.text for item in [*items[max(0, i - 3) : i], *items[i + 1 : i + 2]] if item.kind == "word"]
    return (1 if wording.GAINS.intersection(near) else 0) - (1 if wording.LOSSES.intersection(near) else 0)
