"""Indicators of one symbol, updated bar by bar (talipp): RSI 14, MACD 12/26/9, Bollinger 20/2."""

from decimal import Decimal
from typing import Any

from talipp.indicators import BB, MACD, RSI

MEMORY = 1000
"""How many closes count: what lies further back changes no indicator's first twelve digits."""
_DIGITS = Decimal("0.000001")


class Indicators:
    """The indicators of one series of closes."""

    def __init__(self) -> None:
        self._rsi = RSI(14)
        self._macd = MACD(12, 26, 9)
        self._bollinger = BB(20, 2)

    def add(self, close: Decimal) -> None:
        """Take the next close."""
        value = float(close)
        for indicator in (self._rsi, self._macd, self._bollinger):
            indicator.add(value)
            if len(indicator.input_values) > 2 * MEMORY:
                indicator.purge_oldest(MEMORY)

    def values(self) -> dict[str, Decimal | None]:
        """The fields of stocks:indicators, without the timestamp; None while not warm."""
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


def _last(indicator: Any) -> Any:
    """The library's newest value; None before the first close and while it is not warm."""
    return indicator[-1] if len(indicator) else None


def _field(value: Any, name: str) -> Decimal | None:
    return _rounded(getattr(value, name)) if value is not None else None


def _rounded(value: float | None) -> Decimal | None:
    """Six decimals: a ten-thousandth of a cent says all there is to say, in fewer bytes."""
    return None if value is None else Decimal(value).quantize(_DIGITS).normalize() + 0
