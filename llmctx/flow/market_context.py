"""The market as far as the feed covers it: sectors, breadth and regime. Pure.

A sector's performance is the mean change of the day of its symbols, in percent. The regime depends on the mean change
of all symbols and on the share of them that advance:

| regime | mean change | advancing |
|---|---|---|
| bullish_trend | 0.5% or more | 60% or more |
| bullish_consolidation | above 0.1% | |
| bearish_trend | -0.5% or less | 40% or less |
| bearish_consolidation | below -0.1% | |
| neutral | everything else | |
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from llmctx.flow.bars import PERCENT_STEP

UNCLASSIFIED = "unclassified"
"""The sector of a symbol that is missing from the sector map."""
_MIN_TREND_PCT, _MAX_NEUTRAL_PCT = Decimal("0.5"), Decimal("0.1")
_MIN_BULLISH_SHARE, _MAX_BEARISH_SHARE = Decimal("0.6"), Decimal("0.4")


class MarketContext:
    """The day's change of each symbol."""

    def __init__(self, sectors: Mapping[str, str] | None = None, vix: Decimal | None = None) -> None:
        self._sectors = sectors or {}
        self.vix = vix
        """The volatility index; None if unknown."""
        self._date: date | None = None
        self._changes: dict[str, Decimal] = {}
        self._sums: dict[str, tuple[Decimal, int]] = {}

    def update(self, day: date, symbol: str, change_pct: Decimal) -> None:
        """Set a symbol's change of the day, in percent; a new day discards the previous one."""
        if day != self._date:
            self._date, self._changes, self._sums = day, {}, {}
        sector = self._sectors.get(symbol, UNCLASSIFIED)
        total, count = self._sums.get(sector, (Decimal(0), 0))
        if symbol not in self._changes:
            count += 1
        total += change_pct - self._changes.get(symbol, Decimal(0))
        self._sums[sector] = total, count
        self._changes[symbol] = change_pct

    def value(self) -> dict[str, Any]:
        """context:market without its timestamp."""
        counts: dict[str, int] = defaultdict(int)
        for change in self._changes.values():
            counts["advancing" if change > 0 else "declining" if change < 0 else "unchanged"] += 1
        return {
            "sector_performance": {
                sector: (total / count).quantize(PERCENT_STEP) for sector, (total, count) in sorted(self._sums.items())
            },
            "market_breadth": {name: counts[name] for name in ("advancing", "declining", "unchanged")},
            "vix": self.vix,
            "market_regime": self._regime(counts["advancing"]),
        }

    def _regime(self, advancing: int) -> str | None:
        if not self._changes:
            return None
        count = len(self._changes)
        mean = sum((total for total, _ in self._sums.values()), Decimal(0)) / count
        share = Decimal(advancing) / count
        if mean >= _MIN_TREND_PCT and share >= _MIN_BULLISH_SHARE:
            return "bullish_trend"
        if mean <= -_MIN_TREND_PCT and share <= _MAX_BEARISH_SHARE:
            return "bearish_trend"
        if abs(mean) <= _MAX_NEUTRAL_PCT:
            return "neutral"
        return "bullish_consolidation" if mean > 0 else "bearish_consolidation"
