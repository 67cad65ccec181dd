"""Numbers as written in texts, in any script: full-width digits, 1.2万, 648,41, 1,204,332, -0.5 %, 150 bps, 1.2M.

A number is read in every way it can be meant (1,204 is 1204, or 1.204 with a decimal comma). Digits that belong to a
name (RSI14, rsi_14) are not numbers. Every pattern runs in linear time.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

CONTEXT = Context(28, ROUND_HALF_EVEN, MIN_EMIN, MAX_EMAX, traps=[])
"""The decimal context of all calculations: 28 digits, and no traps; an undefined result is not finite."""
MAX_CHARS = 400
"""Longer numbers count as unread."""

_MINUS_TWO = Decimal(-2)
_STEPS = [Decimal(1).scaleb(-places) for places in range(20)]
_SCALES = {
    **dict.fromkeys(("k", "thousand", "tsd", "千", "천"), 3),
    **dict.fromkeys(("万", "萬", "만"), 4),
    **dict.fromkeys(("m", "mn", "mio", "million", "millions", "millionen", "millones", "百万"), 6),
    **dict.fromkeys(("億", "亿", "억"), 8),
    **dict.fromkeys(("b", "bn", "billion", "mrd", "milliard", "milliards", "milliarden"), 9),
    "兆": 12,
}
_CJK_DIGITS = dict(zip("〇零一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_CJK_TENS = {"十": 10, "百": 100, "千": 1000}
_CJK_MYRIADS = {"万": 10**4, "萬": 10**4, "億": 10**8, "亿": 10**8}

_MOMENT = (
    r"(?<!\d)(?<!\d[.:])(?:\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?|\d{1,2}\.\d{1,2}\.\d{4}"
    r"|\d{1,3}:\d\d(?::\d\d)?)(?![\d:])"
)
_DIGITS = r"\d++(?:[.,'\u2019\u00a0\u2009\u202f]\d++){0,12}+(?:[eE][+-]?\d{1,3}(?!\w))?"
_SPACED = r"(?<![\d.,])\d{1,3}(?: \d{3}){2,20}+(?![\d])|(?<![\d.,])\d{1,3} \d{3},\d{1,4}(?![\d,])"
_CJK = r"[〇零一二两三四五六七八九十百千][〇零一二两三四五六七八九十百千万萬億亿]+(?:[点點][〇零一二三四五六七八九]+)?"
_NUMBER = re.compile(f"(?P<moment>{_MOMENT})|(?P<spaced>{_SPACED})|(?P<digits>{_DIGITS})|(?P<cjk>{_CJK})", re.ASCII)
_UNIT = re.compile(
    r"[ \u00a0\u202f]?(?:(?P<percent>%|(?:percent|per cent|pct|prozent|pour ?cent|por ciento)\b|パーセント|个?百分点)"
    r"|(?P<bps>(?:bps?|basis points?|basispunkten?|points de base|puntos básicos)\b|个?基点|ベーシスポイント)"
    r"|(?P<scale>(?:k|thousand|tsd|mn?|mio|millions?|millionen|millones|bn?|billion|mrd|milliards?|milliarden)\b"
    r"|百万|[千천万萬만億亿억兆]))",
    re.IGNORECASE,
)
_PLAINLY = re.compile(r"[0-9]+|(?:0|[0-9]{4,})?\.[0-9]+|[0-9]{1,3}\.(?:[0-9]{1,2}|[0-9]{4,})")
"""Digits that can be read in only one way."""
_DIGIT = re.compile(rf"[0-9{''.join(_CJK_DIGITS)}{''.join(_CJK_TENS)}]")
_WHOLE = re.compile(r"(?P<cjk>(?!))|\d+", re.ASCII)
_POINTED = re.compile(r"(?P<cjk>(?!))|\.\d+", re.ASCII)
_REST = re.compile(r"\d++(?!\d)", re.ASCII)
_UNREAD = re.compile(r"[^\x00-\x7f]+")
_CURRENCIES = "$€£¥₹₩₽"
_MINUS = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"


class Value(NamedTuple):
    """One way to read a number."""

    value: Decimal
    """Its absolute value."""
    step: Decimal
    """One unit of its last digit."""

    def is_of(self, size: Decimal) -> bool:
        """Whether an absolute value, rounded or cut to the digits written, equals this one."""
        if size == self.value:
            return True
        over = CONTEXT.subtract(size, self.value)
        return CONTEXT.divide(self.step, _MINUS_TWO) <= over < self.step


class Numeral(NamedTuple):
    """A number in a text."""

    start: int
    """Its offset in characters, behind a sign."""
    end: int
    """The offset behind its unit."""
    text: str
    """The number as written, with sign and unit."""
    values: tuple[Value, ...]
    """The ways to read it, the likeliest first; empty for dates and times, and if it could not be read."""
    sign: str = ""
    """+ or - if one is written."""
    unit: str = ""
    """% or bps."""
    bare: bool = True
    """Whether it has no unit, scale, letter (2R) or name attached."""
    name: bool = False
    """Whether it belongs to a name: RSI(14), 14-day."""
    moment: bool = False
    """Whether it is a date or a time of day."""


class _Characters(dict[int, str]):
    """The plain form of each character, one for one, so that offsets stay the same."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        digit = unicodedata.decimal(character, None)
        wide = chr(code - 0xFEE0) if 0xFF01 <= code <= 0xFF5E else character  # noqa: PLR2004  the full-width block
        plain = str(digit) if digit is not None else wide
        return self.setdefault(code, plain) if len(self) < 4096 else plain  # noqa: PLR2004  bounded


_PLAIN = _Characters(
    dict.fromkeys(map(ord, _MINUS), "-")
    | {0x66B: ".", 0x66C: ",", 0x66A: "%", 0xFF01: "\uff01", 0xFF1F: "\uff1f", 0xD7: "*", 0xF7: "/"}
)


def plain(text: str) -> str:
    """Return the text with ASCII digits, signs and brackets, character for character."""
    return text if text.isascii() else text.translate(_PLAIN)


def numerals(text: str, start: int = 0, end: int | None = None) -> Iterator[Numeral]:
    """Find the numbers of a plain text between two offsets, in order; `values` is empty if one could not be read."""
    end = len(text) if end is None else end
    at = start
    while (first := _DIGIT.search(text, at, end)) is not None:
        begin = first.start()
        found = _NUMBER.match(text, begin, end)
        if found is None:  # a lone Chinese numeral
            at = begin + 1
            continue
        yield from _unread(text, at, begin)
        at = found.end()
        if found["moment"]:
            yield Numeral(begin, at, found[0], (), bare=False, moment=True)
        elif not (found[0].isdigit() and begin > 0 and _is_letter(text[begin - 1])):
            numeral = _numeral(text, found, end)
            if not numeral.values and "," in found[0] and "." not in found[0]:  # a list: 12,26,9
                numeral = _numeral(text, _WHOLE.match(text, begin, end) or found, end)
            at = numeral.end
            yield numeral
    yield from _unread(text, at, end)


def _unread(text: str, start: int, end: int) -> Iterator[Numeral]:
    """Numbers without digits (½, Ⅳ); a lone Chinese numeral is not reported, because it is too often part of a word."""
    if start >= end or text[start:end].isascii():
        return
    for run in _UNREAD.finditer(text, start, end):
        if any(unicodedata.category(c) in ("No", "Nl") and c not in _CJK_DIGITS for c in run[0]):
            yield Numeral(run.start(), run.end(), run[0], (), bare=False)


def _is_letter(character: str) -> bool:
    """A letter of a script with capitals: there a letter beside a digit makes a name, in Chinese it does not."""
    return character == "_" or character.islower() or character.isupper()


def _numeral(text: str, found: re.Match[str], end: int) -> Numeral:
    start, at = found.span()
    if text[start - 1 : start] == "." and not text[max(0, start - 2) : start - 1].isalnum():
        found, start = _POINTED.match(text, start - 1, at) or found, start - 1  # .5
    values = () if at - start > MAX_CHARS else _cjk(found[0]) if found["cjk"] else _values(found[0])
    unit = _UNIT.match(text, at, end)
    at = at if unit is None else unit.end()
    mark = "" if unit is None or unit["scale"] else "%" if unit["percent"] else "bps"
    if unit is not None and unit["scale"]:
        power = _SCALES[unit["scale"].lower()]
        scaled = tuple(Value(CONTEXT.scaleb(v, power), CONTEXT.scaleb(s, power)) for v, s in values)
        values = values + scaled if unit["scale"] == "m" else scaled  # 1.2m may be metres or minutes
        rest = _REST.match(text, at, end) if unit["scale"] in "万萬만" else None
        if rest is not None:  # 12万3456
            at, values = rest.end(), tuple(Value(v + Decimal(rest[0]), Decimal(1)) for v, _ in values)
    sign, first = _sign(text, start)
    before, after = text[max(0, start - 2) : start], text[at : at + 2]
    period = before[1:] == "(" and before[0].isalnum() and after[:1] in ("),") and found[0].isdigit()
    name = period or (after[:1] == "-" and after[1:].isalpha())
    bare = unit is None and not (name or _is_letter(after[:1]) or _is_letter(before[-1:]))
    return Numeral(first, at, text[first:at], values, sign, mark, bare, name)


def _sign(text: str, start: int) -> tuple[str, int]:
    """The sign that stands before a number, and where the number begins with it."""
    at = start - 1
    if at >= 0 and text[at] in _CURRENCIES:
        at -= 1
    before = text[at - 1] if at > 0 else " "
    if at < 0 or text[at] not in "+-" or before.isdigit() or _is_letter(before) or before in ")]%.-+":
        return "", start  # none, or a range, a difference, a hyphen
    return text[at], at


def _values(text: str) -> tuple[Value, ...]:
    """The ways to read digits with separators."""
    if _PLAINLY.fullmatch(text):  # most are
        return (_value(text, 0),)
    digits, _, exponent = text.lower().partition("e")
    power = int(exponent or 0)
    *groups, last = re.split(r"\D", digits)
    marks = re.sub(r"\d", "", digits)
    if not marks:
        return (_value(digits, power),)
    found = []
    if len(set(marks)) == 1 and _is_grouped((*groups, last)):
        found.append(_value("".join((*groups, last)), power))
    if marks[-1] in ".," and marks[-1] not in marks[:-1] and len(set(marks[:-1])) <= 1 and _is_grouped(groups):
        found.insert(0 if marks[-1] == "." else len(found), _value(f"{''.join(groups)}.{last}", power))
    return tuple(found)


def _is_grouped(groups: Sequence[str]) -> bool:
    """Whether digits stand in groups of thousands, or as in India of hundreds before the last three."""
    first, *inner = groups
    lengths = [len(group) for group in inner]
    right = lengths in ([3] * len(inner), [2] * (len(inner) - 1) + [3])
    return not inner or (right and len(first) <= 3 and first[0] != "0")  # noqa: PLR2004


def _value(digits: str, power: int) -> Value:
    places = len(digits.partition(".")[2])
    if power == 0 and places < len(_STEPS):
        return Value(Decimal(digits), _STEPS[places])
    return Value(CONTEXT.scaleb(Decimal(digits), power), CONTEXT.scaleb(Decimal(1), power - places))


def _cjk(text: str) -> tuple[Value, ...]:
    """A number in Chinese numerals: 一百二十三, 六十一点三, 二〇二六."""
    whole, _, part = text.replace("點", "点").partition("点")
    if all(c in _CJK_DIGITS for c in whole):
        total = int("".join(str(_CJK_DIGITS[c]) for c in whole))
    else:
        total = section = digit = 0
        for c in whole:
            if c in _CJK_DIGITS:
                digit = _CJK_DIGITS[c]
            elif c in _CJK_TENS:
                section, digit = section + (digit or 1) * _CJK_TENS[c], 0
            else:
                total, section, digit = (total + section + digit) * _CJK_MYRIADS[c], 0, 0
        total += section + digit
    return (_value(f"{total}.{''.join(str(_CJK_DIGITS[c]) for c in part)}" if part else str(total), 0),)
