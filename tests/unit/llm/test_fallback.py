"""Several endpoints as one, over a wire that can be intercepted."""

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest
import respx

from llmctx.decision.decision import OUTPUT
from llmctx.decision.parse import judge
from llmctx.llm.breaker import Breaker
from llmctx.llm.completion import Completion, Outcome
from llmctx.llm.fallback import Endpoint, EndpointChain, Hedge, Latencies
from tests.unit.llm.calls import PROMPT, Make, bad, good, results
from tests.unit.llm.test_client import never
from tests.unit.makers import body

HEDGE = Hedge(50, lambda completion: judge(completion)[0] is not None)
Wires = dict[str, respx.Route]
Chain = Callable[..., EndpointChain]


@pytest.fixture
def wires() -> Iterator[Wires]:
    """What goes out to each of three endpoints."""
    with respx.mock(assert_all_called=False) as mock:
        yield {name: mock.post(f"http://{name}.test/v1/chat/completions") for name in ("primary", "second", "third")}


@pytest.fixture
def chain(make: Make) -> Chain:
    """Makes a chain of these endpoints."""

    def _chain(
        *names: str, timeout_s: float = 20, hedge: Hedge | None = None, breaker: Breaker | None = None, **own: float
    ) -> EndpointChain:
        endpoints = [
            Endpoint(
                name,
                make(f"http://{name}.test/v1", max_attempts=1, timeout_s=timeout_s),
                breaker or Breaker(2, 60),
                Latencies(),
                own.get(name),
            )
            for name in names or ("primary", "second")
        ]
        if hedge is not None:
            for _ in range(20):
                endpoints[0].latencies.add(0.01)
        return EndpointChain(endpoints, timeout_s=timeout_s, hedge=hedge)

    return _chain


def ended(reason: str, **message: str) -> bytes:
    """A body whose message ends for this reason."""
    return body(choices=[{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}])


async def ask(chain: EndpointChain) -> Completion:
    return await chain.complete(PROMPT, OUTPUT)


def tried(completion: Completion) -> list[tuple[str, str]]:
    return [(one.endpoint, one.outcome) for one in completion.tried]


async def test_the_primary_alone_is_asked_while_it_answers(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(return_value=good())
    completion = await ask(chain())
    assert (completion.endpoint, completion.tried) == ("primary", ())
    assert wires["second"].call_count == 0


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (httpx.ConnectError("dead"), "unreachable"),
        (bad(503), "unreachable"),
        (bad(429, **{"retry-after": "600"}), "unreachable"),
        (bad(401), "rejected"),
        (bad(429, "insufficient_quota"), "rejected"),
        (httpx.Response(200, content=b"<html>"), "unreadable"),
    ],
)
async def test_an_endpoint_without_an_answer_is_followed_by_the_next(
    failure: httpx.Response | httpx.ConnectError, outcome: str, wires: Wires, chain: Chain
) -> None:
    wires["primary"].mock(side_effect=failure if isinstance(failure, Exception) else [failure])
    wires["second"].mock(return_value=good())
    completion = await ask(chain())
    assert (completion.endpoint, completion.outcome, tried(completion)) == (
        "second",
        Outcome.ANSWERED,
        [("primary", outcome)],
    )
    (first,) = completion.tried
    assert (first.url, first.model, len(first.attempts)) == ("http://primary.test/v1/", "asked-model", 1)
    assert first.detail


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (body("I would hold."), Outcome.ANSWERED),
        (ended("stop", refusal="No."), Outcome.REFUSED),
        (ended("content_filter"), Outcome.FILTERED),
        (ended("length", content='{"a'), Outcome.TRUNCATED),
    ],
)
async def test_what_a_model_said_is_not_put_to_another_one(
    answer: bytes, outcome: Outcome, wires: Wires, chain: Chain
) -> None:
    wires["primary"].mock(return_value=httpx.Response(200, content=answer))
    completion = await ask(chain())
    assert (completion.endpoint, completion.outcome, completion.tried) == ("primary", outcome, ())
    assert wires["second"].call_count == 0


async def test_a_hanging_primary_leaves_the_next_its_share_of_the_one_deadline(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(side_effect=never)
    wires["second"].mock(return_value=good())
    completion = await ask(chain(timeout_s=0.4))
    assert (completion.endpoint, tried(completion)) == ("second", [("primary", "timeout")])
    assert completion.tried[0].detail == "no answer before the deadline (1 attempt within 0.2 s)"


async def test_an_endpoints_own_timeout_holds_in_place_of_its_share(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(side_effect=never)
    wires["second"].mock(return_value=good())
    completion = await ask(chain(primary=0.05))
    assert completion.tried[0].detail == "no answer before the deadline (1 attempt within 0.05 s)"


async def test_all_of_them_together_keep_the_one_deadline(wires: Wires, chain: Chain) -> None:
    for wire in wires.values():
        wire.mock(side_effect=never)
    began = asyncio.get_running_loop().time()
    completion = await ask(chain("primary", "second", "third", timeout_s=0.3))
    assert asyncio.get_running_loop().time() - began < 0.6
    assert (completion.outcome, completion.endpoint) == (Outcome.TIMEOUT, "third")
    assert tried(completion) == [("primary", "timeout"), ("second", "timeout")]


async def test_a_prompt_with_less_time_has_less_at_all_of_them(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(side_effect=never)
    wires["second"].mock(side_effect=never)
    hurried = PROMPT.model_copy(update={"within_s": 0.1})
    completion = await chain().complete(hurried, OUTPUT)
    assert completion.tried[0].detail == "no answer before the deadline (1 attempt within 0.05 s)"


async def test_a_timeout_of_a_second_question_does_not_count_against_an_endpoint(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(side_effect=never)
    hurried, several = PROMPT.model_copy(update={"within_s": 0.02}), chain("primary")
    for _ in range(3):
        assert (await several.complete(hurried, OUTPUT)).outcome is Outcome.TIMEOUT


async def test_an_open_breaker_is_passed_over_and_the_record_says_so(
    wires: Wires, chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    wires["primary"].mock(return_value=bad(500))
    wires["second"].mock(return_value=good())
    several = chain()
    completions = [await ask(several) for _ in range(3)]
    assert wires["primary"].call_count == 2
    assert [tried(one) for one in completions] == [[("primary", "unreachable")]] * 2 + [[("primary", "skipped")]]
    assert "circuit breaker open after 2 failures in a row" in (completions[2].tried[0].detail or "")
    told = [record.message for record in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("The endpoint primary failed again and again and is skipped: http 500")


async def test_an_endpoint_that_is_back_is_asked_again(wires: Wires, chain: Chain) -> None:
    breaker = Breaker(1, 0.05)
    wires["primary"].mock(side_effect=[bad(500), good()])
    several = chain("primary", breaker=breaker)
    await ask(several)
    assert (await ask(several)).endpoint is None
    await asyncio.sleep(0.06)
    assert (await ask(several)).endpoint == "primary"


async def test_where_every_breaker_is_open_nothing_is_asked(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(return_value=bad(500))
    several = chain("primary")
    for _ in range(2):
        await ask(several)
    completion = await ask(several)
    assert (wires["primary"].call_count, completion.outcome, completion.endpoint) == (2, Outcome.UNREACHABLE, None)
    assert (completion.detail or "").startswith("no endpoint was asked: primary: circuit breaker open")
    assert completion.request == {"schema": OUTPUT.name, "schema_sha256": OUTPUT.sha256}


async def test_a_misfit_does_not_open_a_breaker(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(return_value=httpx.Response(200, content=body("I would hold.")))
    several = chain()
    for _ in range(4):
        assert (await ask(several)).endpoint == "primary"


async def test_a_cancelled_trial_leaves_room_for_another(wires: Wires, chain: Chain) -> None:
    breaker = Breaker(1, 0.0001)
    breaker.fail()
    under_way = asyncio.Event()

    async def tell_and_never(request: httpx.Request) -> httpx.Response:
        under_way.set()
        return await never(request)

    wires["primary"].mock(side_effect=tell_and_never)
    task = asyncio.create_task(ask(chain("primary", breaker=breaker)))
    await under_way.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert breaker.refuse() is None


# hedging


async def late(_: httpx.Request) -> httpx.Response:
    await asyncio.sleep(0.1)
    return good()


async def test_a_late_call_gets_company_and_the_first_valid_answer_wins(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(side_effect=never)
    wires["second"].mock(return_value=good())
    completion = await ask(chain(hedge=HEDGE))
    assert (completion.endpoint, tried(completion)) == ("second", [("primary", "cancelled")])
    assert results(completion) == ["ok"]
    assert completion.tried[0].attempts[0].result == "cancelled"
    assert completion.tried[0].usage is None


async def test_an_answer_in_time_has_no_company(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(return_value=good())
    completion = await ask(chain(hedge=Hedge(99, HEDGE.is_valid)))
    assert (completion.endpoint, wires["second"].call_count) == ("primary", 0)


async def test_a_late_first_call_that_answers_first_wins(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(side_effect=late)
    wires["second"].mock(side_effect=never)
    completion = await ask(chain(hedge=HEDGE))
    assert (completion.endpoint, tried(completion)) == ("primary", [("second", "cancelled")])


async def test_an_invalid_answer_does_not_win_and_its_tokens_count(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(side_effect=late)
    wires["second"].mock(return_value=httpx.Response(200, content=body("I would hold.")))
    completion = await ask(chain(hedge=HEDGE))
    assert (completion.endpoint, tried(completion)) == ("primary", [("second", "answered")])
    assert completion.tried[0].usage is not None


async def test_without_another_endpoint_the_same_one_is_asked_a_second_time(wires: Wires, chain: Chain) -> None:
    calls: list[int] = []

    async def first_hangs(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        return await never(request) if len(calls) == 1 else good()

    wires["primary"].mock(side_effect=first_hangs)
    completion = await ask(chain("primary", hedge=HEDGE))
    assert (completion.endpoint, tried(completion)) == ("primary", [("primary", "cancelled")])


async def test_two_failures_of_a_race_are_followed_by_the_next_endpoint(wires: Wires, chain: Chain) -> None:
    async def late_failure(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        return bad(500)

    wires["primary"].mock(side_effect=late_failure)
    wires["second"].mock(return_value=bad(500))
    wires["third"].mock(return_value=good())
    completion = await ask(chain("primary", "second", "third", hedge=HEDGE))
    assert completion.endpoint == "third"
    assert sorted(tried(completion)) == [("primary", "unreachable"), ("second", "unreachable")]


async def test_few_answers_tell_nothing_of_what_is_late(wires: Wires, chain: Chain) -> None:
    wires["primary"].mock(side_effect=late)
    several = chain()
    several = EndpointChain(several.endpoints, timeout_s=20, hedge=HEDGE)
    assert (await ask(several)).endpoint == "primary"
    assert wires["second"].call_count == 0


def test_a_percentile_is_an_answer_that_was_seen() -> None:
    latencies = Latencies()
    for seconds in range(19):
        latencies.add(seconds)
    assert latencies.percentile(95) is None
    latencies.add(19)
    assert [latencies.percentile(percent) for percent in (50, 95, 99)] == [9, 18, 19]
