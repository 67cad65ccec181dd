"""When a tick deserves a call of the model."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from llmctx.context.package import Package
from llmctx.decision.trigger import TriggerPolicy, reason_not_to_ask, seen_in
from tests.unit.makers import NOW, market, package_of

LATER = "2025-05-09T10:15:00.000Z"
"""Another time that is not after the packages'."""


def package(price: str = "152.5", *, signal: str | None = None, headline: str | None = None, **changes: Any) -> Package:
    documents = market(price=price, **changes)
    if signal is not None:
        documents["signals.entry"] = {
            "reason": "breakout", "price": 150, "timestamp": signal, "indicators": {}, "confidence": 0.7,
        }  # fmt: skip
    if headline is not None:
        news = {"headline": headline, "source": "wire", "timestamp": LATER, "url": "https://example.org/1"}
        documents["sentiment"] = {
            "sentiment_score": 0.1, "sentiment_label": "neutral", "news_count": 1, "latest_news": [news],
            "timestamp": NOW,
        }  # fmt: skip
    return package_of(documents)


BEFORE = package(signal=LATER, headline="Old news")
ALWAYS_DUE = {
    "a position of another size": package(quantity="11"),
    "another side": package(side="short", stop="160", target="140"),
}
CASES = {
    "no signal": (TriggerPolicy(new_signal=True), package(), "no new signal"),
    "the same signal": (TriggerPolicy(new_signal=True), package(signal=LATER), "no new signal"),
    "a newer signal": (TriggerPolicy(new_signal=True), package(signal=NOW), None),
    "the same headline": (TriggerPolicy(fresh_news=True), package(headline="Old news"), "no fresh headline"),
    "a fresh headline": (TriggerPolicy(fresh_news=True), package(headline="New news"), None),
    "far from both levels": (
        TriggerPolicy(near_level_pct=Decimal(2)), package("150"), "not nearer to stop or target within 2%",
    ),
    "near the stop": (TriggerPolicy(near_level_pct=Decimal(2)), package("147"), None),
    "near the target": (TriggerPolicy(near_level_pct=Decimal(2)), package("158"), None),
    "a small move": (TriggerPolicy(move_pct=Decimal(1)), package("153"), "the price moved 0.33% of 1%"),
    "a large move": (TriggerPolicy(move_pct=Decimal(1)), package("150.9"), None),
    "too early": (TriggerPolicy(every_minutes=5), package(), "0 of 5 minutes passed"),
    "nothing changed but times": (
        TriggerPolicy(changed=True), package(signal=NOW, headline="Old news", price_at=LATER), "nothing changed",
    ),
    "another price": (TriggerPolicy(changed=True), package("152.51", signal=LATER, headline="Old news"), None),
    "one reason of two": (TriggerPolicy(changed=True, move_pct=Decimal(1)), package("151"), None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_rule_says_whether_a_call_is_due_and_why_not(case: str) -> None:
    policy, now, why_not = CASES[case]
    reason = reason_not_to_ask(policy, now, seen_in(BEFORE))
    assert reason == (None if why_not is None else f"no call is due since {NOW}: {why_not}")


@pytest.mark.parametrize("case", ALWAYS_DUE)
def test_another_position_always_deserves_a_call(case: str) -> None:
    assert reason_not_to_ask(TriggerPolicy(new_signal=True), ALWAYS_DUE[case], seen_in(BEFORE)) is None


def test_time_alone_makes_a_call_due() -> None:
    seen = seen_in(BEFORE)
    policy = TriggerPolicy(every_minutes=5)
    assert reason_not_to_ask(policy, BEFORE, seen._replace(as_of_ms=seen.as_of_ms - 299_999)) is not None
    assert reason_not_to_ask(policy, BEFORE, seen._replace(as_of_ms=seen.as_of_ms - 300_000)) is None


def test_near_a_level_only_a_nearer_price_is_another_reason() -> None:
    policy = TriggerPolicy(near_level_pct=Decimal(2))
    near = seen_in(package("147"))
    assert reason_not_to_ask(policy, package("147"), near) is not None
    assert reason_not_to_ask(policy, package("147.5"), near) is not None
    assert reason_not_to_ask(policy, package("146.9"), near) is None


def test_without_an_earlier_call_one_is_due() -> None:
    assert reason_not_to_ask(TriggerPolicy(new_signal=True), package(), None) is None


def test_a_trigger_without_any_reason_is_refused() -> None:
    with pytest.raises(ValidationError, match="no reason for a call is set"):
        TriggerPolicy()
