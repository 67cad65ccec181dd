"""The meaning of a citation: the value of a path or an expression, computed independently of the code under test."""

import ast
from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from functools import cache
from typing import Any, NamedTuple

from llmctx.context.package import Package

CITATIONS = {
    "last": "price.price.last", "open": "price.price.open", "high": "price.price.high", "low": "price.price.low",
    "vol": "price.price.volume", "entry": "position.entry_price", "stop": "position.stop_loss",
    "target": "position.take_profit", "qty": "position.quantity", "pnl": "position.unrealized_pnl",
    "pnlpct": "position.unrealized_pnl_pct", "rsi": "indicators.rsi_14", "macd": "indicators.macd",
    "bbup": "indicators.bollinger_upper", "bblo": "indicators.bollinger_lower", "sent": "sentiment.sentiment_score",
    "news": "sentiment.news_count", "score": "candidates[0].score", "tech": "market.sector_performance.technology",
    "staples": 'market.sector_performance["consumer-staples"]', "adv": "market.market_breadth.advancing",
    "dec": "market.market_breadth.declining", "sigconf": "signals.entry.confidence",
    "npos": "system.active_positions_count", "dailypct": "performance.daily_pnl_pct",
    "winrate": "performance.win_rate", "level": "monitoring.technical_signals.support_resistance.next_level",
    "tdist": "monitoring.profit_target.distance", "sdist": "monitoring.stop_loss.distance",
    "held": "monitoring.time_in_trade", "astop": "answer.stop_loss", "aqty": "answer.quantity",
    "atarget": "answer.take_profit", "avgloss": "performance.avg_loss", "head": "sentiment.latest_news[0].headline",
    "d_stop": "price.price.last - position.stop_loss", "d_target": "position.take_profit - price.price.last",
    "p_stop": "abs(price.price.last / position.stop_loss - 1)", "r_stop": "price.price.last / position.stop_loss - 1",
    "r_entry": "price.price.last / position.entry_price - 1",
    "mvpct": "(price.price.last / price.price.open - 1) * 100",
    "rr": "abs(position.take_profit - price.price.last) / abs(price.price.last - position.stop_loss)",
    "worth": "position.quantity * price.price.last",
    "risk": "position.quantity * abs(price.price.last - position.stop_loss)",
    "rangepos": "(price.price.last - price.price.low) / (price.price.high - price.price.low)",
    "mid": "(price.price.high + price.price.low) / 2", "hist": "indicators.macd - indicators.macd_signal",
    "half": "position.quantity / 2",
    "advshare": "market.market_breadth.advancing / (market.market_breadth.advancing + market.market_breadth.declining)",
    "p_astop": "abs(answer.stop_loss / price.price.last - 1)",
}  # fmt: skip
"""Slot name to the citation that a model would put after the number."""
PRICES = frozenset(
    {"last", "open", "high", "low", "entry", "stop", "target", "bbup", "bblo", "level", "astop", "atarget", "mid"}
    | {"d_stop", "d_target"}
)  # fmt: skip
"""Slots whose usual number of places depends on the size of the price."""
_CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)
_MISREADINGS = tuple(map(Decimal, ("1", "100", "0.01", "1000", "0.001")))
"""Factors by which a lenient reader may be off: a percentage read as a ratio, a point as a separator of thousands."""

Roots = Mapping[str, Any]


class CitationError(Exception):
    """A citation that has no value: unknown path, null, text in arithmetic or division by zero."""


class Known(NamedTuple):
    """The citable values of an answer."""

    package: Package
    roots: Roots
    """Section name (its first part where it has two) to plain JSON values; numbers are Decimal."""

    def value(self, citation: str) -> Decimal | str:
        """The number or the text that a citation stands for; raises CitationError where it has none."""
        got = _evaluate(_parsed(citation), self.roots)
        if isinstance(got, bool) or not isinstance(got, int | Decimal | str):
            raise CitationError(f"{citation} is {got!r}")
        return Decimal(got) if isinstance(got, int) else got


def sections_of(package: Package) -> Roots:
    """The values of a package's usable sections, as a citation names them."""
    roots: dict[str, Any] = {}
    for name, section in package.sections.items():
        first, _, second = name.partition(".")
        value = None if section.value is None else section.value.model_dump()
        if second:
            roots.setdefault(first, {})[second] = value
        else:
            roots[first] = value
    return roots


@cache
def _parsed(citation: str) -> ast.expr:
    return ast.parse(citation, mode="eval").body


def _evaluate(node: ast.expr, roots: Roots) -> Any:
    match node:
        case ast.Constant(value=int() | float() as literal):
            return Decimal(str(literal))
        case ast.Name(id=name):
            return _step(roots, name)
        case ast.Attribute(value=inner, attr=name):
            return _step(_evaluate(inner, roots), name)
        case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
            return _step(_evaluate(inner, roots), key)
        case ast.Call(args=[inner]):
            return _CONTEXT.abs(_number(_evaluate(inner, roots)))
        case ast.BinOp(left=left, op=operator, right=right):
            return _combine(operator, _number(_evaluate(left, roots)), _number(_evaluate(right, roots)))
    raise CitationError(ast.dump(node))


def _step(value: Any, key: Any) -> Any:
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        raise CitationError(f"nothing at {key!r}") from None


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise CitationError(f"{value!r} in arithmetic")
    return Decimal(value)


def _combine(operator: ast.operator, left: Decimal, right: Decimal) -> Decimal:
    if isinstance(operator, ast.Add):
        return _CONTEXT.add(left, right)
    if isinstance(operator, ast.Sub):
        return _CONTEXT.subtract(left, right)
    if isinstance(operator, ast.Mult):
        return _CONTEXT.multiply(left, right)
    if not right:
        raise CitationError("division by zero")
    return _CONTEXT.divide(left, right)


def kind_of(citation: str) -> str:
    """How a citation relates to %: ratio (computed), percent, share or plain."""
    if "/" in citation:
        return "ratio"
    if citation.endswith("_pct") or citation.startswith("market.sector_performance"):
        return "percent"
    is_share = citation.endswith((".confidence", ".win_rate")) or citation.startswith("candidates[")
    return "share" if is_share else "plain"


def rounded(value: Decimal, places: int, *, cut: bool) -> Decimal:
    """A value at the places in which it is written; negative places are zeros before the point."""
    return value.quantize(Decimal(1).scaleb(-places), ROUND_DOWN if cut else ROUND_HALF_EVEN, _CONTEXT)


def is_off(number: Decimal, places: int, value: Decimal) -> bool:
    """Whether a number is not the value under any way of rounding, or with a lenient reading of its unit."""
    for factor in _MISREADINGS:
        for rounding in (ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP):
            near = (abs(value) * factor).quantize(Decimal(1).scaleb(-places), rounding, Context(prec=60))
            if near == abs(number):
                return False
    return True
