"""Numbers that are spelled out: "sixty-one percent", "twelve shares", "forty-two point five"."""

import re

_UNITS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * number for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_SCALES = ("hundred", "thousand", "million")
_WORDS = "|".join(sorted([*_UNITS, *_TENS, *_SCALES], key=len, reverse=True))
SPELLED_WORDS = frozenset([*_UNITS, *_TENS])
"""A text with none of these has no number that is spelled out."""
_SPELLED = re.compile(
    rf"\b(?:{_WORDS})(?:(?:[- ]|[ ]and[ ])(?:{_WORDS}))*(?:[ ]point(?:[ ](?:{_WORDS}))+)?\b"
    r"(?=(?P<unit>[ ](?:percent|per cent|basis points?|points?|dollars?|cents|shares?|headlines?|articles?|stories|"
    r"positions?|winners?|losers?|wins|losses|trades|symbols)\b)?)",
    re.IGNORECASE,
)
_LARGE = 13


def in_digits(text: str) -> str:
    """The text with its spelled-out numbers in digits, each as long as it was; small ones only where they count."""
    return _SPELLED.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    words = re.split(r"[- ]", found[0].lower())
    if words[0] in _SCALES:
        return found[0]  # 2.5 million: the digits before it say how many
    if "point" in words:
        whole, decimals = words[: words.index("point")], words[words.index("point") + 1 :]
        digits = f"{_value(whole)}." + "".join(str(_UNITS.get(word, "")) for word in decimals)
    else:
        value = _value(words)
        if value < _LARGE and (found["unit"] is None or value < 2):  # noqa: PLR2004  "one" is an article too
            return found[0]
        digits = str(value)
    return digits.rjust(len(found[0]))


def _value(words: list[str]) -> int:
    total = part = 0
    for word in words:
        if word == "hundred":
            part = max(part, 1) * 100
        elif word in ("thousand", "million"):
            total += max(part, 1) * (1000 if word == "thousand" else 1_000_000)
            part = 0
        elif word != "and":
            part += _UNITS.get(word, 0) + _TENS.get(word, 0)
    return total + part
