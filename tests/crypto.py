"""Simulated minutes of coins that trade without a pause, and the funding rates of their perpetuals."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from llmctx.flow.bars import Bar
from llmctx.flow.funding import FundingRate
from llmctx.flow.timeline import Item, by_stamp, in_order

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
COINS = {"BTCUSDT": ("92500", "0.1"), "ETHUSDT": ("3150", "0.01"), "SOLUSDT": ("141.2", "0.001")}
"""Symbol -> first price and price step."""
_CALM, _WILD = 0.0006, 0.0022
_WILD_SHARE = 0.08


def crypto_minutes(seed: int, minutes: int, symbols: tuple[str, ...] = tuple(COINS)) -> list[Bar]:
    """Bars of each minute from Monday on; quiet hours and wild ones take turns, and a few minutes are missing."""
    source = random.Random(seed)
    closes = {symbol: float(COINS[symbol][0]) for symbol in symbols}
    bars: list[Bar] = []
    wild = dict.fromkeys(symbols, 0)
    for minute in range(minutes):
        for symbol in symbols:
            wild[symbol] = max(0, wild[symbol] - 1) or (source.random() < _WILD_SHARE / 60) * source.randrange(20, 90)
            size = _WILD if wild[symbol] else _CALM
            before, move = closes[symbol], source.gauss(0, size)
            closes[symbol] = before * math.exp(move)
            wick = abs(source.gauss(0, size / 2))
            volume = round(40 * math.exp(source.gauss(0, 0.5)) * (1 + 400 * abs(move)), 4)
            if source.random() > 0.001:
                bars.append(_bar(symbol, minute, before, closes[symbol], wick, volume))
    return bars


def _bar(symbol: str, minute: int, before: float, after: float, wick: float, volume: float) -> Bar:
    step = Decimal(COINS[symbol][1])
    prices = (before, max(before, after) * (1 + wick), min(before, after) * (1 - wick), after)
    first, high, low, last = (Decimal(price).quantize(step, ROUND_HALF_EVEN) for price in prices)
    return Bar(MONDAY + minute * MINUTE, symbol, first, high, low, last, Decimal(str(volume)))


def funding_rates(seed: int, bars: list[Bar], hours: int = 8) -> Iterator[FundingRate]:
    """A rate of each symbol every few hours, every other one with a mark price beside the last one."""
    source = random.Random(seed)
    symbols = sorted({bar.symbol for bar in bars})
    closes = {(bar.symbol, bar.start + MINUTE): bar.close for bar in bars}
    at, end = MONDAY + timedelta(hours=hours), max(bar.start for bar in bars)
    while at <= end:
        for symbol in symbols:
            rate = Decimal(round(source.gauss(0.8, 1.5), 2)).scaleb(-4).quantize(Decimal("1e-6"))
            close = closes.get((symbol, at))
            marked = None if close is None or source.random() < 0.5 else close * Decimal("1.0002")
            yield FundingRate(at, symbol, rate, marked)
        at += timedelta(hours=hours)


def crypto_items(seed: int, minutes: int, symbols: tuple[str, ...] = tuple(COINS), hours: int = 8) -> list[Item]:
    """Bars and funding rates of every few hours, in the order in which they become known."""
    bars = crypto_minutes(seed, minutes, symbols)
    return list(in_order(by_stamp(bars, funding_rates(seed, bars, hours)), MINUTE))
