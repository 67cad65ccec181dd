"""What a person must approve before it is done: by action, and by value."""

from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from llmctx.schema.fields import Setting

AWAITS_APPROVAL = "awaits_approval"
"""The guardrail that holds a decision until a person approves it."""


class ApprovalRule(BaseModel):
    """The value from which an action waits for a person. An exit never waits, because it takes risk away."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    add: Setting | None = Field(None, ge=0)
    """Additions worth at least this much, in account currency; None for none."""
    reduce: Setting | None = Field(None, ge=0)
    """Reductions worth at least this much."""
    adjust_stops: Setting | None = Field(None, ge=0)
    """New levels for a position worth at least this much."""
    expires_s: int = Field(600, ge=1, le=86_400)
    """Seconds after its record within which it may be approved."""

    def needed(self, action: str, worth: Decimal) -> bool:
        """Whether an action of this value waits for a person."""
        least: Decimal | None = getattr(self, action, None) if action in ("add", "reduce", "adjust_stops") else None
        return least is not None and worth >= least

    @property
    def is_empty(self) -> bool:
        """Whether no action waits."""
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
    """The proposal that waits for a person, and how to describe it; None if none does. `levels` are those that the
    action asks for.
    """
    if rule is None or not rule.needed(action, worth):
        return None
    said = f"{action} worth {worth:.2f} waits for a person to approve it within {rule.expires_s} s"
    return Proposal(action=action, expires_s=rule.expires_s, **levels), said
