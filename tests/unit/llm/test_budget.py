"""What a call may use at most, and what it used."""

from decimal import Decimal

import pytest

from llmctx.decision.decision import OUTPUT
from llmctx.llm.budget import ADDED_BY_ENDPOINT, CallCost, Spending
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Attempt, Completion, Outcome, Tried
from llmctx.llm.price import Price
from llmctx.llm.profile import ProfileSettings
from llmctx.llm.request import BOUNDED_ANSWER_TOKENS
from llmctx.llm.usage import Usage
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
    most = CallCost({MODEL: PRICE}, [asked.plan]).most(PROMPT, OUTPUT)
    limit = PROMPT.parameters.max_completion_tokens or 0
    answer = 4000 + (max(limit, BOUNDED_ANSWER_TOKENS) if mode == "schema_bounded" else limit)
    cost = (Decimal(3) * (request + ADDED_BY_ENDPOINT) + 10 * answer) / 10**6
    assert most == Spending(request + ADDED_BY_ENDPOINT + answer, cost)
    await asked.aclose()


async def test_the_most_is_that_of_the_dearest_endpoint_that_may_be_asked() -> None:
    cheap, dear = client("schema"), EndpointClient("http://127.0.0.1:1/v1", "none", "dear-model")
    prices = {MODEL: PRICE, "dear-model": Price(input=Decimal(20), output=Decimal(100))}
    of_dear = CallCost(prices, [dear.plan]).most(PROMPT, OUTPUT)
    both = CallCost(prices, [cheap.plan, dear.plan]).most(PROMPT, OUTPUT)
    assert of_dear is not None
    assert both is not None
    assert both.cost == of_dear.cost
    assert CallCost({}, [cheap.plan, dear.plan]).unpriced(OUTPUT) == [MODEL, "dear-model"]
    await cheap.aclose()
    await dear.aclose()


TRIED = (
    Tried("first", "timeout", attempts=(Attempt("timeout", 1, None),)),
    Tried("hedge", "cancelled", attempts=(Attempt("cancelled", 1, None),)),
    Tried("said", "answered", attempts=(Attempt("ok", 1, None),), usage=Usage(400, 100)),
    Tried("open", "skipped", "its circuit breaker is open"),
)
"""Two endpoints that may have been charged, one that was, and one that was not asked."""


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
        (ended().model_copy(update={"outcome": Outcome.LIMITED}), 0, 0),
        (ended("ok", usage=True).model_copy(update={"tried": TRIED}), 2, 1200 + 500),
    ],
)  # fmt: skip
def test_what_is_not_known_counts_as_the_most(call: Completion, times_most: int, used: int) -> None:
    spent = CallCost({}).used(call, MOST)
    assert spent == Spending(MOST.tokens * times_most + used, MOST.cost * times_most)


@pytest.mark.parametrize("name", ["anthropic-messages", "openai-responses", "bedrock"])
async def test_the_answers_limit_is_known_in_every_protocol(name: str) -> None:
    asked = EndpointClient("http://127.0.0.1:1/v1", "key", MODEL, profile=ProfileSettings(name=name))
    assert asked.plan(PROMPT.parameters, OUTPUT).answer_tokens == PROMPT.parameters.max_completion_tokens
    assert CallCost({}, [asked.plan]).is_bounded(PROMPT.parameters, OUTPUT)
