"""Builders for bars, tracks, positions and trades."""

import math
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from llmctx import clock
from llmctx.flow.bars import Bar, rounded_price
from llmctx.flow.indicators import IndicatorSet
from llmctx.flow.track import Track
from llmctx.flow.trades import Trade
from llmctx.schema.values import Position

MINUTE = timedelta(minutes=1)
OPENING = datetime(2014, 6, 6, 13, 30, tzinfo=UTC)
NEXT_DAY = OPENING + timedelta(days=3)


def bar(at: int | datetime = 0, close: str | int | Decimal = "100", *, symbol: str = "AAPL", **changes: str) -> Bar:
    """A bar of one price, with changes; `at` is its start, or its minute after the opening."""
    start = OPENING + at * MINUTE if isinstance(at, int) else at
    numbers = {"open": close, "high": close, "low": close, "close": close, "volume": "100"} | changes
    return Bar(start, symbol, *(Decimal(number) for number in numbers.values()))


def track(*bars: Bar, interval: timedelta = MINUTE) -> Track:
    """The track of these bars."""
    made = Track(interval)
    for one in bars:
        made.add(one)
    return made


def position(side: str = "long", **changes: Any) -> Position:
    """Ten shares bought (or sold short) at 100 at the opening, stop and target ten away, with changes."""
    way = 10 if side == "long" else -10
    fields = {
        "symbol": "AAPL",
        "entry_price": Decimal(100),
        "current_price": Decimal(100),
        "quantity": Decimal(10),
        "side": side,
        "entry_time": OPENING,
        "unrealized_pnl": Decimal(0),
        "unrealized_pnl_pct": Decimal(0),
        "stop_loss": Decimal(100 - way),
        "take_profit": Decimal(100 + way),
        "last_update": OPENING,
    }
    return Position.model_validate(fields | changes)


def trade_of(quantity: Decimal, basis: Decimal, **changes: Any) -> Trade:
    """A trade of the position above with this quantity and basis, with changes."""
    price = rounded_price(basis / quantity)
    made = Trade(entry_time=clock.iso_of(OPENING), entry_price=price, quantity=quantity, basis=basis)
    return made._replace(**changes)


def warm(start: datetime = OPENING, level: int = 640) -> list[Bar]:
    """Forty bars that move a little."""
    return [bar(start + at * MINUTE, str(level + at % 5)) for at in range(40)]


def indicators_of(*closes: Decimal | str) -> dict[str, Decimal | None]:
    indicators = IndicatorSet()
    for close in closes:
        indicators.add(Decimal(close))
    return indicators.values()


def random_walk(count: int, seed: int = 1) -> list[Decimal]:
    source, close = random.Random(seed), 100.0
    closes = []
    for _ in range(count):
        close *= math.exp(source.gauss(0, 0.002))
        closes.append(round(Decimal(close), 2))
    return closes
