"""What the owner of a partition is asked by others: notices, each appended once, and only for writers."""

from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import server_ms
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import origin_of
from llmctx.trail.proof.request import Request
from llmctx.worker import requests
from llmctx.worker.ask_owner import have_noted
from llmctx.worker.home import TrailHome, open_home
from tests.integration.conftest import ByRules, serving
from tests.integration.program import until

TICKS = "ticks:{0}"


async def notices(redis: Redis) -> list[str]:
    return [
        entry.record["verdict"]["reason"] async for entry in Log(redis).read() if entry.record.get("requested", False)
    ]


async def ask_again(redis: Redis, home: TrailHome, request: Request) -> None:
    """Put a signed request into the stream, and wait until the owner has taken it."""
    fields = request.fields(home.writer, origin_of(home.instance.id, 0))
    await redis.xadd(TICKS, fields)  # type: ignore[arg-type]
    await until(partial(is_taken, redis))


async def is_taken(redis: Redis) -> bool:
    return not await redis.xlen(TICKS)


async def test_a_notice_is_appended_by_the_owner_and_without_one_by_whoever_asks(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    async with open_home(redis_url, tmp_path) as home:
        first = await have_noted(home, 0, "alone", {"maintenance": {}})
        async with serving(redis, redis_url, tmp_path, ByRules()):
            second = await have_noted(home, 0, "through the owner", {"maintenance": {}})
    assert await notices(redis) == ["alone", "through the owner"]
    assert first < second


async def test_a_repeated_request_is_fulfilled_once_and_an_old_one_never(
    valkey: Redis, valkey_url: str, tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_home(valkey_url, tmp_path) as home, serving(valkey, valkey_url, tmp_path, ByRules()):
        request = Request(what="notice", made_ms=await server_ms(valkey), body={"reason": "said", "fields": {}})
        for _ in range(2):
            await ask_again(valkey, home, request)
        assert await notices(valkey) == ["said"]
        monkeypatch.setattr(requests, "MAX_AGE_MS", -1)
        await ask_again(valkey, home, request.model_copy(update={"id": "other"}))
    assert await notices(valkey) == ["said"]
    assert any("more than a day old" in line for line in logged)
