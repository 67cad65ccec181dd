"""The rules of the mandate about stop and target."""

from decimal import Decimal

from llmctx.decision.decision import Action
from llmctx.decision.mandate.case import EXACT, Case, Found, share_of


def check_lock(case: Case, kept: Decimal | None) -> Found:
    """Bring a new stop to where it keeps a share of a large open profit, and add nothing while the stop keeps less."""
    entry, sign = case.position.entry_price, Decimal(case.sign)
    profit = EXACT.multiply(EXACT.subtract(case.price, entry), sign)
    if kept is None or profit <= 0 or profit < share_of(case.limits.profit_lock_from_pct or Decimal(0), entry):
        return None
    lock = EXACT.add(entry, EXACT.multiply(share_of(kept, profit), sign))
    if (near := case.nearest_stop) is not None and (lock - near) * sign > 0:
        lock = near  # a stop at the price would be an exit
    if case.action is Action.ADD:
        stop = case.position.stop_loss
        if stop is None or (lock - stop) * sign > 0:
            return "block", f"the stop {stop} keeps less than {kept}% of the open profit, which begins at {lock}"
        return None
    asked = case.stop_loss
    if asked is None or (lock - asked) * sign <= 0:
        return None
    case.stop_loss = case.on_tick(lock, up=sign < 0)
    return "clamp", f"stop_loss {asked} becomes {case.stop_loss}, which keeps {kept}% of the open profit"


def check_stop(case: Case, _: object) -> Found:
    """Bring a new stop into its band; keep the old one if the new one would be looser."""
    limits, asked, now = case.limits, case.stop_loss, case.position.stop_loss
    if asked is None:
        return None
    nearest, stop, percent = case.nearest_stop, asked, limits.stop_max_pct
    farthest = None if percent is None else case.level(percent, above=case.sign < 0, inward=True)
    if nearest is not None and (stop - nearest) * case.sign > 0:
        stop = nearest
    if farthest is not None and (farthest - stop) * case.sign > 0:
        stop = farthest
    loosest = None
    if limits.stop_loosens_pct is not None and now is not None:
        loosest = EXACT.subtract(now, share_of(limits.stop_loosens_pct, now) * case.sign)
    in_band = stop > 0 and (nearest is None or (nearest - stop) * case.sign >= 0)
    if not in_band or stop == now or (loosest is not None and (loosest - stop) * case.sign > 0):
        case.stop_loss = None
        return _dropped(case, f"stop_loss {asked} would not tighten the stop {now}, or is too near; it stays")
    case.stop_loss = stop
    return None if stop == asked else ("clamp", f"stop_loss {asked} becomes {stop}")


def check_target(case: Case, limit: Decimal) -> Found:
    """Bring a new target within its maximum distance from the price."""
    asked = case.take_profit
    if asked is None:
        return None
    if asked == case.position.take_profit:
        case.take_profit = None
        return _dropped(case, f"take_profit {asked} is set already")
    farthest = case.level(limit, above=case.sign > 0, inward=True)
    if (asked - farthest) * case.sign <= 0:
        return None
    if farthest <= 0 or (farthest - case.price) * case.sign <= 0:
        case.take_profit = None
        return _dropped(case, f"take_profit {asked} is too far away; it is dropped")
    case.take_profit = farthest
    return "clamp", f"take_profit {asked} becomes {farthest}, {limit}% from the price"


def _dropped(case: Case, detail: str) -> Found:
    return ("block" if case.stop_loss is None and case.take_profit is None else "clamp"), detail
