"""An approved decision is judged once more on the data of that moment, because the market has moved since."""

from decimal import Decimal
from typing import NamedTuple

from llmctx import clock
from llmctx.context.package import Package
from llmctx.decision.decision import Action, Decision
from llmctx.decision.guards import guard
from llmctx.decision.verdict import GuardPolicy, Verdict, refused

OTHER_POSITION = "other_position"
"""The guardrail that refuses an approval for a position that no longer exists."""


class Approved(NamedTuple):
    """What a person approves."""

    action: str
    """add, reduce or adjust_stops."""
    quantity: Decimal | None = None
    """Shares to close or add."""
    stop_loss: Decimal | None = None
    """The stop to set."""
    take_profit: Decimal | None = None
    """The target to set."""
    entry_time: str | None = None
    """When the position that it was decided for was opened."""
    side: str | None = None
    """Its direction."""

    def judge(self, package: Package, policy: GuardPolicy) -> Verdict:
        """Apply every guardrail that needs no words of an answer, on the data of a package.

        Without a position or a price there is nothing to act on.
        """
        if package.refusal is not None:
            return refused(package.refusal, package)
        policy = policy.model_copy(update={"approval": None, "grounding": "off"})
        position = package.position
        if (clock.iso_of(position.entry_time), position.side) != (self.entry_time, self.side):
            now = f"a {position.side} one of {clock.iso_of(position.entry_time)}"
            detail = f"it was decided for a {self.side} position of {self.entry_time}, and this is {now}"
            held = guard(package, None, policy, detail, fired=OTHER_POSITION)
            return held if held.action != Action.HOLD else held.model_copy(update={"limited": "block"})
        decision = Decision.model_construct(
            action=Action(self.action), quantity=self.quantity, stop_loss=self.stop_loss, take_profit=self.take_profit,
            confidence=Decimal(1), reasoning="", evidence=[], invalidation="", valid_for=0,
        )  # fmt: skip
        return guard(package, decision, policy)
