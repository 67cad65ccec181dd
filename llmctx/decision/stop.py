"""The stop: what happens when a price has reached it, whatever the LLM says and whatever the hour."""

from typing import Literal, NamedTuple

from llmctx import clock
from llmctx.context.package import Package
from llmctx.context.staleness import Status
from llmctx.context.value import UNREADABLE_STOP
from llmctx.decision.decision import Action

STOP_BREACHED = "stop_loss_breached"
"""The guardrail that enforces a stop."""
STOP_UNCONFIRMED = "stop_unconfirmed"
"""The guardrail that fires if a price that is not believed reaches a stop."""
STALE = "stale"
"""The guardrail that marks a stop enforced on a stale price."""
UnconfirmedStop = Literal["hold", "exit"]
"""What happens if a price that is not believed reaches a stop."""


class StopJudgement(NamedTuple):
    """The consequence of a reached stop."""

    guard: str
    """The guardrail that fires."""
    detail: str
    """What it saw."""
    action: Action | None
    """The resulting action; None if the guardrail only marks."""


def judge_stop(package: Package, unconfirmed: UnconfirmedStop, decided: Action) -> list[StopJudgement]:
    """The consequences of the package's price for the stop, in order; empty if it has not reached the stop.

    A price in doubt (docs/plausibility.md) holds, or exits if `unconfirmed` says so. With an unreadable stop, the
    `decided` action stands if it takes no new risk.
    """
    if not package.stop_reached:
        stands = decided in (Action.HOLD, Action.EXIT, Action.REDUCE)
        found = package.sections["position"].implausible
        unreadable = [finding.reason for finding in found if finding.rule == UNREADABLE_STOP]
        return [StopJudgement(STOP_UNCONFIRMED, reason, None if stands else Action.HOLD) for reason in unreadable]
    position, section, doubts = package.position, package.sections["price"], package.price_doubts
    last, stop = package.price.price.last, position.stop_loss
    detail = f"the price {last} has reached the stop_loss {stop} of the {position.side} position"
    if doubts:
        why = "; ".join(f"{doubt.reason} (confirmed by {doubt.confirmed_by})" for doubt in doubts)
        detail = f"{detail}, but {why}"
        if unconfirmed == "hold":
            return [StopJudgement(STOP_UNCONFIRMED, detail, Action.HOLD)]
    judged = []
    if section.status is Status.STALE:
        judged.append(StopJudgement(STALE, f"the price is {clock.in_words(section.age_ms or 0)} old", None))
    if (confirmed_by := package.confirmed_by) is not None:
        detail = f"{detail}; {confirmed_by} confirmed the price"
    return [*judged, StopJudgement(STOP_BREACHED, detail, Action.EXIT)]


def unjudged_stop(package: Package) -> str | None:
    """Why it is unknown whether a position's stop is reached; None if it is known, or there is no stop."""
    position, price = package.sections["position"], package.sections["price"]
    if position.status is Status.INVALID:
        return f"nobody can tell whether the stop is reached: position is invalid: {position.reason}"
    if position.value is None or price.value is not None or package.position.stop_loss is None:
        return None
    stop = package.position.stop_loss
    return f"nobody can tell whether the stop_loss {stop} is reached: price is {price.status}: {price.reason}"
