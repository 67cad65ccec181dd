"""Splits between two sessions, seen from the prices before and after."""

from datetime import datetime
from decimal import Decimal

from llmctx import clock
from llmctx.context.price_step import PERSONAL, SESSION_MS, USUAL, broken_rule, factor_of

NO_SPLIT = Decimal(1)
_LARGEST_MOVE = 1.4
"""The largest overnight move, as a factor, that is left when a given ratio explains a step."""


def split_ratio(
    before: Decimal, before_at: datetime, now: Decimal, now_at: datetime, told: Decimal | None
) -> Decimal | None:
    """New shares for each old one between two prices: 1 without a split, `told` if that explains the step, None if a
    split is suspected and not explained.

    Within a session there are none. `told` 1 says that the price moved by itself.
    """
    if clock.to_ms(now_at) - clock.to_ms(before_at) < SESSION_MS or told == NO_SPLIT:
        return NO_SPLIT
    if factor_of(before, now) <= USUAL:
        return NO_SPLIT
    if told is not None and factor_of(before / told, now) <= _LARGEST_MOVE:
        return told
    return None if broken_rule(before, now, SESSION_MS, None) in PERSONAL else NO_SPLIT
