"""A simulated session: one-minute bars from a seeded random walk, worth looking at and the same for every seed.

One symbol trends up, one trends down, one swings around its price, and one breaks down in the second half.
"""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from llmctx.flow.bars import Bar

OPENING = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
"""When the simulated session opens."""

_SYMBOLS = {"ACME": 84.0, "BOLT": 142.0, "CRUX": 37.5, "DUNE": 256.0}
_CENT = Decimal("0.01")


def simulate(*, seed: int, minutes: int) -> Iterator[Bar]:
    """One-minute bars of four symbols in time order, then by symbol."""
    source = random.Random(seed)  # noqa: S311  repeatable, no secret
    prices = dict(_SYMBOLS)
    for minute in range(minutes):
        for symbol, opening in _SYMBOLS.items():
            before = prices[symbol]
            drift, noise = _mood(symbol, minute / minutes, before / opening)
            closes = before * math.exp(drift + source.gauss(0, noise))
            spread = abs(source.gauss(0, noise / 2))
            high, low = max(before, closes) * (1 + spread), min(before, closes) * (1 - spread)
            volume = round(20_000 * math.exp(source.gauss(0, 0.4)) * (1 + 200 * abs(closes / before - 1)))
            prices[symbol] = closes
            yield Bar(
                OPENING + timedelta(minutes=minute),
                symbol,
                _cents(before),
                _cents(high),
                _cents(low),
                _cents(closes),
                Decimal(volume),
            )


def _mood(symbol: str, progress: float, level: float) -> tuple[float, float]:
    """Drift and noise of the next minute's log return."""
    match symbol:
        case "ACME":
            return 0.0004, 0.0008
        case "BOLT":
            return -0.0003, 0.0009
        case "CRUX":
            return 0.02 * (1 - level), 0.0012
        case _:
            return (-0.0018, 0.0015) if 0.6 < progress < 0.8 else (0.0002, 0.0007)  # noqa: PLR2004


def _cents(price: float) -> Decimal:
    return Decimal(price).quantize(_CENT)
