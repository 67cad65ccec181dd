"""Fills: shares that changed hands, and positions that ended; what the history streams keep."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import canonical, clock


class Fill(NamedTuple):
    """Shares that changed hands."""

    at: datetime
    """The bar's start for what is filled at its open, its end for a stop or target reached inside it."""
    symbol: str
    """Whose."""
    side: str
    """buy or sell."""
    quantity: Decimal
    """Shares."""
    price: Decimal
    """What a share was paid."""
    cost: Decimal
    """What the fill cost."""
    realized: Decimal
    """What the closed part earned, costs aside; 0 where nothing was closed."""
    reason: str
    """A signal's reason, a decision's address, stop_hit or target_reached."""
    entry_time: datetime
    """The position it belongs to."""


class Closed(NamedTuple):
    """A position that was closed."""

    symbol: str
    side: str
    entry_time: datetime
    exit_time: datetime
    quantity: Decimal
    """Shares, all that were ever held."""
    entry_price: Decimal
    """What a share was paid, on average."""
    exit_price: Decimal
    """What a share was given away for, on average."""
    gross: Decimal
    """What it earned, costs aside."""
    cost: Decimal
    """What its fills cost."""
    net: Decimal
    """gross - cost."""
    reason: str
    """Why it was closed."""


def fields_of(row: Fill | Closed) -> dict[str, str]:
    """A row as an entry of its stream: times as ISO 8601, decimals in full."""
    return {name: text_of(value) for name, value in row._asdict().items()}


def text_of(value: Any) -> str:
    """A value as a field of a history stream; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return clock.iso_of(value)
    return canonical.plain(value) if isinstance(value, Decimal) else str(value)
