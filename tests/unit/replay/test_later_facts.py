"""What lies after as_of cannot change a prompt: not what it says, and not what the market did next."""

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
from llmctx.replay.market import Candle, Series
from llmctx.replay.outcome import ends_of, outcome_of, taken_of
from llmctx.replay.plan import Plan, draft
from llmctx.replay.rerun import Templates, rebuild
from tests.unit.context.scene import END_OF_DAY_MS, TEXTS, snapshot_of
from tests.unit.makers import NOW_MS

from .cases import V1, blobs, case

MINUTE = 60_000
WRITTEN = {name: next(field for field in ("timestamp", "last_update", "as_of") if field in text) for name, text in TEXTS.items() if "timestamp" in text or "last_update" in text or "as_of" in text}  # fmt: skip


def prompt_of(snapshot: Snapshot) -> bytes:
    return render(V1, build_package(snapshot)).evidence


def later(section: str, after_ms: int, number: int) -> str:
    """A section of a later time, with every number in it replaced by another one."""

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
def test_whatever_a_later_value_says_the_prompt_is_the_same(
    section: str, after_ms: int, number: int, other: int
) -> None:
    prompts = [snapshot_of({section: later(section, after_ms, said)}, whose="bars") for said in (number, other)]
    assert build_package(prompts[0]).sections[section].status is Status.INVALID
    assert prompt_of(prompts[0]) == prompt_of(prompts[1])


def bars(*closes: int) -> dict[str, Series]:
    candles = [
        Candle(NOW_MS + n * MINUTE, Decimal(close), Decimal(close), Decimal(close), Decimal(close))
        for n, close in enumerate(closes)
    ]
    return {"AAPL": Series(candles, MINUTE)}


@settings(deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=5, max_size=70))
def test_the_outcome_is_read_beside_the_record_and_never_into_it(closes: list[int]) -> None:
    entry, templates = case(), Templates(blobs())
    taken = taken_of(entry)
    assert taken is not None
    before = draft(entry, Plan(V1), templates, blobs()).prompt
    made = outcome_of(taken, bars(*closes), ends_of([taken])).made["5"]
    after = draft(entry, Plan(V1), templates, blobs()).prompt
    assert before is not None
    assert after is not None
    assert before.evidence == after.evidence == entry.pieces["messages"]
    assert rebuild(entry, templates).same
    assert made.move_pct == pytest.approx((closes[4] / 152.5 - 1) * 100)
