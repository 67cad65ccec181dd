"""The stop: what a price that reached it leads to, whatever the LLM says and whatever the hour is."""

from typing import Literal, NamedTuple

from llmctx import clock
from llmctx.context.package import Package
from llmctx.context.staleness import Status
from llmctx.context.value import UNREADABLE_STOP
from llmctx.decision.decision import Action

STOP_BREACHED = "stop_loss_breached"
"""The guardrail that obeys a stop."""
STOP_UNCONFIRMED = "stop_unconfirmed"
"""The guardrail that fires where a stop is reached by a price that is not believed."""
STALE = "stale"
"""The guardrail that marks a stop obeyed on a stale price."""
UnconfirmedStop = Literal["hold", "exit"]
"""What a stop does that is reached by a price that is not believed."""


class StopJudgement(NamedTuple):
    """What a reached stop leads to."""

    guard: str
    """The guardrail that fires."""
    detail: str
    """What it saw."""
    action: Action | None
    """What is to be done; None for a mark alone."""


def judge_stop(package: Package, unconfirmed: UnconfirmedStop, decided: Action) -> list[StopJudgement]:
    """What the package's price does to the stop, in order; empty if it has not reached it.

    A price in doubt (docs/plausibility.md) holds, or exits if `unconfirmed` says so. With a stop that cannot be read,
    what was `decided` stands if it takes no new risk.
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
    """Why nobody can tell whether the stop of a position is reached; None if somebody can, or there is no stop."""
    position, price = package.sections["position"], package.sections["price"]
    if position.status is Status.INVALID:
        return f"nobody can tell whether the stop is reached: position is invalid: {position.reason}"
    if position.value is None or price.value is not None or package.position.stop_loss is None:
        return None
    stop = package.position.stop_loss
    return f"nobody can tell whether the stop_loss {stop} is reached: price is {price.status}: {price.reason}"
