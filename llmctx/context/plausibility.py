"""What is implausible about a section: a table of rules over one package and the marks before it.

An implausible section keeps its status and its facts; prompt and record say what is wrong with it. Rules that put the
newest price in doubt name what confirms it, and until then a breached stop is not obeyed (decision/guards).
docs/plausibility.md shows the table.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from llmctx.context import price_doubt, price_step
from llmctx.context.finding import ConfirmedBy, Finding
from llmctx.context.price_doubt import PriceCase
from llmctx.errors import in_short
from llmctx.schema import values

_ROUNDING = Decimal("1e-9")
_NOTIONAL_SHARE, _PNL_SHARE, _PERCENT_POINTS = Decimal("0.01"), Decimal("0.1"), Decimal("0.5")
_RANGES = {"0 to 1": (0, 1), "-1 to 1": (-1, 1), "0 to 100": (0, 100)}
_MULTIPLIERS = ("multiplier", "contract_size", "contract_multiplier")


def _high_below_low(_: str, price: values.Price) -> str | None:
    high, low = price.price.high, price.price.low
    return f"price.price.high {high} is below price.price.low {low}" if high < low else None


def _last_outside_session(_: str, price: values.Price) -> str | None:
    last, high, low = price.price.last, price.price.high, price.price.low
    if low * (1 - _ROUNDING) <= last <= high * (1 + _ROUNDING):
        return None
    return f"price.price.last {last} is outside price.price.low {low} to price.price.high {high}"


def _negative_volume(_: str, price: values.Price) -> str | None:
    volume = price.price.volume
    return f"price.price.volume {volume} is negative" if volume < 0 else None


def _inverted_bands(_: str, indicators: values.Indicators) -> str | None:
    upper, lower = indicators.bollinger_upper, indicators.bollinger_lower
    if upper is None or lower is None or upper >= lower:
        return None
    return f"indicators.bollinger_upper {upper} is below indicators.bollinger_lower {lower}"


def _outside_range(path: str, value: BaseModel) -> str | None:
    if isinstance(value, values.Monitoring):
        rsi = value.technical_signals.rsi_1m
        number = None if rsi is None else rsi.value
        lowest, highest = _RANGES["0 to 100"]
        inside = number is None or lowest <= number <= highest
        return None if inside else f"{path}.technical_signals.rsi_1m.value {number} is outside 0 to 100"
    if isinstance(value, values.Candidates):
        found = (_outside_range(f"{path}[{i}]", item) for i, item in enumerate(value.root))
        return next(filter(None, found), None)
    own = value.__dict__
    for name, unit, lowest, highest in _ranged_fields(type(value)):
        number = own[name]
        if number is not None and not lowest <= number <= highest:
            return f"{path}.{name} {number} is outside {unit}"
    return None


@cache
def _ranged_fields(model: type[BaseModel]) -> list[tuple[str, str, int, int]]:
    """The fields of a model whose unit is a range: name, unit, lowest and highest value."""
    found = []
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        unit = str(extra.get("unit")) if isinstance(extra, dict) else ""
        if unit in _RANGES:
            found.append((name, unit, *_RANGES[unit]))
    return found


def _pnl_against_prices(_: str, position: values.Position) -> str | None:
    expected = _move(position) * position.quantity * (_extra(position, _MULTIPLIERS) or 1)
    slack = position.entry_price * position.quantity * _NOTIONAL_SHARE + abs(expected) * _PNL_SHARE
    if abs(position.unrealized_pnl - expected) <= slack:
        return None
    return (
        f"position.unrealized_pnl {position.unrealized_pnl} contradicts {_prices(position)}, which make {expected:.2f}"
    )


def _pnl_pct_against_prices(_: str, position: values.Position) -> str | None:
    expected, told = _move(position) / position.entry_price * 100, position.unrealized_pnl_pct
    if _is_about(told, expected):
        return None
    leverage = _extra(position, ("leverage",))
    if leverage is not None and _is_about(told, expected * leverage):
        return (
            f"position.unrealized_pnl_pct {told} is in percent of the margin (leverage {leverage}), not of what was "
            f"paid: the move from position.entry_price to position.current_price is {expected:.2f}%"
        )
    return f"position.unrealized_pnl_pct {told} contradicts {_prices(position)}, which make {expected:.2f}%"


def _prices(position: values.Position) -> str:
    return (
        f"position.entry_price {position.entry_price} and position.current_price {position.current_price} of the "
        f"{position.side} position"
    )


def _move(position: values.Position) -> Decimal:
    move = position.current_price - position.entry_price
    return move if position.side == "long" else -move


def _is_about(told: Decimal, expected: Decimal) -> bool:
    return abs(told - expected) <= _PERCENT_POINTS + abs(expected) * _PNL_SHARE


def _extra(position: values.Position, names: tuple[str, ...]) -> Decimal | None:
    """The first of these unknown fields that holds a usable number."""
    extra = position.__pydantic_extra__ or {}
    for name in names:
        number = extra.get(name)
        if isinstance(number, int | Decimal) and _ROUNDING < number < 1 / _ROUNDING:
            return Decimal(number)
    return None


def _step(rule: str, case: PriceCase) -> str | None:
    return case.broken.reason if case.broken is not None and case.broken.rule == rule else None


def _of_case(find: Callable[[PriceCase], str | None]) -> Callable[[str, PriceCase], str | None]:
    return lambda _, case: find(case)


class Rule(NamedTuple):
    """One rule."""

    name: str
    """Its name."""
    section: str
    """The section it is about."""
    says: str
    """What is implausible."""
    find: Callable[[Any, Any], str | None]
    """Returns the reason, or None: of the section's path and value, or of the rule's name and the PriceCase."""
    confirmed_by: ConfirmedBy = ConfirmedBy.NOT_NEEDED
    """What confirms the price, if the rule puts it in doubt."""


VALUE_RULES = (
    Rule("high_below_low", "price", "high is below low", _high_below_low),
    Rule("last_outside_session", "price", "last is outside low to high", _last_outside_session),
    Rule("negative_volume", "price", "volume is below 0", _negative_volume),
    Rule("inverted_bands", "indicators", "bollinger_upper is below bollinger_lower", _inverted_bands),
    *(
        Rule("outside_range", section, f"{fields} is outside its range", _outside_range)
        for section, fields in (
            ("indicators", "rsi_14"),
            ("monitoring", "rsi_1m"),
            ("sentiment", "sentiment_score"),
            ("signals", "confidence"),
            ("candidates", "a score"),
            ("performance", "win_rate"),
        )
    ),
    Rule("pnl_against_prices", "position", "unrealized_pnl contradicts the prices", _pnl_against_prices),
    Rule("pnl_pct_against_prices", "position", "unrealized_pnl_pct contradicts the prices", _pnl_pct_against_prices),
)
"""The rules over one value."""

CASE_RULES = (
    Rule("current_price_far", "position", "current_price is far from last", _of_case(price_doubt.current_price_far)),
    Rule(
        "frozen",
        "price",
        "the same figures under 5 timestamps in a row while the market is open",
        _of_case(price_doubt.frozen),
    ),
    Rule(
        price_doubt.TOO_OLD,
        "price",
        "older than 10 times its limit",
        _of_case(price_doubt.too_old),
        ConfirmedBy.NEWER,
    ),
    Rule(
        price_step.JUMP,
        "price",
        "further from the price before it than is believed in that time",
        _step,
        ConfirmedBy.LATER,
    ),
    Rule(
        price_step.UNIT_OR_SPLIT,
        "price",
        "a ratio of 3:2, or of a whole number from 2 to 100, to the price before it, to a stop that it reaches or to "
        "the entry",
        _step,
        ConfirmedBy.PERSON,
    ),
    Rule(
        price_step.BAD_PRINT,
        "price",
        "a factor above 4, and no such ratio, to the price before it or to a stop that it reaches",
        _step,
        ConfirmedBy.PERSON,
    ),
)
"""The rules over the price, the position and the marks."""


@cache
def _rules_of(section: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in VALUE_RULES if rule.section == section.partition(".")[0])


def findings_of_value(section: str, path: str, value: BaseModel) -> tuple[Finding, ...]:
    """What is implausible about a section's value alone."""
    return tuple(_findings(_rules_of(section), path, value))


def findings_of_case(section: str, case: PriceCase) -> tuple[Finding, ...]:
    """What is implausible about the price or the position, held against each other and the marks."""
    return tuple(_findings((rule for rule in CASE_RULES if rule.section == section), None, case))


def _findings(rules: Any, path: str | None, subject: Any) -> Iterator[Finding]:
    for rule in rules:
        try:
            reason = rule.find(rule.name if path is None else path, subject)
        except Exception as error:  # noqa: BLE001  a rule that breaks off must cost neither the tick nor a stop
            yield Finding(rule.name, f"the rule broke off ({in_short(error)})")
        else:
            if reason is not None:
                yield Finding(rule.name, reason, rule.confirmed_by)
