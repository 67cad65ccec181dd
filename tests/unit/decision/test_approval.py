"""What waits for a person: by action and worth, never an exit, and never a stop that was reached."""

from decimal import Decimal

import pytest

from llmctx.decision.approval import AWAITS_APPROVAL, ApprovalRule, Proposal
from llmctx.decision.guards import guard
from llmctx.decision.verdict import GuardPolicy, Verdict
from tests.unit.decision.test_guards import breached, levels
from tests.unit.makers import decision, market, package_of


def verdict(rule: ApprovalRule, **changes: object) -> Verdict:
    """The verdict on an answer about ten shares at 152.5."""
    return guard(package_of(market()), decision(**changes), GuardPolicy(approval=rule))


def fired(found: Verdict) -> list[str]:
    return [each.name for each in found.guards]


@pytest.mark.parametrize(("least", "waits"), [("762.5", True), ("762.51", False), ("0", True)])
def test_an_addition_waits_from_its_worth_on(least: str, waits: bool) -> None:
    found = verdict(ApprovalRule(add=Decimal(least)), action="add", quantity=5)
    assert (found.action, found.awaits is not None) == (("hold", True) if waits else ("add", False))
    assert (AWAITS_APPROVAL in fired(found)) is waits


def test_what_waits_is_what_would_be_done() -> None:
    found = verdict(ApprovalRule(adjust_stops=Decimal(0), expires_s=60), action="adjust_stops", stop_loss=150)
    assert found.awaits == Proposal(action="adjust_stops", stop_loss=Decimal(150), expires_s=60)
    assert (found.action, found.stop_loss) == ("hold", None)


@pytest.mark.parametrize("changes", [{"action": "exit"}, {"action": "hold"}, {"action": "reduce", "quantity": 10}])
def test_an_exit_never_waits(changes: dict[str, object]) -> None:
    rule = ApprovalRule(add=Decimal(0), reduce=Decimal(0), adjust_stops=Decimal(0))
    assert verdict(rule, **changes).awaits is None


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_stop_that_is_reached_takes_the_place_of_what_waits(side: str) -> None:
    package = package_of(market(**levels(side, breached(side))))
    found = guard(package, decision(action="add", quantity=5), GuardPolicy(approval=ApprovalRule(add=Decimal(0))))
    assert (found.action, found.awaits) == ("exit", None)
