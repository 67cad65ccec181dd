"""An overnight jump too large for a price move: a split or another corporate action is suspected."""

from datetime import datetime, timedelta
from decimal import Decimal

LIMIT = Decimal("0.40")
"""A move of more than 40% between two sessions is not taken for a price move."""
OVERNIGHT = timedelta(hours=4)
"""Two marks at least this far apart belong to different sessions."""


def overnight_move(
    price_before: Decimal, time_before: datetime, price_now: Decimal, time_now: datetime
) -> Decimal | None:
    """The relative move between two sessions if it exceeds the limit, otherwise None.

    A 7:1 split shows as -0.857.
    """
    if time_now - time_before < OVERNIGHT:
        return None
    move = price_now / price_before - 1
    return move if abs(move) > LIMIT else None
