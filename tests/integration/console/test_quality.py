"""The quality of answers: what is counted, what became of decisions, and which versions were in use when."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.console.measured import Measured
from llmctx.console.quality import quality_of
from llmctx.console.trend import trends_of
from tests.integration.console.conftest import Browser
from tests.integration.program import Program

NOW_MS = 1772463600000
MINUTE_MS = 60_000


async def add_bars(redis: Redis, closes: Sequence[int]) -> None:
    """Bars of AAPL from three minutes after the decisions on, and no others."""
    await redis.delete("stocks:bars:AAPL")
    for minute, close in enumerate(closes, start=3):
        bar: dict[Any, Any] = dict.fromkeys(("open", "high", "low", "close"), close)
        await redis.xadd("stocks:bars:AAPL", {**bar, "volume": 1}, id=f"{NOW_MS + minute * MINUTE_MS}-0")


async def test_quality_counts_wrong_numbers_by_prompt_and_model(browser: Browser) -> None:
    found = (await browser.get("/api/v1/quality")).document
    (version,) = found["by_version"]
    assert (found["answers"], version["asked"], version["judged"], version["gain"]) == (3, 3, 0, None)
    assert version["wrong"] >= 1
    page = (await browser.get("/quality")).text
    assert "2026-03-02" in page
    assert "No decision can be judged yet" in page


async def test_a_decision_is_judged_once_the_bars_reach_fifteen_minutes(browser: Browser, valkey: Redis) -> None:
    await add_bars(valkey, [101] * 11)
    assert (await browser.get("/api/v1/quality")).document["by_version"][0]["judged"] == 0


async def test_holding_was_right_and_leaving_wrong_when_the_price_rose(
    dumb: Program, browser: Browser, valkey: Redis
) -> None:
    await add_bars(valkey, range(101, 115))
    found = (await browser.get("/api/v1/quality")).document
    (version,) = found["by_version"]
    assert (version["judged"], version["right"]) == (2, 1)
    assert Decimal(version["gain"]) < 0
    *_, told = (await dumb("outcome", "--json")).lines
    assert told["calibration"]["brier"] == pytest.approx(version["brier"])
    assert [each["right"] for each in found["calibration"]] == [
        each["right"]["count"] for each in told["calibration"]["reliability"]
    ]
    assert '50% <span class="quiet">of 2</span>' in (await browser.get("/quality")).text


@pytest.mark.parametrize("terms", ["symbol=MSFT", "prompt=position", "model=scripted", "since=2026-03-02T15:00Z"])
async def test_quality_is_measured_of_what_is_asked_for(browser: Browser, terms: str) -> None:
    found = (await browser.get(f"/api/v1/quality?{terms}&limit=2")).document
    assert found["answers"] == (1 if "MSFT" in terms else 2)


async def test_a_term_that_is_not_known_is_refused(browser: Browser) -> None:
    answer = await browser.get("/api/v1/quality?guard=adds")
    assert answer.status == 400
    assert "no term 'guard'" in json.loads(answer.text)["error"]


def measured(minute: int, model: str, wrong: int = 0) -> Measured:
    return Measured(
        at_ms=NOW_MS + minute * MINUTE_MS, symbol="AAPL", prompt="position/v4", model=model, code="llmctx 1",
        mandate=None, failed=False, guarded=False, numbers=4, cited=4 - wrong, wrong=wrong, confidence=0.6, tokens=10,
        cost=None, took_ms=5.0, decided=None,
    )  # fmt: skip


def test_versions_are_shown_with_the_periods_in_which_they_were_in_use() -> None:
    answers = [*(measured(minute, "old") for minute in range(3)), *(measured(minute, "new", 2) for minute in (3, 5))]
    found = quality_of(answers, {})
    uses = {use.name: use for use in found.in_use if use.kind == "prompt and model"}
    assert (uses["position/v4 · old"].periods, uses["position/v4 · old"].newest) == ((0, 1, 2), False)
    assert (uses["position/v4 · new"].periods, uses["position/v4 · new"].newest) == ((3, 4), True)
    assert not [use for use in found.in_use if use.kind == "limits"]
    (cited,) = [trend for trend in trends_of(found) if trend.name == "cited"]
    assert (cited.low, cited.high, cited.newest, len(cited.points)) == ("50%", "100%", "50%", 5)


def test_a_year_of_answers_is_shown_in_few_periods() -> None:
    found = quality_of([measured(minute, "model") for minute in range(0, 365 * 1440, 720)], {})
    assert len(found.by_period) <= 48
    assert sum(group.asked for group in found.by_period) == 730
