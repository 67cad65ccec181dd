"""The verdict: what may be acted on, and why. Also the settings of the guardrails that produce it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from llmctx.context.package import Package
from llmctx.decision.approval import ApprovalRule, Proposal
from llmctx.decision.decision import Action
from llmctx.decision.grounding import Grounding
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.stop import STOP_UNCONFIRMED, UnconfirmedStop, unjudged_stop
from llmctx.limits import MAX_REASON_CHARS, cut
from llmctx.schema.fields import Setting
from llmctx.schema.values import Position

OnUngrounded = Literal["off", "flag", "reask", "hold"]
"""What miscited or false prices lead to: no check; a flag; one more question, then a hold; an immediate hold."""


class GuardPolicy(BaseModel):
    """The settings of the guardrails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence_floor: Setting = Field(Decimal("0.5"), ge=0, le=1)
    """The least confidence for actions other than hold."""
    grounding: OnUngrounded = "flag"
    """What miscited or false prices lead to."""
    unconfirmed_stop: UnconfirmedStop = "hold"
    """What a stop leads to if a price that is not believed reaches it."""
    mandate: Mandate | None = None
    """The limits on actions; None for no limits."""
    approval: ApprovalRule | None = None
    """What a person must approve; None for nothing."""


class Guard(NamedTuple):
    """One guardrail that fired."""

    name: str
    """Its name."""
    detail: str
    """What it saw, and what it changed."""


class Rest(NamedTuple):
    """What stays of a position after a partial close, with the levels of the whole position."""

    quantity: Decimal
    """The remaining shares."""
    stop_loss: Decimal | None
    """Their stop; None if the position has none."""
    take_profit: Decimal | None
    """Their target; None if the position has none."""


class Verdict(BaseModel):
    """What may be acted on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str
    """hold, exit, reduce, add or adjust_stops; none if the call was refused before the LLM."""
    quantity: Decimal | None = None
    """Shares to close or add; None if the action needs none."""
    stop_loss: Decimal | None = None
    """The stop to set; None leaves it."""
    take_profit: Decimal | None = None
    """The target to set; None leaves it."""
    guards: tuple[Guard, ...] = ()
    """Every guardrail that fired, in order."""
    limited: Literal["clamp", "block"] | None = None
    """Whether the mandate changed or refused what was asked for; None if it did neither."""
    rest: Rest | None = None
    """What stays after a partial close; None for other actions."""
    repeat_of: str | None = None
    """The address of the first record of this exit, while the position is still open."""
    again_ms: int | None = None
    """When this exit is published again, in milliseconds, if it is not published now; otherwise None."""
    awaits: Proposal | None = None
    """What is done once a person approves it; None if nothing waits."""
    policy: GuardPolicy | None = None
    """The settings of the guardrails; None if none ran."""
    grounding: Grounding | None = None
    """How well the package supports the answer; None without an answer, or if nothing is checked."""
    reason: str
    """The reason for the verdict, in a sentence."""

    @property
    def order(self) -> str:
        """What the execution side is told to do, as by `order_of`."""
        return self.action if self.again_ms is None else Action.HOLD.value

    @property
    def asks_again(self) -> bool:
        """Whether the model is to be told of miscited or false prices and asked once more."""
        told = self.policy is not None and self.policy.grounding == "reask"
        return told and self.grounding is not None and bool(self.grounding.alarms)


def order_of(verdict: Mapping[str, Any]) -> str:
    """What a recorded verdict tells the execution side to do: its action, or hold while an earlier exit may still take
    effect.
    """
    return Action.HOLD.value if "again_ms" in verdict else str(verdict["action"])


def rest_after(position: Position, action: str, quantity: Decimal | None) -> Rest | None:
    """What stays after an action; None if it closes no part."""
    if action != Action.REDUCE or quantity is None:
        return None
    return Rest(position.quantity - quantity, position.stop_loss, position.take_profit)


def refused(reason: str, package: Package | None = None) -> Verdict:
    """The verdict on a call that was refused before the LLM: none, or hold if the package has a stop that cannot be
    judged.
    """
    if package is None or (unjudged := unjudged_stop(package)) is None:
        return Verdict(action="none", reason=cut(reason, MAX_REASON_CHARS))
    detail = cut(unjudged, MAX_REASON_CHARS)
    said = detail if reason == package.refusal else cut(f"{reason}; {detail}", MAX_REASON_CHARS)
    return Verdict(action=Action.HOLD.value, guards=(Guard(STOP_UNCONFIRMED, detail),), reason=said)
