"""A figure: the digits of a number as they are written, in one of the ways in which people write them."""

import re

FIGURE = (
    r"(?:\d+(?:\.\d+)?(?!\d|[.,'\u2019\u202f\u00a0 ]\d|[eE][-\d])"
    r"|\d{1,3}(?:[,'\u2019\u202f\u00a0]\d{3})+(?:\.\d+)?(?![\d])"
    r"|(?<!\d[ ])\d{1,3}(?:[ ]\d{3})+(?![\d,]|[.:/%]\d|[ ]\d)"
    r"|\d{1,3}(?:\.\d{3}){2,}(?!\d)|(?:\d+,\d\d|\d{2,},\d|\d,\d(?=[ ]?%))(?![\d]|[,.:/-]\d)"
    r"|\d+(?:\.\d+)?(?:[eE]-?\d\d?(?!\w))?|\.\d+)"
)
"""Plain digits, thousands apart (1,204 1'204 1 204 1.204.332), a comma before decimals (141,95), a power (2.7e-2)."""
_THOUSANDS = re.compile(r"(?<=\d)[,'\u2019\u202f\u00a0 ](?=\d{3}(?!\d))")
_POINTED = re.compile(r"\d{1,3}(?:\.\d{3}){2,}")


def plain(figure: str) -> str:
    """The same digits with nothing but a point before the decimals."""
    try:
        float(figure)
    except ValueError:
        pass
    else:
        return figure
    if _POINTED.fullmatch(figure):
        return figure.replace(".", "")
    return _THOUSANDS.sub("", figure).replace(",", ".")


def read(figure: str) -> tuple[float, int]:
    """Its value, and how many digits stand behind the point."""
    whole, _, rest = figure.partition(".")
    if whole.isdecimal() and (rest.isdecimal() or not rest):
        return float(figure), len(rest)
    return float_of(figure), decimals_of(figure)


def decimals_of(figure: str) -> int:
    """How many digits stand behind the point, a power counted in."""
    digits, _, power = plain(figure).lower().partition("e")
    return len(digits.partition(".")[2]) - int(power or 0)


def float_of(figure: str) -> float:
    """Its value."""
    try:
        return float(figure)
    except ValueError:
        return float(plain(figure))
