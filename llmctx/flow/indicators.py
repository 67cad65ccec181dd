"""Indicators of one symbol, updated bar by bar (talipp): RSI 14, MACD 12/26/9, Bollinger 20/2."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from talipp.indicators import BB, MACD, RSI

from llmctx.flow.longer_bars import LongerBars

MEMORY = 1000
"""How many closes are kept: older ones do not change the first twelve digits of any indicator."""
_VALUE_STEP = Decimal("0.000001")


class IndicatorSet:
    """The indicators of one series of closes."""

    def __init__(self) -> None:
        self._rsi = RSI(14)
        self._macd = MACD(12, 26, 9)
        self._bollinger = BB(20, 2)

    def add(self, close: Decimal) -> None:
        """Add the next close."""
        value = float(close)
        for indicator in (self._rsi, self._macd, self._bollinger):
            _add(indicator, value)

    def values(self) -> dict[str, Decimal | None]:
        """The fields of stocks:indicators, without the timestamp; None until warm."""
        macd, bands = _last(self._macd), _last(self._bollinger)
        upper, lower = _field(bands, "ub"), _field(bands, "lb")
        return {
            "rsi_14": _rounded(_last(self._rsi)),
            "macd": _field(macd, "macd"),
            "macd_signal": _field(macd, "signal"),
            "bollinger_upper": upper,
            "bollinger_lower": lower,
            "bollinger_width": None if upper is None or lower is None else upper - lower,
        }


class SlowMacd:
    """MACD 12/26/9 on longer bars built from shorter ones; incomplete ones do not count."""

    def __init__(self, length: timedelta, interval: timedelta) -> None:
        """`length` of the longer bars, `interval` of the incoming ones; without a whole ratio there is no reading."""
        self._bars = LongerBars(length, interval) if length % interval == timedelta(0) else None
        self._macd = MACD(12, 26, 9)

    def add(self, start: datetime, close: Decimal) -> None:
        """Add the next short bar."""
        for _, last in () if self._bars is None else self._bars.add(start, close):
            _add(self._macd, float(last))

    def reading(self) -> dict[str, Any] | None:
        """The value and its signal, in the form of positions:monitoring; None until warm.

        The signal follows the histogram (MACD less its signal line): above zero it is `rising`, or `weakening` if it
        was higher one bar before; otherwise it is `falling`, or `recovering` if it was lower.
        """
        now, before = (_histogram(self._macd, at) for at in (-1, -2))
        if now is None:
            return None
        up = now > 0
        turning = before is not None and (now < before if up else now > before)
        signal = ("weakening" if turning else "rising") if up else ("recovering" if turning else "falling")
        return {"value": _field(_last(self._macd), "macd"), "signal": signal}


def _add(indicator: Any, value: float) -> None:
    indicator.add(value)
    if len(indicator.input_values) > 2 * MEMORY:
        indicator.purge_oldest(MEMORY)


def _histogram(macd: Any, at: int) -> float | None:
    value = macd[at] if len(macd) >= -at else None
    return None if value is None or value.signal is None else value.macd - value.signal


def _last(indicator: Any) -> Any:
    """The library's newest value; None before the first close and until warm."""
    return indicator[-1] if len(indicator) else None


def _field(value: Any, name: str) -> Decimal | None:
    return _rounded(getattr(value, name)) if value is not None else None


def _rounded(value: float | None) -> Decimal | None:
    """Six decimals: finer digits carry no information and cost bytes."""
    return None if value is None else Decimal(value).quantize(_VALUE_STEP).normalize() + 0
