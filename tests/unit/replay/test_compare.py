from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmctx.errors import ReplayError
from llmctx.replay.compare import Comparison, compare, compare_results, recorded_cases, replayed_cases
from llmctx.replay.measure import Share
from llmctx.replay.pair import action_of, done_of, flips
from llmctx.replay.plan import Plan
from llmctx.replay.results import Result, read_results
from llmctx.replay.results_file import ResultsFile
from llmctx.replay.run import Replay
from llmctx.replay.side import Side, side_of_record

from .asking import Model
from .cases import ORIGIN, blobs, case

HOLD = side_of_record(case())


def doing(action: str, confidence: str = "0.8", **verdict: str) -> Side:
    decision = {**(HOLD.decision or {}), "action": action, "confidence": confidence}
    return HOLD._replace(
        decision=decision, verdict={"action": action, "reason": "as decided", **verdict}, answer=action
    )


def result(index: int, replayed: Side, recorded: Side = HOLD, *, repeat: int = 1, price: str = "100") -> Result:
    return Result(ORIGIN, 0, index, repeat, "AAPL", 0, recorded, replayed, (), "10", price)


def compared(*results: Result) -> Comparison:
    return compare(("recorded", "b"), recorded_cases(results), replayed_cases(results))


def test_agreement_and_matrix_count_each_decision_once() -> None:
    found = compared(result(0, HOLD), result(1, doing("exit")), result(2, doing("exit")), result(3, HOLD))
    assert found.agreement == Share(2, 4)
    assert found.matrix == {("hold", "hold"): 2, ("hold", "exit"): 2}


def test_repeats_count_as_the_action_that_came_most_often() -> None:
    found = compared(
        result(0, doing("exit"), repeat=1), result(0, HOLD, repeat=2), result(0, HOLD, repeat=3), result(1, HOLD)
    )
    assert found.agreement == Share(2, 2)
    assert found.b.itself == Share(1, 3)
    assert (found.b.decisions, found.b.answers) == (2, 4)


def test_flips_come_worst_first_by_what_is_at_stake() -> None:
    found = compared(
        result(0, doing("reduce", quantity="2")),
        result(1, doing("exit", quantity="10")),
        result(2, doing("adjust_stops", stop_loss="90")),
        result(3, doing("add", quantity="5"), price="300"),
    )
    assert [pair.result.index for pair in found.flips] == [3, 1, 0, 2]
    assert [pair.at_stake for pair in found.flips] == [1500, 1000, 200, 50]


def test_from_adding_to_leaving_is_worse_than_from_holding_to_leaving() -> None:
    both = compared(result(0, doing("exit"), doing("add", quantity="10")), result(1, doing("exit")))
    assert [pair.at_stake for pair in both.flips] == [2000, 1000]


def test_equal_stakes_are_ordered_by_how_sure_the_second_side_is() -> None:
    found = compared(result(0, doing("exit", "0.6")), result(1, doing("exit", "0.9")))
    assert [pair.result.index for pair in found.flips] == [1, 0]


def test_an_answer_that_cannot_be_used_is_a_row_of_its_own() -> None:
    failed = HOLD._replace(kind="failed", decision=None, outcome="refused")
    found = compared(result(0, failed), result(1, HOLD))
    assert found.matrix == {("hold", "no answer"): 1, ("hold", "hold"): 1}
    assert found.b.failed == Share(1, 2)
    assert found.decided == Share(1, 1)


def test_a_guardrail_hides_no_disagreement_of_the_models() -> None:
    guarded = doing("exit")._replace(verdict={"action": "hold", "guards": [{"name": "market_closed", "detail": "x"}]})
    found = compared(result(0, guarded))
    assert (found.agreement, found.decided) == (Share(1, 1), Share(0, 1))
    assert (found.b.guarded, found.b.guards) == (Share(1, 1), {"market_closed": 1})


def test_confidence_shifts_decision_by_decision() -> None:
    found = compared(result(0, doing("hold", "0.9")), result(1, doing("hold", "0.6")))
    assert found.shift is not None
    assert found.shift.value == pytest.approx(-0.05)


def test_amounts_are_compared_where_the_action_is_the_same() -> None:
    found = compared(
        result(0, doing("reduce", quantity="5"), doing("reduce", quantity="4")),
        result(1, doing("reduce", quantity="4"), doing("reduce", quantity="4")),
        result(2, doing("exit", quantity="10"), doing("reduce", quantity="4")),
    )
    (quantity, *_) = found.moved
    assert (quantity.both, quantity.changed, quantity.median_pct) == (2, 1, 25.0)


def test_tokens_cost_and_latency_are_summed_up() -> None:
    priced = doing("hold")._replace(
        cost="0.002", latency_ms=100, usage={"prompt": 10, "completion": 3, "cached": 4, "reasoning": 0}
    )
    found = compared(result(0, priced), result(1, priced._replace(latency_ms=300)))
    assert (found.b.tokens_in, found.b.tokens_cached, found.b.tokens_out) == (20, 8, 6)
    assert (found.b.cost, found.b.latency_ms, found.b.latency_p95_ms) == (Decimal("0.004"), 100.0, 300.0)
    assert found.a.cost is None


def grounded(cited: int, uncited: int = 0, **faults: list[dict[str, str]]) -> dict[str, Any]:
    return {"evidence": 1, "cited": cited, "uncited": uncited, "unread": 0} | faults


def test_the_share_cited_is_of_all_numbers_and_faults_make_an_answer_not_supported() -> None:
    sides = [
        grounded(3),
        grounded(1, 2, false_prices=[{"field": "reasoning"}]),
        grounded(0, miscited=[{"field": "reasoning"}, {"field": "evidence[0]"}]),
        {"evidence": 1, "numbers": 4, "unsupported": [{"field": "reasoning"}]},  # as 0.1.0 counted
    ]
    told = compared(*(result(i, doing("hold")._replace(grounding=side)) for i, side in enumerate(sides))).b
    assert (told.cited, told.supported) == (Share(4, 7), Share(1, 3))


def test_causes_are_counted_for_all_that_differs_and_for_flips() -> None:
    other = HOLD._replace(template="position/v2", template_sha256="f" * 64)
    flipped = doing("exit")._replace(served="b", template="position/v2", template_sha256="f" * 64)
    found = compared(result(0, other._replace(messages=())), result(1, flipped))
    assert found.blame == {"template": 2, "model": 1}
    assert found.flip_blame == {"template": 1, "model": 1}


def test_what_only_one_side_has_is_counted_and_left_out() -> None:
    results = [result(0, HOLD), result(1, HOLD)]
    found = compare(("a", "b"), replayed_cases(results), replayed_cases(results[:1]))
    assert (len(found.pairs), found.only) == (1, (1, 0))


def test_without_a_common_decision_there_is_nothing_to_compare() -> None:
    with pytest.raises(ReplayError, match="no decision in common"):
        compare(("a", "b"), replayed_cases([result(0, HOLD)]), replayed_cases([result(1, HOLD)]))


async def test_files_are_compared_with_each_other_and_with_the_record(tmp_path: Path) -> None:
    for name, say in (("a", {}), ("b", {"action": "exit"})):
        with ResultsFile(tmp_path / f"{name}.jsonl", {"mode": name}) as file:
            model = Model(lambda _, say=say: say)  # type: ignore[misc]
            await Replay(Plan(), blobs(), model, file).run([case(0), case(1)])
    a, b = str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")
    assert compare_results("recorded", a)[0].agreement == Share(2, 2)
    both, asked = compare_results(a, b)
    assert (both.agreement, asked) == (Share(0, 2), {"a.jsonl": {"mode": "a"}, "b.jsonl": {"mode": "b"}})
    assert (both.a.name, both.b.name) == ("a.jsonl", "b.jsonl")
    document = both.as_dict()
    assert [flip["causes"] for flip in document["flips"]] == [
        ["model: sampling: the same request to the same model, answered otherwise"]
    ] * 2
    assert len(read_results(Path(a)).results) == 2


def failing(action: str = "hold", outcome: str = "truncated") -> Side:
    verdict = {"action": action, "reason": f"{outcome}: why"} | ({"quantity": "10"} if action == "exit" else {})
    return HOLD._replace(kind="failed", decision=None, outcome=outcome, detail="why", verdict=verdict)


def test_an_answer_that_cannot_be_used_is_a_flip_only_where_something_else_would_be_done() -> None:
    found = compared(
        result(0, failing()), result(1, failing("exit")), result(2, failing(), doing("exit", quantity="10")),
        result(3, failing("exit"), doing("exit", quantity="10")),
    )  # fmt: skip
    assert [pair.result.index for pair in found.flips] == [1, 2]
    assert [pair.at_stake for pair in found.flips] == [1000, 1000]
    assert found.matrix == {("hold", "no answer"): 2, ("exit", "no answer"): 2}


def test_decisions_without_an_answer_are_told_apart_from_agreement() -> None:
    found = compared(result(0, failing()), result(1, HOLD), result(2, doing("exit")))
    assert (found.answerless, found.agreement) == (1, Share(1, 2))


def test_where_nobody_was_asked_the_position_stays_as_after_a_hold() -> None:
    skipped = HOLD._replace(kind="skipped", decision=None, verdict={"action": "none", "reason": "no price"})
    assert not flips(HOLD, skipped)
    assert flips(doing("exit"), skipped)
    assert (action_of(skipped), done_of(skipped)) == ("not asked", "hold")


def test_calls_that_got_no_answer_are_counted_and_left_out_of_everything_else() -> None:
    away = failing(outcome="unreachable")
    found = compared(
        result(0, away, repeat=1), result(0, doing("exit"), repeat=2), result(1, away), result(2, HOLD),
    )  # fmt: skip
    assert (found.b.unanswered, found.b.answers, found.b.failed) == (2, 2, Share(0, 2))
    assert (found.agreement, len(found.pairs), found.only) == (Share(1, 2), 2, (0, 0))
    with pytest.raises(ReplayError, match="No call got an answer"):
        compared(result(0, away))


def test_a_file_without_results_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").touch()
    with ResultsFile(tmp_path / "r.jsonl", {"mode": "again"}):
        pass
    with pytest.raises(ReplayError, match=r"r\.jsonl has no results"):
        compare_results("recorded", str(tmp_path / "r.jsonl"))
