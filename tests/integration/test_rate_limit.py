"""Limits of requests and tokens a minute, which workers share on one server."""

import asyncio
import json
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from llmctx.connection import connect
from llmctx.llm.rate_limit import RateLimit, Reservation
from llmctx.llm.standin import MODEL, Standin
from tests.conftest import free_port
from tests.integration.conftest import hold
from tests.integration.program import Program
from tests.unit.llm.wire import Answer, Wire, response
from tests.unit.makers import body

KEY = "limits:llm:test"


def limit(redis: Redis, requests: int | None = None, tokens: int | None = None) -> RateLimit:
    made = RateLimit(KEY, requests, tokens)
    made.share(redis)
    return made


async def reserved(limit: RateLimit, tokens: int = 0, within_s: float = 1000) -> Reservation:
    found = await limit.reserve(tokens, within_s)
    assert isinstance(found, Reservation), found
    return found


async def test_requests_beyond_the_limit_wait_for_the_next_minute(redis: Redis) -> None:
    limited = limit(redis, requests=3)
    waits = [(await reserved(limited)).wait_s for _ in range(7)]
    assert waits[:3] == [0, 0, 0]
    assert all(59 < wait_s <= 61 for wait_s in waits[3:6])
    assert 120 < waits[6] <= 122


async def test_a_wait_that_does_not_fit_is_refused_and_reserves_nothing(valkey: Redis) -> None:
    limited = limit(valkey, requests=1)
    await reserved(limited)
    before = await valkey.hgetall(KEY)
    refused = await limited.reserve(0, 5)
    assert isinstance(refused, str)
    assert refused.startswith("the limit of 1 requests a minute would mean a wait of 6")
    assert refused.endswith("and 5.0 s are left")
    assert await valkey.hgetall(KEY) == before


async def test_what_nobody_here_can_have_written_makes_no_request_wait(valkey: Redis) -> None:
    await valkey.hset(KEY, mapping={"9999999999": "1 1", "x": "1 1", "1": "y", "": ""})
    assert (await reserved(limit(valkey, requests=1))).wait_s == 0
    assert await valkey.hlen(KEY) == 1


async def test_two_workers_share_one_limit(valkey: Redis, valkey_url: str) -> None:
    async with connect(valkey_url) as other:
        both = limit(valkey, requests=10), limit(other, requests=10)
        found = await asyncio.gather(*(both[number % 2].reserve(0, 0.5) for number in range(40)))
    assert sum(isinstance(one, Reservation) for one in found) == 10


async def test_tokens_that_were_not_used_are_given_back_with_the_next_request(valkey: Redis) -> None:
    limited = limit(valkey, tokens=1000)
    first = await reserved(limited, 600)
    assert isinstance(await limited.reserve(600, 1), str)
    limited.settle(first, 150)
    assert (await reserved(limited, 600)).wait_s == 0
    assert isinstance(await limited.reserve(600, 1), str)


async def test_tokens_used_beyond_the_reservation_count_as_well(valkey: Redis) -> None:
    limited = limit(valkey, tokens=1000)
    limited.settle(await reserved(limited, 100), 900)
    assert isinstance(await limited.reserve(200, 1), str)


async def test_a_request_larger_than_the_limit_goes_alone(valkey: Redis) -> None:
    limited = limit(valkey, tokens=1000)
    assert (await reserved(limited, 5000)).wait_s == 0
    assert (await reserved(limited, 1)).wait_s > 59


@pytest.mark.parametrize(("requests", "tokens"), [(7, None), (None, 1000), (5, 800)])
async def test_no_minute_has_more_than_the_limit(requests: int | None, tokens: int | None, valkey: Redis) -> None:
    limited = limit(valkey, requests, tokens)
    made = [await reserved(limited, number * 37 % 400) for number in range(40)]
    assert [one.second for one in made] == sorted(one.second for one in made)
    for start in {one.second for one in made}:
        minute = [one for one in made if start <= one.second <= start + 60]
        assert requests is None or len(minute) <= requests
        assert tokens is None or sum(one.tokens for one in minute) <= tokens


async def test_the_reservations_expire(valkey: Redis) -> None:
    await reserved(limit(valkey, requests=1))
    assert 0 < await valkey.ttl(KEY) <= 121


async def test_a_server_that_does_not_answer_limits_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with Redis(port=free_port(), retry=Retry(NoBackoff(), 0)) as nobody:
        limited = limit(nobody, requests=1)
        assert [(await reserved(limited)).wait_s for _ in range(2)] == [0, 0]
    assert "The limits of a minute cannot be kept" in caplog.text


# from the command line


async def test_a_call_that_would_wait_too_long_ends_as_limited_and_the_guardrails_decide(
    valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    await hold(valkey, "AAPL")
    program = Program(valkey_url, tmp_path, standin.base_url)
    program.environment |= {"LLMCTX_LLM__REQUESTS_PER_MINUTE": "1", "LLMCTX_LLM__TIMEOUT_S": "5"}
    first, second = await program("decide", "AAPL", "--json"), await program("decide", "AAPL", "--json")
    assert (first.document["kind"], second.document["kind"]) == ("decision", "failed")
    completion = second.document["completion"]
    assert (second.code, completion["outcome"], completion["attempts"]) == (3, "limited", [])
    assert "the limit of 1 requests a minute would mean a wait of" in completion["detail"]
    assert second.document["verdict"]["action"] == "hold"
    verified = await program("verify", "--strict")
    assert verified.code == 0, verified.out + verified.err
    assert (await program("replay")).code == 0


async def test_a_retry_counts_as_a_request(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await hold(valkey, "AAPL")
    busy = Answer(response(b"{}", "503 Service Unavailable", "retry-after-ms: 1"))
    async with Wire(busy, Answer(response(body()))) as wire:
        program = Program(valkey_url, tmp_path, wire.base_url)
        program.environment |= {"LLMCTX_LLM__REQUESTS_PER_MINUTE": "1", "LLMCTX_LLM__TIMEOUT_S": "5"}
        ended = await program("decide", "AAPL", "--json")
    assert ended.document["completion"]["outcome"] == "limited"
    assert len(wire.requests) == 1


async def test_a_limited_endpoint_is_followed_by_the_next(
    valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    await hold(valkey, "AAPL")
    (tmp_path / "llmctx.toml").write_text(
        "".join(
            f'[[llm.endpoints]]\nname = "{name}"\nmodel = "{MODEL}"\nbase_url = {json.dumps(standin.base_url)}\n{more}\n'
            for name, more in (("one", "requests_per_minute = 1"), ("two", ""))
        )
    )
    program = Program(valkey_url, tmp_path)
    records = [(await program("decide", "AAPL", "--json")).document for _ in range(2)]
    assert [record["completion"]["endpoint"] for record in records] == ["one", "two"]
    assert [tried["outcome"] for tried in records[1]["completion"]["tried"]] == ["limited"]
