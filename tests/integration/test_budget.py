"""The daily budget: what calls under way may use together, on a real server."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from llmctx.cli.shared.decision_config import budget_of, check_answer_limit
from llmctx.connection import connect
from llmctx.context.tick import Tick
from llmctx.decision.decision import OUTPUT
from llmctx.errors import BudgetError, TemplateError
from llmctx.llm.budget import BudgetTerms, CallCost, Reserved, Spending
from llmctx.llm.budget_limits import CallLimits, DailyBudget
from llmctx.llm.client import NoEndpoint
from llmctx.llm.completion import Completion
from llmctx.llm.output import OutputSchema
from llmctx.llm.price import Price
from llmctx.ops.alerts.alert import alert_of
from llmctx.pipeline import DecisionConfig, Pipeline
from llmctx.prompt.render import Prompt
from llmctx.replay.corpus import BlobCache
from llmctx.replay.rerun import rebuild
from llmctx.schema import keys
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry
from llmctx.worker.budget import SharedBudget, in_words, read_budget
from tests.unit.makers import Scripted, body, completion, live_keys, market, prompt_of, template, template_of
from tests.unit.test_pipeline import Collected

MODEL = "asked-model"
PRICES = {MODEL: Price(input=Decimal(2), output=Decimal(10))}
UNKNOWN = completion(body(usage=None))
"""A completion whose endpoint counts no tokens."""
PROMPT = prompt_of()
COST = CallCost(PRICES, model=MODEL)
MOST = COST.most(PROMPT, OUTPUT) or Spending()
"""What the shipped prompt may use at most."""
USED = Spending(1200, Decimal("0.004"))
"""What `completion()` used: 1,000 tokens at 2 and 200 at 10 per million."""


def budget_for(redis: Redis, **limits: Any) -> SharedBudget:
    return SharedBudget(redis, BudgetTerms(DailyBudget(**limits), COST, OUTPUT))


async def used(redis: Redis) -> Mapping[str, Any]:
    found = await read_budget(redis)
    assert found is not None
    return dict(found["used"])


class Guarded:
    """A completer that notes the most that was counted while it was asked."""

    def __init__(self, redis: Redis, answered: Completion) -> None:
        self._redis, self._answered = redis, answered
        self.calls = 0
        self.most: Mapping[str, Any] = {"calls": 0}

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        assert output.name == prompt.output
        self.calls += 1
        await asyncio.sleep(0)
        found = await used(self._redis)
        self.most = max(self.most, found, key=lambda each: each["calls"])
        return self._answered


class Case(NamedTuple):
    budget: dict[str, Any]
    limits: CallLimits
    """The same limits, wherever they stand."""
    calls: int
    """How many calls it allows: the prompts of these tests differ a little in their size."""


HALF = Decimal("0.5")
TOKENS, MONEY = int(MOST.tokens * 5.5), MOST.cost * (5 + HALF)
CASES = {
    "calls": Case({"calls": 7}, CallLimits(calls=7), 7),
    "tokens": Case({"tokens": TOKENS}, CallLimits(tokens=TOKENS), 5),
    "money": Case({"cost": MONEY}, CallLimits(cost=MONEY), 5),
    "calls of a symbol": Case({"per_symbol": CallLimits(calls=3)}, CallLimits(calls=3), 3),
    "tokens of a prompt": Case({"per_prompt": CallLimits(tokens=TOKENS)}, CallLimits(tokens=TOKENS), 5),
}


@pytest.mark.parametrize("name", CASES)
async def test_32_ticks_in_flight_on_two_workers_never_exceed_a_limit(redis: Redis, redis_url: str, name: str) -> None:
    case = CASES[name]
    await redis.mset(live_keys(market()))
    other = connect(redis_url)
    model, records = Guarded(redis, UNKNOWN), Collected()
    pipelines = [
        Pipeline(client, DecisionConfig(template(), model), records.settle, budget=budget_for(client, **case.budget))
        for client in (redis, other)
    ]
    ticks = [Tick(id=f"t{number}", symbol="AAPL") for number in range(32)]
    await asyncio.gather(*(pipelines[number % 2].decide(tick) for number, tick in enumerate(ticks)))
    await other.aclose()
    assert model.calls == case.calls
    for found in (model.most, await used(redis)):  # nothing is known of what the calls used
        assert found["calls"] == case.calls
        assert case.limits.tokens is None or found["tokens"] <= case.limits.tokens
        assert case.limits.cost is None or Decimal(found["cost"]) <= case.limits.cost
    refusals = (await read_budget(redis) or {})["refused"]
    assert list(refusals.values()) == [32 - case.calls]


async def test_a_call_is_counted_at_what_it_used(redis: Redis) -> None:
    budget = budget_for(redis, tokens=10**6)
    reserved = await budget.reserve("AAPL", PROMPT)
    assert isinstance(reserved, Reserved)
    assert await used(redis) == {"calls": 1, "tokens": MOST.tokens, "cost": f"{MOST.cost:f}"}
    for _ in range(2):  # a repeat of a lost reply changes nothing
        await budget.settle(reserved, completion())
    assert await used(redis) == {"calls": 1, "tokens": USED.tokens, "cost": "0.004"}


async def test_what_a_killed_worker_reserved_stays_and_the_next_day_begins_at_nothing(redis: Redis) -> None:
    lost = await budget_for(redis, calls=2).reserve("AAPL", PROMPT)
    assert isinstance(lost, Reserved)
    next_worker = budget_for(redis, calls=2)
    assert isinstance(await next_worker.reserve("AAPL", PROMPT), Reserved)
    assert await next_worker.reserve("AAPL", PROMPT) == (
        "the daily budget of 2 calls (all) does not suffice: 0 are left"
    )
    assert (await read_budget(redis) or {})["unsettled_calls"] == 2
    await redis.hset(keys.BUDGET, "day", "20000")
    assert await read_budget(redis) is None
    await next_worker.settle(lost, completion())
    assert isinstance(await next_worker.reserve("AAPL", PROMPT), Reserved)
    assert (await used(redis))["calls"] == 1


async def test_a_budget_that_cannot_be_read_allows_no_call(redis: Redis) -> None:
    await redis.set(keys.BUDGET, "somebody else's")
    refusal = await budget_for(redis, calls=2).reserve("AAPL", PROMPT)
    assert str(refusal).startswith("the daily budget cannot be read, so no call is made: ")


async def refused(redis: Redis, price: str) -> Entry:
    await redis.mset(live_keys(market(price=price)))
    pipeline = Pipeline(
        redis, DecisionConfig(template(), Scripted()), Collected().settle, budget=budget_for(redis, calls=0)
    )
    return await pipeline.decide(Tick(id="t", symbol="AAPL"))


@pytest.mark.parametrize(("price", "action"), [("152.5", "hold"), ("144", "exit")])
async def test_without_budget_the_guardrails_decide_and_somebody_is_told(
    redis: Redis, caplog: pytest.LogCaptureFixture, price: str, action: str
) -> None:
    entry = await refused(redis, price)
    verdict = entry.record["verdict"]
    reason = "the daily budget of 0 calls (all) does not suffice: 0 are left"
    assert (entry.record["kind"], verdict["action"]) == ("skipped", action)
    assert verdict["guards"][0] == {"name": "no_answer", "detail": reason}
    (alert,) = [found for record in caplog.records if (found := alert_of(record)) is not None]
    assert (alert.name, alert.subject, alert.text.startswith(reason)) == ("budget", "all calls", True)
    assert rebuild(entry, BlobCache({})).differences == ()


async def test_a_second_question_is_not_asked_beyond_the_budget(redis: Redis) -> None:
    await redis.mset(live_keys(market()))
    config = DecisionConfig(template(), Scripted(completion(body("I would hold."))))
    pipeline = Pipeline(redis, config, Collected().settle, budget=budget_for(redis, calls=1))
    record = (await pipeline.decide(Tick(id="t", symbol="AAPL"))).record
    assert (record["kind"], "reasked" in record) == ("failed", False)


async def test_without_a_budget_a_tick_makes_no_further_round_trip(redis: Redis) -> None:
    await redis.mset(live_keys(market()))
    pipeline = Pipeline(redis, DecisionConfig(template(), Scripted(completion(), completion())), Collected().settle)
    await pipeline.decide(Tick(id="first", symbol="AAPL"))
    await redis.config_resetstat()
    await pipeline.decide(Tick(id="t", symbol="AAPL"))
    sent = {
        name for name in await redis.info("commandstats") if not name.startswith(("cmdstat_config", "cmdstat_info"))
    }
    assert {name for name in sent if "fcall" in name} == {"cmdstat_fcall_ro"}
    assert await redis.exists(keys.BUDGET) == 0


# before the first call


def settings(**changes: Any) -> Settings:
    return Settings.model_validate({"llm": {"model": MODEL}, "daily_budget": {"cost": 5}} | changes)


@pytest.mark.parametrize("part", [{"cost": 5}, {"per_symbol": {"cost": 1}}, {"per_prompt": {"cost": 1}}])
def test_a_budget_in_money_without_a_price_refuses_to_start(part: Mapping[str, Any]) -> None:
    with pytest.raises(BudgetError, match="no price for 'asked-model'"):
        budget_of(settings(daily_budget=part), NoEndpoint())
    assert budget_of(settings(daily_budget=part, prices=PRICES), NoEndpoint()) is not None


def test_a_prompt_that_does_not_limit_its_answer_fits_a_budget_of_calls_alone() -> None:
    unlimited = template_of("{{ symbol }}")
    with pytest.raises(TemplateError, match="does not limit its answer"):
        check_answer_limit(unlimited, budget_of(settings(daily_budget={"tokens": 1}), NoEndpoint()))
    check_answer_limit(unlimited, budget_of(settings(daily_budget={"calls": 1}), NoEndpoint()))
    check_answer_limit(unlimited, budget_of(settings(daily_budget=None), NoEndpoint()))


async def test_what_others_wrote_into_the_budget_is_unknown_and_the_rest_is_shown(redis: Redis) -> None:
    assert isinstance(await budget_for(redis, calls=2).reserve("AAPL", PROMPT), Reserved)
    await redis.hset(keys.BUDGET, mapping={"all tokens": "9" * 5000, "refused all calls": "x", b"\xff": b"\xff"})
    found = await read_budget(redis)
    assert found is not None
    assert (found["used"], found["refused"]) == ({"calls": 1, "tokens": None, "cost": f"{MOST.cost:f}"}, {})
    assert in_words(found) == "1 of 2 calls"
    await redis.hset(keys.BUDGET, mapping={"all calls": "", "limits": "[" * 10_000})
    assert in_words(await read_budget(redis) or {}) == "unknown calls, unknown tokens"
