"""What a call may use at most, and what it used."""

from decimal import Decimal

import pytest

from llmctx.decision.decision import OUTPUT
from llmctx.llm.budget import ADDED_BY_ENDPOINT, CallCost, ChainCost, Spending
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Attempt, Completion, Outcome, Tried
from llmctx.llm.price import Price
from llmctx.llm.profile import ProfileSettings
from tests.unit.makers import body, completion, prompt_of

MODEL = "asked-model"
PRICE = Price(input=Decimal(2), cache_write=Decimal(3), output=Decimal(10))
PROMPT = prompt_of()
MOST = Spending(9000, Decimal("0.03"))


def client(mode: str, **profile: object) -> EndpointClient:
    return EndpointClient("http://127.0.0.1:1/v1", "none", MODEL, profile=ProfileSettings(mode=mode, **profile))


@pytest.mark.parametrize("mode", ["schema", "schema_bounded", "json_object", "tool", "prompted"])
async def test_the_most_covers_form_schema_and_reasoning(mode: str) -> None:
    asked = client(mode, reasoning_tokens=4000)
    plan = asked.plan(PROMPT.parameters, OUTPUT)
    request = len(plan.body(plan.messages(PROMPT)))
    assert request > len(PROMPT.evidence) + len(plan.head)
    most = CallCost(MODEL, {MODEL: PRICE}, asked.plan).most(PROMPT, OUTPUT)
    answer = 4000 + (PROMPT.parameters.max_completion_tokens or 0)
    cost = (Decimal(3) * (request + ADDED_BY_ENDPOINT) + 10 * answer) / 10**6
    assert most == Spending(request + ADDED_BY_ENDPOINT + answer, cost)
    await asked.aclose()


def ended(*results: str, usage: bool = False) -> Completion:
    attempts = tuple(Attempt(result, 1, None) for result in results)
    made = completion(body() if usage else body(usage=None))
    return made.model_copy(update={"attempts": attempts, "outcome": Outcome.ANSWERED})


@pytest.mark.parametrize(
    ("call", "times_most", "used"),
    [
        (ended("ok", usage=True), 0, 1200), (ended("ok"), 1, 0), (ended(), 1, 0),
        (ended("http 429", "http 503", "ok", usage=True), 0, 1200), (ended("http 400"), 0, 0),
        (ended("timeout"), 1, 0), (ended("timeout", "connection", "ok", usage=True), 2, 1200),
        (ended("http 504", "cancelled at the deadline"), 2, 0), (ended("http 200 with an error 500"), 1, 0),
    ],
)  # fmt: skip
def test_what_is_not_known_counts_as_the_most(call: Completion, times_most: int, used: int) -> None:
    spent = CallCost(MODEL, {}).used(call, MOST)
    assert spent == Spending(MOST.tokens * times_most + used, MOST.cost * times_most)


# several endpoints

CHAIN = ChainCost({"one": CallCost(MODEL, {}), "two": CallCost(MODEL, {})})


def tried(outcome: str, *results: str) -> Tried:
    return Tried("one", outcome, attempts=tuple(Attempt(result, 1, None) for result in results))


@pytest.mark.parametrize(
    ("other", "times_most"),
    [
        (tried("unreachable", "http 503", "http 503"), 0), (tried("timeout", "cancelled at the deadline"), 1),
        (tried("cancelled", "cancelled"), 1), (tried("skipped"), 0), (tried("limited"), 0),
    ],
)  # fmt: skip
def test_endpoints_asked_in_vain_count_beside_the_one_that_answered(other: Tried, times_most: int) -> None:
    call = ended("ok", usage=True).model_copy(update={"endpoint": "two", "tried": (other,)})
    assert CHAIN.used(call, MOST).tokens == 1200 + times_most * MOST.tokens


def test_a_call_that_no_endpoint_was_asked_costs_nothing() -> None:
    call = Completion(outcome=Outcome.UNREACHABLE, request={}, tried=(tried("skipped"),))
    assert CHAIN.used(call, MOST) == Spending()


def test_a_call_that_was_limited_costs_nothing() -> None:
    assert CallCost(MODEL, {}).used(Completion(outcome=Outcome.LIMITED, request={}), MOST) == Spending()


async def test_the_most_is_that_of_the_dearest_endpoint() -> None:
    small, large = client("schema"), client("schema", reasoning_tokens=4000)
    costs = {"one": CallCost(MODEL, {}, small.plan), "two": CallCost(MODEL, {}, large.plan)}
    assert ChainCost(costs).most(PROMPT, OUTPUT) == costs["two"].most(PROMPT, OUTPUT)


@pytest.mark.parametrize("name", ["anthropic-messages", "openai-responses", "bedrock"])
async def test_the_answers_limit_is_known_in_every_protocol(name: str) -> None:
    asked = EndpointClient("http://127.0.0.1:1/v1", "key", MODEL, profile=ProfileSettings(name=name))
    assert asked.plan(PROMPT.parameters, OUTPUT).answer_tokens == PROMPT.parameters.max_completion_tokens
    assert CallCost(MODEL, {}, asked.plan).is_bounded(PROMPT.parameters, OUTPUT)
