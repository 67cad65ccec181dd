import asyncio
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from llmctx.errors import EndpointError, ReplayError
from llmctx.llm.failures import remedy
from llmctx.llm.price import Price
from llmctx.replay.budget import Budget
from llmctx.replay.plan import Plan
from llmctx.replay.results import ResultsFile, read_results
from llmctx.replay.run import Replay, ReplaySummary
from tests.unit.makers import template_of

from .asking import Model
from .cases import blobs, case

ENTRIES = [case(index) for index in range(6)]
PRICES = {"asked-model": Price(input=Decimal(2), cached=Decimal(1), output=Decimal(10))}
TOKENS = 1200
"""Tokens that one call of the model uses."""


async def run(
    path: Path,
    model: Model,
    plan: Plan | None = None,
    budget: Budget | None = None,
    *,
    fresh: bool = False,
    at_once: int = 3,
) -> ReplaySummary:
    with ResultsFile(path, {"mode": "test"}, fresh=fresh) as file:
        return await Replay(plan or Plan(), blobs(), model, file, budget).run(ENTRIES, concurrency=at_once)


async def test_every_record_is_asked_as_often_as_the_plan_says(tmp_path: Path) -> None:
    model = Model()
    summary = await run(tmp_path / "r.jsonl", model, Plan(repeat=3))
    assert summary == ReplaySummary(asked=18, before=0, left_out=0, stopped=False)
    found = read_results(tmp_path / "r.jsonl").results
    assert sorted((result.index, result.repeat) for result in found) == [(i, r) for i in range(6) for r in (1, 2, 3)]
    assert model.most_at_once == 3


async def test_a_result_holds_both_answers_and_why_they_differ(tmp_path: Path) -> None:
    await run(tmp_path / "r.jsonl", Model(lambda _: {"action": "exit"}, served="newer-model"))
    result = read_results(tmp_path / "r.jsonl").results[0]
    assert (result.recorded.action, result.replayed.action) == ("hold", "exit")
    assert [str(cause) for cause in result.causes] == ["model: served: served-model became newer-model"]
    assert (result.held, result.price, result.symbol) == ("10", "152.5", "AAPL")
    assert result.replayed.messages == result.recorded.messages


async def test_the_same_run_asks_only_what_is_not_answered_yet(tmp_path: Path) -> None:
    path, first = tmp_path / "r.jsonl", Model()
    await run(path, first)
    second = Model()
    assert await run(path, second, Plan(repeat=2)) == ReplaySummary(asked=6, before=6, left_out=0, stopped=False)
    assert len(second.prompts) == 6


async def test_an_answer_cut_off_by_a_kill_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await run(path, Model())
    path.write_bytes(path.read_bytes()[:-40])
    second = Model()
    assert await run(path, second) == ReplaySummary(asked=1, before=5, left_out=0, stopped=False)
    assert len(read_results(path).results) == 6


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110  what is awaited has no event of its own
            await asyncio.sleep(0)


async def test_an_interrupt_loses_no_answer(tmp_path: Path) -> None:
    path, model = tmp_path / "r.jsonl", Model()
    with ResultsFile(path, {"mode": "test"}) as file:
        told: list[object] = []
        replay = Replay(Plan(), blobs(), model, file, on_result=told.append)
        task = asyncio.create_task(replay.run(ENTRIES, concurrency=1))
        await until(lambda: len(told) >= 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(read_results(path).results) == len(told)
    assert (await run(path, Model())).before == len(told)


async def test_calls_without_an_answer_are_asked_again(tmp_path: Path) -> None:
    path, model = tmp_path / "r.jsonl", Model()
    model.down = True
    assert await run(path, model) == ReplaySummary(
        asked=0, before=0, left_out=0, stopped=False, unanswered=6, trouble="connection refused"
    )
    assert {result.replayed.outcome for result in read_results(path).results} == {"unreachable"}
    assert await run(path, Model()) == ReplaySummary(asked=6, before=0, left_out=0, stopped=False)
    assert {result.replayed.outcome for result in read_results(path).results} == {"answered"}


async def test_an_endpoint_that_is_down_ends_the_run(tmp_path: Path) -> None:
    model = Model()
    model.down = True
    with pytest.raises(EndpointError, match="8 calls in a row got no answer; the last one: connection refused"):
        await run(tmp_path / "r.jsonl", model, Plan(repeat=3))


async def test_failures_do_not_end_a_run_without_a_maximum(tmp_path: Path) -> None:
    model = Model()
    model.down = True
    with ResultsFile(tmp_path / "r.jsonl", {"mode": "test"}) as file:
        summary = await Replay(Plan(repeat=3), blobs(), model, file, max_failures=None).run(ENTRIES)
    assert summary.unanswered == 18


async def test_a_run_without_a_result_leaves_no_file(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "r.jsonl", {"mode": "test"}):
        assert (tmp_path / "r.jsonl").exists()
    assert not (tmp_path / "r.jsonl").exists()


@pytest.mark.parametrize(
    ("detail", "says"),
    [
        ("http 401: no", "API key"), ("http 403: no", "API key"), ("http 404: no", "path .* model's name"),
        ("http 429: slow down", "rate limit"), ('http 429: {"code": "insufficient_quota"}', "quota"),
        ("http 400: too long", "says why"), ("http 503: busy", "later"), ("no answer before the deadline", "more time"),
        ("connection: refused", "Check the endpoint"), ("no endpoint was asked: one: circuit", "circuit breaker"),
        ("the limit of 5 requests a minute would mean a wait of 9.0 s", "requests_per_minute"),
    ],
)  # fmt: skip
def test_each_failure_has_its_own_remedy(detail: str, says: str) -> None:
    assert re.search(says, remedy(detail))


@pytest.mark.parametrize("at_once", [1, 3, 6])
async def test_a_budget_in_tokens_is_never_exceeded(tmp_path: Path, at_once: int) -> None:
    model, budget = Model(), Budget(tokens=14_000)
    summary = await run(tmp_path / "r.jsonl", model, Plan(repeat=4), budget, at_once=at_once)
    assert summary.stopped
    assert summary.asked == len(model.prompts) > 0
    assert budget.tokens == TOKENS * len(model.prompts) <= 14_000


async def test_a_budget_includes_what_earlier_runs_used(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await run(path, Model())
    budget = Budget(tokens=TOKENS * 6 + 1)
    assert await run(path, Model(), Plan(repeat=2), budget) == ReplaySummary(
        asked=0, before=6, left_out=0, stopped=True
    )
    assert budget.tokens == TOKENS * 6


async def test_a_budget_in_money_uses_the_price_table(tmp_path: Path) -> None:
    budget = Budget(cost=Decimal("0.05"), prices=PRICES)
    summary = await run(tmp_path / "r.jsonl", Model(), Plan(repeat=9), budget)
    # 232 prompt tokens at 2, 768 cached ones at 1 and 200 completion tokens at 10, each per million
    assert budget.cost == summary.asked * Decimal("0.003232")
    assert summary.stopped
    assert budget.cost <= Decimal("0.05")
    assert read_results(tmp_path / "r.jsonl").results[0].replayed.cost == "0.003232"


async def test_a_budget_in_money_needs_a_price(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="no price for 'asked-model'"):
        await run(tmp_path / "r.jsonl", Model(), budget=Budget(cost=Decimal(1)))


async def test_a_question_without_a_completer_is_left_out(tmp_path: Path) -> None:
    told: list[object] = []
    with ResultsFile(tmp_path / "r.jsonl", {"mode": "test"}) as file:
        replay = Replay(Plan(), blobs(), lambda _, __: None, file, on_result=told.append)
        assert await replay.run(ENTRIES) == ReplaySummary(asked=0, before=0, left_out=6, stopped=False)
    assert told == [None] * 6


async def test_another_prompt_is_named_as_the_cause(tmp_path: Path) -> None:
    other = template_of("{{ symbol }}", ref="position/v2")
    await run(tmp_path / "r.jsonl", Model(), Plan(other))
    causes = {str(cause) for result in read_results(tmp_path / "r.jsonl").results for cause in result.causes}
    assert causes == {"template: position/v1 became position/v2"}
