from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmctx.errors import ReplayError
from llmctx.replay.answer import Answer, recorded_answer
from llmctx.replay.compare import Comparison, compare, compare_results
from llmctx.replay.plan import Plan
from llmctx.replay.results import Result, ResultsFile
from llmctx.replay.run import Replay
from llmctx.replay.sides import recorded_decisions, replayed_decisions
from llmctx.replay.stats import Share

from .asking import Model
from .cases import ORIGIN, blobs, case

HOLD = recorded_answer(case())


def doing(action: str, confidence: str = "0.8", **verdict: str) -> Answer:
    decision = {**(HOLD.decision or {}), "action": action, "confidence": confidence}
    return HOLD._replace(decision=decision, verdict={"action": action, "reason": "as decided", **verdict}, text=action)


def result(index: int, replayed: Answer, recorded: Answer = HOLD, *, repeat: int = 1, price: str = "100") -> Result:
    return Result(
        origin=ORIGIN,
        partition=0,
        index=index,
        repeat=repeat,
        symbol="AAPL",
        as_of_ms=0,
        recorded=recorded,
        replayed=replayed,
        held="10",
        price=price,
    )


def compared(*results: Result) -> Comparison:
    return compare(("recorded", "b"), recorded_decisions(results), replayed_decisions(results))


def test_agreement_and_matrix_count_each_decision_once() -> None:
    found = compared(result(0, HOLD), result(1, doing("exit")), result(2, doing("exit")), result(3, HOLD))
    assert found.agreement == Share(2, 4)
    assert found.matrix == {("hold", "hold"): 2, ("hold", "exit"): 2}
    assert found.flip_matrix.actions == ["exit", "hold"]
    assert [cell.share for cell in found.flip_matrix.rows[1]] == [0.5, 0.5]


def test_repeats_count_as_the_most_frequent_action() -> None:
    found = compared(
        result(0, doing("exit"), repeat=1), result(0, HOLD, repeat=2), result(0, HOLD, repeat=3), result(1, HOLD)
    )
    assert found.agreement == Share(2, 2)
    assert found.b.self_consistency == Share(1, 3)
    assert (found.b.decisions, found.b.answers) == (2, 4)


def test_flips_are_ordered_by_value_at_stake() -> None:
    found = compared(
        result(0, doing("reduce", quantity="2")),
        result(1, doing("exit", quantity="10")),
        result(2, doing("adjust_stops", stop_loss="90")),
        result(3, doing("add", quantity="5"), price="300"),
    )
    assert [pair.result.index for pair in found.flips] == [3, 1, 0, 2]
    assert [pair.at_stake for pair in found.flips] == [1500, 1000, 200, 50]


def test_a_change_from_add_to_exit_has_more_at_stake_than_from_hold_to_exit() -> None:
    both = compared(result(0, doing("exit"), doing("add", quantity="10")), result(1, doing("exit")))
    assert [pair.at_stake for pair in both.flips] == [2000, 1000]


def test_equal_stakes_are_ordered_by_confidence_of_the_second_side() -> None:
    found = compared(result(0, doing("exit", "0.6")), result(1, doing("exit", "0.9")))
    assert [pair.result.index for pair in found.flips] == [1, 0]


def test_unusable_answers_have_their_own_column() -> None:
    failed = HOLD._replace(kind="failed", decision=None, outcome="refused")
    found = compared(result(0, failed), result(1, HOLD))
    assert found.matrix == {("hold", "no answer"): 1, ("hold", "hold"): 1}
    assert found.b.failed == Share(1, 2)
    assert found.decided == Share(1, 1)


def test_a_guardrail_does_not_hide_that_the_models_disagree() -> None:
    guarded = doing("exit")._replace(verdict={"action": "hold", "guards": [{"name": "market_closed", "detail": "x"}]})
    found = compared(result(0, guarded))
    assert (found.agreement, found.decided) == (Share(1, 1), Share(0, 1))
    assert (found.b.guarded, found.b.guards) == (Share(1, 1), {"market_closed": 1})


def test_the_confidence_shift_is_paired_by_decision() -> None:
    found = compared(result(0, doing("hold", "0.9")), result(1, doing("hold", "0.6")))
    assert found.shift is not None
    assert found.shift.value == pytest.approx(-0.05)


def test_amounts_are_compared_only_for_the_same_action() -> None:
    found = compared(
        result(0, doing("reduce", quantity="5"), doing("reduce", quantity="4")),
        result(1, doing("reduce", quantity="4"), doing("reduce", quantity="4")),
        result(2, doing("exit", quantity="10"), doing("reduce", quantity="4")),
    )
    (quantity, *_) = found.moved
    assert (quantity.both, quantity.changed, quantity.median_pct) == (2, 1, 25.0)


def test_tokens_and_cost_are_added_up_and_latency_has_percentiles() -> None:
    priced = doing("hold")._replace(
        cost="0.002", latency_ms=100, usage={"prompt": 10, "completion": 3, "cached": 4, "reasoning": 0}
    )
    found = compared(result(0, priced), result(1, priced._replace(latency_ms=300)))
    assert (found.b.tokens_in, found.b.tokens_cached, found.b.tokens_out) == (20, 8, 6)
    assert (found.b.cost, found.b.latency_ms, found.b.latency_p95_ms) == (Decimal("0.004"), 100.0, 300.0)
    assert found.a.cost is None


def grounded(cited: int, uncited: int = 0, **faults: list[dict[str, str]]) -> dict[str, Any]:
    return {"evidence": 1, "cited": cited, "uncited": uncited, "unread": 0} | faults


def test_false_numbers_and_missing_citations_are_counted() -> None:
    groundings = [
        grounded(3),
        grounded(1, 2, false_prices=[{"field": "reasoning"}]),
        grounded(0, miscited=[{"field": "reasoning"}, {"field": "evidence[0]"}]),
        {"evidence": 1, "numbers": 4, "unsupported": [{"field": "reasoning"}]},  # as version 0.1.0 counted
    ]
    answers = [doing("hold")._replace(grounding=grounding) for grounding in groundings]
    found = compared(*(result(index, answer) for index, answer in enumerate(answers))).b
    assert (found.cited, found.supported) == (Share(4, 7), Share(1, 3))


def test_causes_are_counted_for_all_differences_and_for_flips() -> None:
    other = HOLD._replace(template="position/v2", template_sha256="f" * 64)
    flipped = doing("exit")._replace(served="b", template="position/v2", template_sha256="f" * 64)
    found = compared(result(0, other._replace(messages=())), result(1, flipped))
    assert found.blame == {"template": 2, "model": 1}
    assert found.flip_blame == {"template": 1, "model": 1}


def test_decisions_of_one_side_only_are_counted_and_left_out() -> None:
    results = [result(0, HOLD), result(1, HOLD)]
    found = compare(("a", "b"), replayed_decisions(results), replayed_decisions(results[:1]))
    assert (len(found.pairs), found.only) == (1, (1, 0))


def test_comparing_nothing_in_common_fails() -> None:
    with pytest.raises(ReplayError, match="no decision in common"):
        compare(("a", "b"), replayed_decisions([result(0, HOLD)]), replayed_decisions([result(1, HOLD)]))


async def test_files_are_compared_with_each_other_and_with_the_record(tmp_path: Path) -> None:
    for name, model in (("a", Model()), ("b", Model(lambda _: {"action": "exit"}))):
        with ResultsFile(tmp_path / f"{name}.jsonl", {"mode": name}) as file:
            await Replay(Plan(), blobs(), model, file).run([case(0), case(1)])
    a, b = str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")
    assert compare_results("recorded", a)[0].agreement == Share(2, 2)
    both, questions = compare_results(a, b)
    assert (both.agreement, questions) == (Share(0, 2), {"a.jsonl": {"mode": "a"}, "b.jsonl": {"mode": "b"}})
    assert (both.a.name, both.b.name) == ("a.jsonl", "b.jsonl")
    document = both.as_dict()
    assert [flip["causes"] for flip in document["flips"]] == [
        ["model: sampling: the same request to the same model got another answer"]
    ] * 2


def failing(action: str = "hold", outcome: str = "truncated") -> Answer:
    verdict = {"action": action, "reason": f"{outcome}: why"} | ({"quantity": "10"} if action == "exit" else {})
    return HOLD._replace(kind="failed", decision=None, outcome=outcome, detail="why", verdict=verdict)


def test_an_unusable_answer_is_a_flip_only_if_it_leads_to_another_action() -> None:
    found = compared(
        result(0, failing()),
        result(1, failing("exit")),
        result(2, failing(), doing("exit", quantity="10")),
        result(3, failing("exit"), doing("exit", quantity="10")),
    )
    assert [pair.result.index for pair in found.flips] == [1, 2]
    assert [pair.at_stake for pair in found.flips] == [1000, 1000]
    assert found.matrix == {("hold", "no answer"): 2, ("exit", "no answer"): 2}


def test_unusable_answers_do_not_count_towards_agreement() -> None:
    found = compared(result(0, failing()), result(1, HOLD), result(2, doing("exit")))
    assert (found.answerless, found.agreement) == (1, Share(1, 2))


def test_calls_without_an_answer_are_counted_and_left_out_of_all_other_figures() -> None:
    away = failing(outcome="unreachable")
    found = compared(result(0, away, repeat=1), result(0, doing("exit"), repeat=2), result(1, away), result(2, HOLD))
    assert (found.b.unanswered, found.b.answers, found.b.failed) == (2, 2, Share(0, 2))
    assert (found.agreement, len(found.pairs), found.only) == (Share(1, 2), 2, (0, 0))
    with pytest.raises(ReplayError, match="No call got an answer"):
        compared(result(0, away))


def test_a_results_file_without_results_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").touch()
    with ResultsFile(tmp_path / "r.jsonl", {"mode": "again"}):
        pass
    with pytest.raises(ReplayError, match=r"r\.jsonl has no results"):
        compare_results("recorded", str(tmp_path / "r.jsonl"))
