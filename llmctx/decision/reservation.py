"""A verdict whose reservation in the shared limits was refused.

Only the server knows at that moment whether there was room. So the record keeps the server's answer, and a rebuild
takes it from there.
"""

from collections.abc import Awaitable, Callable

from llmctx.context.package import Package
from llmctx.decision.conclude import Conclusion
from llmctx.decision.decision import Action
from llmctx.decision.mandate.mandate import Total
from llmctx.decision.verdict import Guard, Verdict
from llmctx.limits import MAX_REASON_CHARS, cut

EXPOSURE = "exposure"
"""The guardrail that refuses an add when the limits of several positions have no room."""
EXPIRY_S = 900
"""Seconds after which reserved room is free again, unless `order_expiry_s` is set."""
Reserve = Callable[[str, Package, Verdict], Awaitable[str | None]]
"""Reserves room for the add of a tick; returns why there is none."""


async def with_room(reserve: Reserve | None, reserved_by: str, conclusion: Conclusion) -> Conclusion:
    """The conclusion after reserving room for its add, by a tick or an act; a hold if there is none."""
    if reserve is None or conclusion.verdict.action != Action.ADD:
        return conclusion
    why = await reserve(reserved_by, conclusion.package, conclusion.verdict)
    return conclusion if why is None else conclusion._replace(verdict=refuse_add(conclusion.verdict, why))


def exceeded(total: Total, found: str) -> str:
    """Why there is no room: the total that the positions would reach."""
    return f"{total.name} is {total.limit}, and the positions would come to {found}"


def refuse_add(verdict: Verdict, why: str) -> Verdict:
    """The verdict that replaces an add for which there is no room."""
    detail = cut(f"{why}: {Action.ADD} becomes {Action.HOLD}", MAX_REASON_CHARS)
    refused = {"action": Action.HOLD.value, "quantity": None, "limited": "block", "reason": detail}
    return verdict.model_copy(update=refused | {"guards": (*verdict.guards, Guard(EXPOSURE, detail))})


def refusal_in(guards: list[dict[str, str]]) -> str | None:
    """Why a recorded verdict was refused; None if it was not."""
    if not guards or guards[-1]["name"] != EXPOSURE:
        return None
    return guards[-1]["detail"].removesuffix(f": {Action.ADD} becomes {Action.HOLD}")
