"""What a trigger would have asked, saved and missed on recorded decisions."""

from decimal import Decimal

import pytest

from llmctx.context.snapshot import TrailReference
from llmctx.context.tick import Tick
from llmctx.decision.conclude import StandingDecision, conclude, conclude_unasked
from llmctx.decision.trigger import TriggerPolicy
from llmctx.decision.verdict import GuardPolicy
from llmctx.llm.price import Price
from llmctx.prompt.render import render
from llmctx.record import RecordMetadata, compose
from llmctx.replay.corpus import Recorded
from llmctx.replay.trigger_report import Calls, TriggerReport
from tests.unit.makers import answer_text, body, completion, market, package_of, snapshot_of, template

METADATA = RecordMetadata(recorded_at_ms=1, worker="host:1")
PRICES = {"served-model": Price(input=Decimal(2), output=Decimal(10))}
MOVE = TriggerPolicy(move_pct=Decimal(1))


def recorded(index: int, price: str, action: str | None, *, stop: str = "145") -> Recorded:
    """A record of AAPL at this price: the model's action, or None for a tick on which it was not asked."""
    documents = market(price=price, stop=stop)
    snapshot, package = snapshot_of(documents), package_of(documents)
    if action is None:
        standing = StandingDecision(TrailReference("0", "0" * 64), "hold")
        concluded = conclude_unasked(snapshot, package, "no call is due", GuardPolicy(), standing)
    else:
        answered = completion(body(answer_text(action=action)))
        concluded = conclude(snapshot, package, render(template(), package), answered, GuardPolicy())
    draft = compose(Tick(id=f"t{index}", symbol="AAPL"), concluded, METADATA, ())
    return Recorded(draft.leaf, draft.pieces, index=index, origin="llmctx/x")


def report(*records: Recorded, policy: TriggerPolicy = MOVE) -> TriggerReport:
    made = TriggerReport(policy, PRICES)
    for record in records:
        made.add(record)
    return made


def test_calls_that_would_not_be_made_are_saved_and_their_actions_missed() -> None:
    made = report(
        recorded(0, "150", "hold"), recorded(1, "150.3", "exit"), recorded(2, "151.4", "hold"),
        recorded(3, "151.6", "hold"),
    )  # fmt: skip
    assert (made.recorded, made.asked) == (
        Calls(4, 4800, Decimal("0.016")), Calls(2, 2400, Decimal("0.008"))
    )  # fmt: skip
    assert [(missed.entry.index, missed.action) for missed in made.missed] == [(1, "exit")]
    assert made.missed[0].why_not.endswith("the price moved 0.20% of 1%")


def test_an_exit_by_the_stop_needs_no_call_and_is_never_missed() -> None:
    made = report(recorded(0, "150", "hold", stop="149.9"), recorded(1, "149.8", "hold", stop="149.9"))
    assert (made.recorded.calls, made.asked.calls, made.actions["exit"], made.missed) == (2, 1, 1, [])


@pytest.mark.parametrize(("price", "unknown"), [("150.3", 0), ("152", 1)])
def test_what_the_model_would_have_said_on_an_unasked_tick_is_unknown(price: str, unknown: int) -> None:
    made = report(recorded(0, "150", "hold"), recorded(1, price, None))
    assert (made.recorded.calls, made.unknown) == (1, unknown)
