"""The verdict: what may be acted on, and why; and what the guardrails that give it may be set to."""

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
"""What miscited or false prices do: nothing is checked; a flag; one more question, then a hold; a hold at once."""


class GuardPolicy(BaseModel):
    """What the guardrails may be set to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence_floor: Setting = Field(Decimal("0.5"), ge=0, le=1)
    """Actions other than hold need at least this confidence."""
    grounding: OnUngrounded = "flag"
    """What miscited or false prices do."""
    unconfirmed_stop: UnconfirmedStop = "hold"
    """What a stop does that is reached by a price that is not believed."""
    mandate: Mandate | None = None
    """The limits of what is done; None: there are none."""
    approval: ApprovalRule | None = None
    """What a person must approve; None: nothing."""


class Guard(NamedTuple):
    """One guardrail that fired."""

    name: str
    """Which one."""
    detail: str
    """What it saw, and what it changed."""


class Rest(NamedTuple):
    """What stays of a position after a partial close: the levels are those of the whole."""

    quantity: Decimal
    """Shares that stay."""
    stop_loss: Decimal | None
    """The stop that they keep; None if the position has none."""
    take_profit: Decimal | None
    """The target that they keep; None if the position has none."""


class Verdict(BaseModel):
    """What may be acted on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str
    """hold, exit, reduce, add or adjust_stops; none where the call was refused before the LLM."""
    quantity: Decimal | None = None
    """Shares to close or add; None where the action needs none."""
    stop_loss: Decimal | None = None
    """The stop to set; None leaves it."""
    take_profit: Decimal | None = None
    """The target to set; None leaves it."""
    guards: tuple[Guard, ...] = ()
    """Every guardrail that fired, in order."""
    limited: Literal["clamp", "block"] | None = None
    """Whether the mandate changed what was asked for, or refused it; None if it did neither."""
    rest: Rest | None = None
    """What stays after a partial close; None for other actions."""
    repeat_of: str | None = None
    """The address of the first record of this exit, while the position still stands."""
    again_ms: int | None = None
    """When this exit is published again, in milliseconds, if it is not published now; None for anything else."""
    awaits: Proposal | None = None
    """What is done instead once a person approves it; None if nothing waits."""
    policy: GuardPolicy | None = None
    """What the guardrails were set to; None where none was asked."""
    grounding: Grounding | None = None
    """What the package bears out of the answer; None without an answer, or if nothing is checked."""
    reason: str
    """Why the verdict is what it is, in a sentence."""

    @property
    def order(self) -> str:
        """What the execution side is told to do, as `order_of` says."""
        return self.action if self.again_ms is None else Action.HOLD.value

    @property
    def asks_again(self) -> bool:
        """Whether the model is to be told of miscited or false prices and asked once more."""
        told = self.policy is not None and self.policy.grounding == "reask"
        return told and self.grounding is not None and bool(self.grounding.alarms)


def order_of(verdict: Mapping[str, Any]) -> str:
    """What the execution side is told to do by a recorded verdict: its action, but hold while there is still time for
    an earlier exit to be seen.
    """
    return Action.HOLD.value if "again_ms" in verdict else str(verdict["action"])


def rest_after(position: Position, action: str, quantity: Decimal | None) -> Rest | None:
    """What stays after an action; None if it closes no part."""
    if action != Action.REDUCE or quantity is None:
        return None
    return Rest(position.quantity - quantity, position.stop_loss, position.take_profit)


def refused(reason: str, package: Package | None = None) -> Verdict:
    """The verdict on a call that was refused before the LLM: none, but hold where the package has a stop that nobody
    can judge.
    """
    if package is None or (unjudged := unjudged_stop(package)) is None:
        return Verdict(action="none", reason=cut(reason, MAX_REASON_CHARS))
    detail = cut(unjudged, MAX_REASON_CHARS)
    said = detail if reason == package.refusal else cut(f"{reason}; {detail}", MAX_REASON_CHARS)
    return Verdict(action=Action.HOLD.value, guards=(Guard(STOP_UNCONFIRMED, detail),), reason=said)
