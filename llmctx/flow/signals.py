"""Entry and exit signals of one symbol, from its track. Pure.

Entry, checked at the end of each bar that has twenty bars before it; every rule has a mirror image for the short side:

| reason (long, short) | condition | confidence |
|---|---|---|
| breakout, breakdown | the close is beyond every high (low) of the twenty before | 0.60 + 0.05 (volume - 1) |
| volume_surge, volume_surge_down | the volume is 3 or more and the bar rose (fell) | 0.55 + 0.05 (volume - 3) |
| support_bounce, resistance_rejection | the bar came within 0.1% of a level and turned away | 0.60 |
| macd_cross, macd_cross_down | MACD crossed its signal line upwards (downwards) | 0.55 |

Volume is a multiple of the mean of the twenty bars before (1 if nothing is traded, as with an index). Confidence is
never below its first number or above 0.95.

Exit, while a position is open:

| reason | condition | confidence |
|---|---|---|
| target_reached, stop_hit | the paper broker closed the position there | 1.00 |
| rsi_extreme | RSI is at 80 or above for a long, 20 or below for a short position | 0.60 |
| momentum_lost | MACD crossed its signal line against the position | 0.55 |
"""

from collections.abc import Collection
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.flow.bars import Bar
from llmctx.flow.levels import Levels
from llmctx.flow.track import WINDOW, Track

_SURGE_MULTIPLE = 3
_LEVEL_TOLERANCE = Decimal("0.001")
_RSI_HIGH, _RSI_LOW = 80, 20
_MAX_CONFIDENCE = Decimal("0.95")
_CONFIDENCE_STEP = Decimal("0.01")


class TradeSignal(NamedTuple):
    """One reason to enter or exit."""

    reason: str
    """Its name in the tables above."""
    side: str
    """long or short."""
    confidence: Decimal
    """From 0 to 1."""


def entries(track: Track) -> list[TradeSignal]:
    """The entry signals of the newest bar, highest confidence first."""
    bar, window = track.last, track.window
    if bar is None or len(window) < WINDOW:
        return []
    relative = track.relative_volume
    volume = Decimal(1) if relative is None else relative
    found = [*_breakout(window, bar, volume), *_surge(bar, volume), *_bounce(track.levels, bar), *_cross(track)]
    return sorted(found, key=lambda signal: -signal.confidence)


def exits(track: Track, side: str) -> list[TradeSignal]:
    """The exit signals for a position on a side, highest confidence first."""
    found = []
    rsi = track.now.get("rsi_14")
    if rsi is not None and (rsi >= _RSI_HIGH if side == "long" else rsi <= _RSI_LOW):
        found.append(TradeSignal("rsi_extreme", side, Decimal("0.60")))
    if any(crossing.side != side for crossing in _cross(track)):
        found.append(TradeSignal("momentum_lost", side, Decimal("0.55")))
    return found


def signal_value(signal: TradeSignal, price: Decimal, track: Track) -> dict[str, Any]:
    """signals:{signal_type}:{symbol} without its timestamp."""
    return {
        "reason": signal.reason,
        "price": price,
        "indicators": {"macd": track.now.get("macd"), "rsi": track.now.get("rsi_14")},
        "confidence": signal.confidence,
    }


def _breakout(window: Collection[Bar], bar: Bar, volume: Decimal) -> list[TradeSignal]:
    confidence = _confidence("0.60", (volume - 1) * Decimal("0.05"))
    if bar.close > max(before.high for before in window):
        return [TradeSignal("breakout", "long", confidence)]
    if bar.close < min(before.low for before in window):
        return [TradeSignal("breakdown", "short", confidence)]
    return []


def _surge(bar: Bar, volume: Decimal) -> list[TradeSignal]:
    if volume < _SURGE_MULTIPLE or bar.close == bar.open:
        return []
    confidence = _confidence("0.55", (volume - _SURGE_MULTIPLE) * Decimal("0.05"))
    if bar.close > bar.open:
        return [TradeSignal("volume_surge", "long", confidence)]
    return [TradeSignal("volume_surge_down", "short", confidence)]


def _bounce(levels: Levels, bar: Bar) -> list[TradeSignal]:
    if bar.close > bar.open:
        level = levels.below(bar.close)
        if level is not None and abs(bar.low / level - 1) <= _LEVEL_TOLERANCE and bar.open > level:
            return [TradeSignal("support_bounce", "long", Decimal("0.60"))]
    if bar.close < bar.open:
        level = levels.above(bar.close)
        if level is not None and abs(bar.high / level - 1) <= _LEVEL_TOLERANCE and bar.open < level:
            return [TradeSignal("resistance_rejection", "short", Decimal("0.60"))]
    return []


def _cross(track: Track) -> list[TradeSignal]:
    before, now = _histogram(track.before), _histogram(track.now)
    if before is None or now is None:
        return []
    if before <= 0 < now:
        return [TradeSignal("macd_cross", "long", Decimal("0.55"))]
    if before >= 0 > now:
        return [TradeSignal("macd_cross_down", "short", Decimal("0.55"))]
    return []


def _histogram(values: dict[str, Decimal | None]) -> Decimal | None:
    macd, signal = values.get("macd"), values.get("macd_signal")
    return None if macd is None or signal is None else macd - signal


def _confidence(base: str, bonus: Decimal) -> Decimal:
    return min(_MAX_CONFIDENCE, Decimal(base) + max(Decimal(0), bonus)).quantize(_CONFIDENCE_STEP)
