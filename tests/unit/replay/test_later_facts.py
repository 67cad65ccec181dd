"""Nothing after as_of changes a prompt: neither later values in the snapshot nor the market afterwards."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmctx import clock
from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.context.staleness import Status
from llmctx.prompt.render import render
from llmctx.replay.outcome import last_seen, outcome_of, past_decision
from llmctx.replay.plan import Plan, build_request
from llmctx.replay.price_series import Candle, PriceSeries
from tests.unit.context.scene import END_OF_DAY_MS, TEXTS, snapshot_of
from tests.unit.makers import NOW_MS

from .cases import V1, blobs, case

MINUTE = 60_000
TIME_FIELDS = ("timestamp", "last_update", "as_of")
WRITTEN = {
    name: next(field for field in TIME_FIELDS if field in text)
    for name, text in TEXTS.items()
    if any(field in text for field in TIME_FIELDS)
}


def prompt_of(snapshot: Snapshot) -> bytes:
    return render(V1, build_package(snapshot)).evidence


def later(section: str, after_ms: int, number: int) -> str:
    """Return a section with a later time and every number replaced."""

    def other(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: other(item) for name, item in value.items()}
        if isinstance(value, list):
            return [other(item) for item in value]
        return number if isinstance(value, int | float) and not isinstance(value, bool) else value

    document = other(json.loads(TEXTS[section]))
    for written in document if isinstance(document, list) else [document]:
        written[WRITTEN[section]] = clock.iso(END_OF_DAY_MS + after_ms)
    return json.dumps(document)


@pytest.mark.parametrize("section", sorted(WRITTEN))
@settings(deadline=None)
@given(after_ms=st.integers(1, 10**9), number=st.integers(1, 10**6), other=st.integers(1, 10**6))
def test_the_content_of_a_later_value_does_not_change_the_prompt(
    section: str, after_ms: int, number: int, other: int
) -> None:
    prompts = [snapshot_of({section: later(section, after_ms, said)}, whose="bars") for said in (number, other)]
    assert build_package(prompts[0]).sections[section].status is Status.INVALID
    assert prompt_of(prompts[0]) == prompt_of(prompts[1])


def bars(*closes: int) -> dict[str, PriceSeries]:
    candles = [
        Candle(NOW_MS + n * MINUTE, Decimal(close), Decimal(close), Decimal(close), Decimal(close))
        for n, close in enumerate(closes)
    ]
    return {"AAPL": PriceSeries(candles, MINUTE)}


@settings(deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=5, max_size=70))
def test_evaluating_the_outcome_does_not_change_the_prompt(closes: list[int]) -> None:
    entry = case()
    decision = past_decision(entry)
    assert decision is not None
    before = build_request(entry, Plan(V1), blobs()).prompt
    result = outcome_of(decision, bars(*closes), last_seen([decision])).results["5"]
    after = build_request(entry, Plan(V1), blobs()).prompt
    assert before is not None
    assert after is not None
    assert before.evidence == after.evidence == entry.pieces["messages"]
    assert result.move_pct == pytest.approx((closes[4] / 152.5 - 1) * 100)
