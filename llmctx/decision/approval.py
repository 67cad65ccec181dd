"""What a person must approve before it is done: by action, and by what it is worth."""

from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from llmctx.schema.fields import Setting

AWAITS_APPROVAL = "awaits_approval"
"""The guardrail that holds what a person must approve."""


class ApprovalRule(BaseModel):
    """From what worth on an action waits for a person. An exit never waits: it takes risk away."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    add: Setting | None = Field(None, ge=0)
    """Additions worth this much or more, in account currency; None: none."""
    reduce: Setting | None = Field(None, ge=0)
    """Reductions worth this much or more."""
    adjust_stops: Setting | None = Field(None, ge=0)
    """New levels for a position worth this much or more."""
    expires_s: int = Field(600, ge=1, le=86_400)
    """Seconds after its record within which it may be approved."""

    def needed(self, action: str, worth: Decimal) -> bool:
        """Whether an action of this worth waits for a person."""
        least: Decimal | None = getattr(self, action, None) if action in ("add", "reduce", "adjust_stops") else None
        return least is not None and worth >= least

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self.add is None and self.reduce is None and self.adjust_stops is None


class Proposal(BaseModel):
    """What a verdict would do once a person approves it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str
    """add, reduce or adjust_stops."""
    quantity: Decimal | None = None
    """Shares to close or add."""
    stop_loss: Decimal | None = None
    """The stop to set."""
    take_profit: Decimal | None = None
    """The target to set."""
    expires_s: int
    """Seconds after its record within which it may be approved."""


def propose(
    rule: ApprovalRule | None, action: str, worth: Decimal, levels: Mapping[str, Decimal | None]
) -> tuple[Proposal, str] | None:
    """What waits for a person, and what to say of it; None if nothing does. `levels` is what the action asks for."""
    if rule is None or not rule.needed(action, worth):
        return None
    said = f"{action} worth {worth:.2f} waits for a person to approve it within {rule.expires_s} s"
    return Proposal(action=action, expires_s=rule.expires_s, **levels), said
