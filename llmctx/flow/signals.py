"""Entry and exit signals of one symbol, from its track. Pure.

Entry, judged at each bar's end once twenty bars lie before it; every rule has a mirror image for the short side:

| reason (long, short) | seen when | confidence |
|---|---|---|
| breakout, breakdown | the close lies beyond every high (low) of the twenty before | 0.60 + 0.05 (volume - 1) |
| volume_surge, volume_surge_down | the volume is 3 or more and the bar rose (fell) | 0.55 + 0.05 (volume - 3) |
| support_bounce, resistance_rejection | a level was touched within 0.1% and the bar turned away | 0.60 |
| macd_cross, macd_cross_down | MACD crossed its signal line upwards (downwards) | 0.55 |

Volume is a multiple of the usual one, the mean of the twenty bars before (1 where nothing is traded, as with an index);
no confidence is below its first number or above 0.95.

Exit, while a position is held:

| reason | seen when | confidence |
|---|---|---|
| target_reached, stop_hit | the paper broker closed it there | 1.00 |
| rsi_extreme | RSI is at 80 or above for a long, 20 or below for a short position | 0.60 |
| momentum_lost | MACD crossed its signal line against the position | 0.55 |
"""

from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.flow.track import WINDOW, Track

_SURGE = 3
_NEAR = Decimal("0.001")
_HIGH, _LOW = 80, 20
_MOST = Decimal("0.95")
_CENT = Decimal("0.01")


class Signal(NamedTuple):
    """One thing that was seen."""

    reason: str
    """What."""
    side: str
    """Which way it points: long or short."""
    confidence: Decimal
    """From 0 to 1."""


def entries(track: Track) -> list[Signal]:
    """The entry signals of the newest bar, the surest first."""
    if len(track.window) < WINDOW:
        return []
    volume = Decimal(1) if track.relative_volume is None else track.relative_volume
    found = [*_breakout(track, volume), *_surge(track, volume), *_bounce(track), *_cross(track)]
    return sorted(found, key=lambda signal: -signal.confidence)


def exits(track: Track, side: str) -> list[Signal]:
    """The exit signals for a position on a side, the surest first."""
    found = []
    rsi = track.now.get("rsi_14")
    if rsi is not None and (rsi >= _HIGH if side == "long" else rsi <= _LOW):
        found.append(Signal("rsi_extreme", side, Decimal("0.60")))
    if any(crossed.side != side for crossed in _cross(track)):
        found.append(Signal("momentum_lost", side, Decimal("0.55")))
    return found


def signal_value(signal: Signal, price: Decimal, track: Track) -> dict[str, Any]:
    """signals:{signal_type}:{symbol} without its timestamp."""
    return {
        "reason": signal.reason,
        "price": price,
        "indicators": {"macd": track.now.get("macd"), "rsi": track.now.get("rsi_14")},
        "confidence": signal.confidence,
    }


def _breakout(track: Track, volume: Decimal) -> list[Signal]:
    bar, window = track.last, track.window
    assert bar is not None
    confidence = _sure("0.60", (volume - 1) * Decimal("0.05"))
    if bar.close > max(before.high for before in window):
        return [Signal("breakout", "long", confidence)]
    if bar.close < min(before.low for before in window):
        return [Signal("breakdown", "short", confidence)]
    return []


def _surge(track: Track, volume: Decimal) -> list[Signal]:
    bar = track.last
    assert bar is not None
    if volume < _SURGE or bar.close == bar.open:
        return []
    confidence = _sure("0.55", (volume - _SURGE) * Decimal("0.05"))
    if bar.close > bar.open:
        return [Signal("volume_surge", "long", confidence)]
    return [Signal("volume_surge_down", "short", confidence)]


def _bounce(track: Track) -> list[Signal]:
    bar = track.last
    assert bar is not None
    if bar.close > bar.open:
        level = track.levels.below(bar.close)
        if level is not None and abs(bar.low / level - 1) <= _NEAR and bar.open > level:
            return [Signal("support_bounce", "long", Decimal("0.60"))]
    if bar.close < bar.open:
        level = track.levels.above(bar.close)
        if level is not None and abs(bar.high / level - 1) <= _NEAR and bar.open < level:
            return [Signal("resistance_rejection", "short", Decimal("0.60"))]
    return []


def _cross(track: Track) -> list[Signal]:
    before, now = _histogram(track.before), _histogram(track.now)
    if before is None or now is None:
        return []
    if before <= 0 < now:
        return [Signal("macd_cross", "long", Decimal("0.55"))]
    if before >= 0 > now:
        return [Signal("macd_cross_down", "short", Decimal("0.55"))]
    return []


def _histogram(values: dict[str, Decimal | None]) -> Decimal | None:
    macd, signal = values.get("macd"), values.get("macd_signal")
    return None if macd is None or signal is None else macd - signal


def _sure(base: str, more: Decimal) -> Decimal:
    return min(_MOST, Decimal(base) + max(Decimal(0), more)).quantize(_CENT)
