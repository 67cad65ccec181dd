"""A simulated market: bars, headlines and a sector map, reproducible from a seed.

Eight symbols in four sectors move with the market, with their sector, and on their own. Days alternate: the first
trends, the second chops around its open, and so on. On each trending day one symbol is halted and resumes lower, and
news moves another one up or down within minutes; each choppy day begins with a gap.
"""

import math
import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.flow.bars import CENT, Bar
from llmctx.flow.exchange import Exchange
from llmctx.flow.news import headline_of
from llmctx.flow.timeline import Item, by_stamp, in_order

FIRST_DAY = date(2026, 3, 2)
"""The first simulated day, a Monday; days follow the calendar of XNYS."""
SECTORS = {
    "ACME": "technology", "BOLT": "technology", "CRUX": "energy", "DUNE": "energy",
    "ELMS": "healthcare", "FERN": "healthcare", "GILT": "financials", "HARP": "financials",
}  # fmt: skip
"""The simulated symbols and their sectors."""
HALTED, SHOCKED, GAPPING = "CRUX", "ELMS", "DUNE"
"""The symbol that is halted, the one in the news, and the one that opens with a gap."""

_PRICES = {
    "ACME": 84.0, "BOLT": 142.0, "CRUX": 37.5, "DUNE": 256.0, "ELMS": 61.0, "FERN": 18.4, "GILT": 97.0, "HARP": 45.2,
}  # fmt: skip
_BETAS = {
    "ACME": 1.3, "BOLT": 1.1, "CRUX": 0.8, "DUNE": 0.9, "ELMS": 0.6, "FERN": 0.7, "GILT": 1.0, "HARP": 1.0,
}  # fmt: skip
_MINUTE = timedelta(minutes=1)
_MINUTES_PER_DAY = 390
_SOURCES = ("Simulated Wire", "Example Post", "Market Desk")
_HEADLINES = (
    "{} wins a large contract and raises its outlook",
    "Analysts praise the strong quarter of {}",
    "{} opens a new plant",
    "{} names a new head of operations",
    "What to expect from {} this week",
    "{} warns of weak demand and rising costs",
    "Lawsuit against {} worries investors",
)


class SimulatedMarket(NamedTuple):
    """Simulated data."""

    bars: list[Bar]
    """One-minute bars in time order, then by symbol."""
    news: list[dict[str, Any]]
    """Headlines in time order, as the JSON objects of a news file."""
    sectors: dict[str, str]
    """Symbol to sector."""

    def items(self) -> Iterator[Item]:
        """Bars and headlines in the order in which they become known."""
        headlines = [headline_of(line, number) for number, line in enumerate(self.news, start=1)]
        return in_order(by_stamp(self.bars, headlines), _MINUTE)


def simulate(*, seed: int, days: int = 2, minutes: int = _MINUTES_PER_DAY) -> SimulatedMarket:
    """Simulate the first `minutes` of each of `days` trading days."""
    source = random.Random(seed)  # noqa: S311  reproducible, not a secret
    bars: list[Bar] = []
    news: list[dict[str, Any]] = []
    prices = dict(_PRICES)
    for number, opening in enumerate(_openings(days)):
        day = _Day(source, opening, minutes, trends=number % 2 == 0)
        news += day.headlines()
        if number > 0:
            prices = day.overnight(prices)
        bars += day.bars(prices)
    news.sort(key=lambda line: (line["timestamp"], line["symbol"]))
    return SimulatedMarket(bars=bars, news=news, sectors=dict(SECTORS))


def _openings(days: int) -> Iterator[datetime]:
    exchange, day = Exchange("XNYS"), FIRST_DAY
    while days > 0:
        session = exchange.session(day)
        if session is not None:
            yield session.opens
            days -= 1
        day += timedelta(days=1)


class _Day:
    """One simulated day."""

    def __init__(self, source: random.Random, opening: datetime, minutes: int, *, trends: bool) -> None:
        self._source = source
        self._opening = opening
        self._minutes = minutes
        self._trends = trends
        self._shock = source.choice((1, -1))
        self._shock_at = round(minutes * 0.55)
        self._halt = range(round(minutes * 0.62), round(minutes * 0.75))
        self._gap = source.choice((1, -1)) * source.uniform(0.03, 0.05)
        # a short day moves as much as a full one, so that something happens in it
        self._scale = math.sqrt(_MINUTES_PER_DAY / minutes)

    def overnight(self, prices: dict[str, float]) -> dict[str, float]:
        """Prices after an overnight move."""
        moved = {symbol: price * math.exp(self._source.gauss(0, 0.003)) for symbol, price in prices.items()}
        return moved if self._trends else moved | {GAPPING: prices[GAPPING] * (1 + self._gap)}

    def bars(self, prices: dict[str, float]) -> Iterator[Bar]:
        """Yield the day's bars; `prices` holds the previous prices, and is updated bar by bar."""
        opens = dict(prices)
        for minute in range(self._minutes):
            market = self._source.gauss(self._drift(), 0.0005 * self._scale)
            sectors = {name: self._source.gauss(0, 0.0003 * self._scale) for name in sorted(set(SECTORS.values()))}
            for symbol, sector in SECTORS.items():
                move = _BETAS[symbol] * market + sectors[sector] + self._source.gauss(0, 0.0005 * self._scale)
                if not self._trends:
                    move += 0.04 * (opens[symbol] / prices[symbol] - 1)
                move += self._event(symbol, minute)
                before, wobble = prices[symbol], abs(self._source.gauss(0, 0.0004 * self._scale))
                volume = self._volume(minute, move)
                prices[symbol] = before * math.exp(move)
                if not self._is_halted(symbol, minute):
                    yield _bar(self._opening + minute * _MINUTE, symbol, before, prices[symbol], wobble, volume)

    def _drift(self) -> float:
        return 0.006 / _MINUTES_PER_DAY * self._scale**2 if self._trends else 0.0

    def _event(self, symbol: str, minute: int) -> float:
        if not self._trends:
            return 0.0
        if symbol == SHOCKED and self._shock_at <= minute < self._shock_at + 3:
            return self._shock * 0.014
        if symbol == HALTED and minute == self._halt.stop - 1:
            return -0.03
        return 0.0

    def _is_halted(self, symbol: str, minute: int) -> bool:
        return self._trends and symbol == HALTED and minute in self._halt

    def _volume(self, minute: int, move: float) -> int:
        """Volume: higher at both ends of the day, and with large moves."""
        progress = minute / self._minutes
        shape = 1 + 1.5 * (2 * progress - 1) ** 2
        return round(12_000 * shape * math.exp(self._source.gauss(0, 0.35)) * (1 + 250 * abs(move)))

    def headlines(self) -> list[dict[str, Any]]:
        """The day's headlines, some of them from the previous evening."""
        lines = []
        for symbol in SECTORS:
            for _ in range(self._source.choice((0, 1, 1, 2))):
                text = self._source.choice(_HEADLINES)
                seconds = self._source.randrange(-12 * 3600, self._minutes * 60)
                lines.append(self._line(seconds, symbol, text.format(symbol)))
        if self._trends:
            good = f"{SHOCKED} surges: regulator approves its best drug, a great success"
            bad = f"{SHOCKED} plunges: regulator rejects its main drug, a terrible failure"
            back = f"{HALTED} admits a serious accident, trading resumes"
            lines.append(self._line(self._shock_at * 60 + 5, SHOCKED, good if self._shock > 0 else bad))
            lines.append(self._line(self._halt.start * 60 + 2, HALTED, f"Trading in {HALTED} halted, news pending"))
            lines.append(self._line(self._halt.stop * 60 - 20, HALTED, back))
        else:
            word = (
                "beats every forecast with excellent results" if self._gap > 0 else "misses badly and cuts its outlook"
            )
            lines.append(self._line(-2 * 3600, GAPPING, f"{GAPPING} {word} before the opening"))
        return lines

    def _line(self, seconds: int, symbol: str, headline: str) -> dict[str, Any]:
        at = clock.iso_of(self._opening + timedelta(seconds=seconds))
        number = self._source.randrange(10**8)
        return {
            "timestamp": at,
            "symbol": symbol,
            "headline": headline,
            "source": self._source.choice(_SOURCES),
            "url": f"https://example.com/{symbol.lower()}/{number:08}",
        }


def _bar(start: datetime, symbol: str, before: float, after: float, wobble: float, volume: int) -> Bar:
    return Bar(
        start=start,
        symbol=symbol,
        open=_cents(before),
        high=_cents(max(before, after) * (1 + wobble)),
        low=_cents(min(before, after) * (1 - wobble)),
        close=_cents(after),
        volume=Decimal(volume),
    )


def _cents(price: float) -> Decimal:
    return Decimal(price).quantize(CENT)
