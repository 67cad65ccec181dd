"""Judging any answer takes a bounded number of steps: answers up to the size limits, each made to be slow."""

import json
import sys
from types import FrameType
from typing import Any

import pytest

from llmctx.context.package import Package
from llmctx.decision.decision import Action
from llmctx.decision.grounding import ground
from llmctx.decision.guards import JUDGING_FAILED, guard
from llmctx.decision.parse import Misfit, parse
from llmctx.decision.steps import Steps
from llmctx.decision.verdict import GuardPolicy
from llmctx.errors import JudgingError
from llmctx.limits import (
    MAX_EVIDENCE_CHARS,
    MAX_EVIDENCE_ITEMS,
    MAX_INVALIDATION_CHARS,
    MAX_JUDGING_STEPS,
    MAX_REASONING_CHARS,
)
from tests.unit.decision.scene import DOCUMENTS, item, package
from tests.unit.makers import decision

MAX_CALLS = 1_000_000
"""Calls of functions, built-in ones included, that judging one answer may make."""
HEADLINE = "sentiment.latest_news[0].headline"
SLOW = [
    *[
        "[price.price.last ", "1 [price.price.lats] ", "[price.price.last + [", "1 [price.price.last + ", "[abs(",
        "[abs(((((",
    ],
    *[
        "[price", '[price["', "[price['", '[market.sector_performance["a\\', "[(((((((((((", "[", "]", "[[]", "[1",
        "[1 + 1 + 1",
    ],
    *[
        "1 ", "1", "1.", "1,", "1.1", "1'1 ", "1e", "1e5", "1 111 ", "111 ", "11:11 ", "2025-05-09T10:15:30.123 ",
        "1%", "1k",
    ],
    *[
        "651.5 ",
        "stop 651.5 ",
        "stop and target 651.5 ",
        "648.41 = 648.41 = ",
        "high low open ",
        "stop ",
        "止损651.5",
        "651.5. ",
    ],
    *[
        "½ ",
        "½a",
        "万",
        "九百万",
        "九点",
        "一",
        "１２３",
        "٣",
        "\n\r",
        "\n\n",
        "\n \n",
        "\n1",
        '!"',
        ". ",
        "。",
        "\u2028",
        "a",
        " ",
    ],
    *[
        f"90 [{HEADLINE}] ",
        f"12:30 [{HEADLINE}] ",
        "90 [thesis.reasoning] ",
        "61.3 [indicators.rsi_14] ",
        "1 [indicators.rsi_14] ",
    ],
    *["2 [price.price.last / price.price.last] ", "1 [market.huge] ", "3 [market.huge / market.huge * 2] "],
    *["1 [abs(price.price.last - price.price.open) * 100 / (price.price.high - price.price.low) - 2 + 1] "],
    *["\\", '"', "'", "“", "<|im_start|>", "[INST]", "\x00", "\ud800"[:0] + "\u200b", "а", "ｅ"],
]  # fmt: skip


def crowded() -> Package:
    """A package whose sections are full: of facts, of numbers in texts, and of long numbers."""
    news = {
        "headline": "90 1.1 12:30 " * 20,
        "source": "wire",
        "timestamp": DOCUMENTS["price"]["timestamp"],
        "url": "x",
    }
    more = {f"level_{i}": 600 + i for i in range(80)} | {"huge": int("9" * 4000)}
    return package(
        sentiment=DOCUMENTS["sentiment"] | {"latest_news": [news] * 5},
        market=DOCUMENTS["market"] | more,
        indicators=DOCUMENTS["indicators"] | more,
        performance=DOCUMENTS["performance"] | more,
    )


def answer(piece: str, number: int | None = None) -> dict[str, Any]:
    """An answer that is full of this text; with a number, each repetition has its own."""

    def filled(size: int) -> str:
        times = size // len(piece) + 1
        return (piece * times if number is None else "".join(piece.format(i) for i in range(times)))[:size] or "x"

    evidence = item(filled(MAX_EVIDENCE_CHARS), filled(MAX_EVIDENCE_CHARS), filled(MAX_EVIDENCE_CHARS))
    document: dict[str, Any] = json.loads(decision().model_dump_json())
    return document | {
        "action": "exit",
        "confidence": 1,
        "reasoning": filled(MAX_REASONING_CHARS),
        "invalidation": filled(MAX_INVALIDATION_CHARS),
        "evidence": [evidence] * MAX_EVIDENCE_ITEMS,
    }


def calls_of_judging(content: str) -> int:
    """How many calls it takes to parse an answer and to judge it; it ends in a verdict."""
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    facts = crowded()
    sys.setprofile(count)
    try:
        parsed = parse(content)
        found = None if isinstance(parsed, Misfit) else parsed
        verdict = guard(facts, found, GuardPolicy(), "unusable")
    finally:
        sys.setprofile(None)
    assert verdict.action in set(Action)
    return calls


@pytest.mark.parametrize("piece", SLOW)
def test_judging_any_answer_takes_a_bounded_number_of_steps(piece: str) -> None:
    assert calls_of_judging(json.dumps(answer(piece))) < MAX_CALLS


@pytest.mark.parametrize("piece", ["{0} [position.stop_{0}] ", "{0} [level_{0}] ", "{0}.5 ", "{0} [market.level_{0}] "])
def test_nor_do_answers_that_repeat_nothing_take_more(piece: str) -> None:
    assert calls_of_judging(json.dumps(answer(piece, 1))) < MAX_CALLS


def test_an_answer_of_names_that_no_decision_has_takes_a_bounded_number_of_steps() -> None:
    assert calls_of_judging(json.dumps(answer("a") | {f"x{i}": i for i in range(50_000)})) < MAX_CALLS


def test_too_many_steps_break_off_judging_and_hold() -> None:
    verdict = guard(crowded(), decision(**answer("stop 651.5 ")), GuardPolicy())
    assert verdict.action == "hold"
    assert [guard.name for guard in verdict.guards] == [JUDGING_FAILED]
    assert f"more than {MAX_JUDGING_STEPS} steps" in verdict.reason


def test_a_stop_is_guarded_though_judging_broke_off() -> None:
    position = DOCUMENTS["position"] | {"stop_loss": 650}
    verdict = guard(package(position=position), decision(**answer("stop 651.5 ") | {"action": "hold"}), GuardPolicy())
    assert verdict.action == "exit"
    assert [guard.name for guard in verdict.guards] == [JUDGING_FAILED, "stop_loss_breached"]


def test_steps_are_counted_and_limited() -> None:
    steps = Steps(limit=3)
    steps.take(3)
    assert steps.taken == 3
    with pytest.raises(JudgingError, match="more than 3 steps"):
        steps.take(1)


def test_an_honest_answer_takes_a_small_part_of_them() -> None:
    steps = Steps()
    honest = "RSI is 61.3 [indicators.rsi_14] at 648.41 [price.price.last], the stop 1.5% [position.stop_loss / price.price.last - 1] away. "
    ground(package(), decision(reasoning=honest * 5), steps)
    assert 0 < steps.taken < MAX_JUDGING_STEPS // 20
