"""Rules of plausibility over one section's value: fields that contradict each other, or exceed their own range.

Each takes the section's path and its value, and returns the reason, which names fields and values, or None.
"""

from decimal import Decimal
from functools import cache

from pydantic import BaseModel

from llmctx.schema import values

_ROUNDING = Decimal("1e-9")
_NOTIONAL_SHARE, _PNL_SHARE, _PERCENT_POINTS = Decimal("0.01"), Decimal("0.1"), Decimal("0.5")
_RANGES = {"0 to 1": (0, 1), "-1 to 1": (-1, 1), "0 to 100": (0, 100)}
_MAX_FUNDING_RATE = Decimal("0.05")
_MULTIPLIERS = ("multiplier", "contract_size", "contract_multiplier")


def high_below_low(_: str, price: values.Price) -> str | None:
    """Say that the session's high is below its low."""
    high, low = price.price.high, price.price.low
    if high is None or low is None or high >= low:
        return None
    return f"price.price.high {high} is below price.price.low {low}"


def last_outside_session(_: str, price: values.Price) -> str | None:
    """Say that the last price is outside the session, beyond rounding errors."""
    last, high, low = price.price.last, price.price.high, price.price.low
    if low is None or high is None or low * (1 - _ROUNDING) <= last <= high * (1 + _ROUNDING):
        return None
    return f"price.price.last {last} is outside price.price.low {low} to price.price.high {high}"


def negative_volume(_: str, price: values.Price) -> str | None:
    """Say that the volume is negative."""
    volume = price.price.volume
    return f"price.price.volume {volume} is negative" if volume is not None and volume < 0 else None


def inverted_bands(_: str, indicators: values.Indicators) -> str | None:
    """Say that the upper band is below the lower one."""
    upper, lower = indicators.bollinger_upper, indicators.bollinger_lower
    if upper is None or lower is None or upper >= lower:
        return None
    return f"indicators.bollinger_upper {upper} is below indicators.bollinger_lower {lower}"


def outside_range(path: str, value: BaseModel) -> str | None:
    """Say which field is outside the range that the schema gives as its unit."""
    if isinstance(value, values.Monitoring):
        rsi = value.technical_signals.rsi_1m
        number = None if rsi is None else rsi.value
        lowest, highest = _RANGES["0 to 100"]
        inside = number is None or lowest <= number <= highest
        return None if inside else f"{path}.technical_signals.rsi_1m.value {number} is outside 0 to 100"
    if isinstance(value, values.Candidates):
        found = (outside_range(f"{path}[{i}]", item) for i, item in enumerate(value.root))
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


def pnl_against_prices(_: str, position: values.Position) -> str | None:
    """Say that the profit does not follow from the prices; costs may be a share of it."""
    move = _move(position)
    if move is None or position.unrealized_pnl is None:
        return None
    expected = move * position.quantity * (extra(position, _MULTIPLIERS) or 1)
    slack = position.entry_price * position.quantity * _NOTIONAL_SHARE + abs(expected) * _PNL_SHARE
    if abs(position.unrealized_pnl - expected) <= slack:
        return None
    return (
        f"position.unrealized_pnl {position.unrealized_pnl} contradicts {_prices(position)}, which make {expected:.2f}"
    )


def pnl_pct_against_prices(_: str, position: values.Position) -> str | None:
    """Say that the percentage does not follow from the prices, or has another basis than the position says."""
    move, told = _move(position), position.unrealized_pnl_pct
    if move is None or told is None:
        return None
    of_price = move / position.entry_price * 100
    leverage = _leverage(position)
    of_margin = None if leverage is None else of_price * leverage
    on_margin = position.unrealized_pnl_pct_basis == "margin"
    expected, other = (of_margin, of_price) if on_margin else (of_price, of_margin)
    if expected is None or _is_about(told, expected):
        return None
    moved = f"the move from position.entry_price to position.current_price is {of_price:.2f}%"
    if other is not None and _is_about(told, other):
        of, not_of = ("what was paid", "the margin") if on_margin else ("the margin", "what was paid")
        return (
            f"position.unrealized_pnl_pct {told} is in percent of {of} (leverage {leverage}), not of {not_of}: {moved}"
        )
    makes = f"{expected:.2f}% of the margin" if on_margin else f"{expected:.2f}%"
    return f"position.unrealized_pnl_pct {told} contradicts {_prices(position)}, which make {makes}"


def funding_rate_far(_: str, position: values.Position) -> str | None:
    """Say that the funding rate is larger than any exchange allows: it may be a percentage, or a yearly rate."""
    rate = position.funding_rate
    if rate is None or abs(rate) <= _MAX_FUNDING_RATE:
        return None
    return f"position.funding_rate {rate} is {abs(rate) * 100:f}% of the position's value, more than one payment takes"


def _leverage(position: values.Position) -> Decimal | None:
    """The leverage that a position states, or that follows from its margin."""
    if position.leverage is not None or position.margin is None:
        return position.leverage
    return position.entry_price * position.quantity / position.margin


def _prices(position: values.Position) -> str:
    return (
        f"position.entry_price {position.entry_price} and position.current_price {position.current_price} of the "
        f"{position.side} position"
    )


def _move(position: values.Position) -> Decimal | None:
    if position.current_price is None:
        return None
    move = position.current_price - position.entry_price
    return move if position.side == "long" else -move


def _is_about(told: Decimal, expected: Decimal) -> bool:
    return abs(told - expected) <= _PERCENT_POINTS + abs(expected) * _PNL_SHARE


def extra(position: values.Position, names: tuple[str, ...]) -> Decimal | None:
    """The first of these unknown fields that holds a usable number."""
    extra = position.__pydantic_extra__ or {}
    for name in names:
        number = extra.get(name)
        if isinstance(number, int | Decimal) and _ROUNDING < number < 1 / _ROUNDING:
            return Decimal(number)
    return None
