"""The last resort: a plain comparison of price and stop, for a tick whose package or guardrails fail.

It uses nothing that may be the cause: no value models, no rules of plausibility or age, no JSON reader of ours.
"""

import json
from decimal import Decimal
from typing import Any

from llmctx.context.snapshot import Snapshot
from llmctx.decision.decision import Action
from llmctx.decision.guards import JUDGING_FAILED
from llmctx.decision.stop import STOP_BREACHED
from llmctx.decision.verdict import Guard, GuardPolicy, Verdict, refused
from llmctx.limits import MAX_REASON_CHARS, cut


def compare_plainly(snapshot: Snapshot, failure: str, policy: GuardPolicy) -> Verdict:
    """The verdict on a position that could not be judged, for the reason `failure`.

    Exit if the last price is at or beyond the stop, otherwise hold; none without a position. If that cannot be read
    either, the verdict is that of `stop_unjudged`.
    """
    if snapshot.sections["position"].raw is None and snapshot.sections["position"].unread is None:
        return refused(f"{failure}; there is no position")
    try:
        position, price = _read(snapshot, "position"), _read(snapshot, "price")
        last, quantity = _number(price["price"]["last"]), _number(position["quantity"])
        stop = None if position["stop_loss"] is None else _number(position["stop_loss"])
        long = {"long": True, "short": False}[position["side"]]
    except Exception as error:  # noqa: BLE001  whatever the values hold, the tick ends in a verdict
        return stop_unjudged(f"{failure}; position or price cannot be read: {type(error).__name__}", policy)
    guards = [Guard(JUDGING_FAILED, cut(failure, MAX_REASON_CHARS))]
    reached = stop is not None and (last <= stop if long else last >= stop)
    if reached:
        guards.append(Guard(STOP_BREACHED, f"the price {last} has reached the stop_loss {stop}: hold becomes exit"))
    return Verdict(
        action=(Action.EXIT if reached else Action.HOLD).value,
        quantity=quantity if reached else None,
        guards=tuple(guards),
        policy=policy,
        reason=guards[-1].detail,
    )


def stop_unjudged(failure: str, policy: GuardPolicy) -> Verdict:
    """The verdict on a position whose stop cannot be judged at all: hold, and say so."""
    reason = cut(f"THE STOP COULD NOT BE JUDGED, look at the position yourself: {failure}", MAX_REASON_CHARS)
    return Verdict(action=Action.HOLD.value, guards=(Guard(JUDGING_FAILED, reason),), policy=policy, reason=reason)


def _read(snapshot: Snapshot, name: str) -> Any:
    return json.loads(snapshot.sections[name].raw or b"", parse_float=Decimal, parse_int=Decimal)


def _number(value: Any) -> Decimal:
    if not isinstance(value, Decimal) or not value.is_finite() or value <= 0:
        raise ValueError("it is not a number above 0")
    return value
