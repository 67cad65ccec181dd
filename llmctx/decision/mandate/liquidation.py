"""The rule about liquidation: nothing is added near it, and no stop lies beyond it."""

from decimal import Decimal

from llmctx.decision.decision import Action
from llmctx.decision.mandate.case import EXACT, Case, Found, percent_of


def near_liquidation(case: Case, limit: Decimal) -> Found:
    """Block an add too near the liquidation price, or with a stop beyond it; drop a new stop that lies beyond it."""
    level = case.position.liquidation_price
    if level is None:
        return None
    if case.action is Action.ADJUST_STOPS:
        return _stop_beyond(case, level)
    distance = percent_of(EXACT.multiply(EXACT.subtract(case.price, level), Decimal(case.sign)), case.price)
    if distance < limit:
        away = f"{distance:.2f}% from" if distance > 0 else "at or beyond"
        return (
            "block",
            f"the price {case.price} is {away} the liquidation price {level}, and below {limit}% nothing is added",
        )
    stop = case.position.stop_loss
    if stop is not None and _is_beyond(case, stop, level):
        return "block", f"the stop {stop} lies beyond the liquidation price {level}, so it limits no loss"
    return None


def _stop_beyond(case: Case, level: Decimal) -> Found:
    asked = case.stop_loss
    if asked is None or not _is_beyond(case, asked, level):
        return None
    case.stop_loss = None
    detail = f"stop_loss {asked} lies beyond the liquidation price {level}, where it is never reached; dropped"
    return ("block" if case.take_profit is None else "clamp"), detail


def _is_beyond(case: Case, stop: Decimal, level: Decimal) -> bool:
    return (stop - level) * case.sign <= 0
