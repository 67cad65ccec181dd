"""`verify` holds what is published against the trail: a forgery is named with key and id, and so is what is missing."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.connection.streams import read_stream
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.leaf_schema import Fault
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.published_check import PublishedCheck, read_published
from tests.integration.conftest import Prepared, decided, hold

STREAM = keys.decisions(0)


@pytest.fixture
async def trail(redis: Redis, redis_url: str, prepared: Prepared, tmp_path: Path) -> Redis:
    """A server with what `make_trail` does."""
    await prepared.once(redis_url, redis, tmp_path, partial(make_trail, redis, redis_url, tmp_path))
    return redis


async def make_trail(redis: Redis, redis_url: str, state_dir: Path) -> None:
    """Records 1 and 2 on AAPL, 3 on MSFT, published."""
    await hold(redis, "AAPL", "MSFT")
    instance, _ = await bind_instance(redis, state_dir)
    async with Owner(TrailHome(redis, redis_url, instance, state_dir)) as owner:
        for tick, symbol in (("t1", "AAPL"), ("t2", "AAPL"), ("t3", "MSFT")):
            await owner.settle(await decided(redis, symbol, tick))


async def check(redis: Redis) -> PublishedCheck:
    found = PublishedCheck(Log(redis), 1, await read_published(redis, 0))
    await found.run()
    return found


async def fault(redis: Redis) -> Fault:
    (found,) = (await check(redis)).faults
    return found


async def text_of(redis: Redis, symbol: str = "AAPL", **changes: Any) -> str:
    return json.dumps(json.loads(await redis.get(keys.latest(0, symbol)) or b"") | changes)


async def test_what_the_trail_says_passes(trail: Redis) -> None:
    found = await check(trail)
    assert (found.faults, found.warnings()) == ([], [])


async def test_the_same_in_another_form_passes(trail: Redis) -> None:
    await trail.set(keys.latest(0, "AAPL"), await text_of(trail))
    assert (await check(trail)).faults == []


@pytest.mark.parametrize(
    ("entry_id", "at"), [("4-1", 0), ("1790000000000-0", 0), ("3-2", 0), ("18446744073709551615-1", 0)]
)
async def test_a_foreign_entry_is_named(trail: Redis, entry_id: str, at: int) -> None:
    await trail.xadd(STREAM, {"decision": await text_of(trail)}, id=entry_id)
    found = await fault(trail)
    assert (found.at, found.rule) == (at, "published")
    assert f"{STREAM} {entry_id}" in found.expected


@pytest.mark.parametrize("fields", [{"decision": "{}"}, {"decision": "x"}, {"a": "b"}, {"decision": "", "a": "b"}])
async def test_a_forged_entry_in_place_of_a_decision_is_named(trail: Redis, fields: dict[str, str]) -> None:
    await trail.xdel(STREAM, "3-1")
    await trail.delete(STREAM)
    await trail.xadd(STREAM, fields, id="3-1")  # type: ignore[arg-type]  # dict is invariant
    found = await fault(trail)
    assert (found.at, found.rule) == (3, "published")
    assert f"{STREAM} 3-1: what record 3 says" in found.expected


@pytest.mark.parametrize(
    "changes", [{"action": "exit"}, {"reasoning": "forged"}, {"quantity": 1}, {"more": 1}, {"address": "9"}]
)
async def test_a_forged_latest_is_named(trail: Redis, changes: dict[str, Any]) -> None:
    await trail.set(keys.latest(0, "AAPL"), await text_of(trail, **changes))
    found = await fault(trail)
    assert (found.at, found.rule) == (2, "published")
    assert keys.latest(0, "AAPL") in found.expected


async def test_an_older_decision_as_latest_is_named(trail: Redis) -> None:
    older = (await read_stream(trail, STREAM))[0]
    await trail.set(keys.latest(0, "AAPL"), older.fields[b"decision"])
    assert await fault(trail) == Fault(2, "published", f"{keys.latest(0, 'AAPL')}: record 2", "the older record 1")


async def test_the_latest_of_another_symbol_is_named(trail: Redis) -> None:
    await trail.set(keys.latest(0, "EVIL"), await text_of(trail))
    assert keys.latest(0, "EVIL") in (await fault(trail)).expected


@pytest.mark.parametrize("key", [STREAM, keys.latest(0, "AAPL")])
async def test_another_type_is_named(trail: Redis, key: str) -> None:
    await trail.delete(key)
    await trail.sadd(key, "x")
    found = await fault(trail)
    assert key in found.expected
    assert found.found == "a value of another type"


async def test_what_is_missing_is_named_and_is_no_fault(trail: Redis) -> None:
    await trail.xdel(STREAM, "2-1")
    await trail.delete(keys.latest(0, "MSFT"))
    found = await check(trail)
    assert found.faults == []
    assert found.missing == [f"{STREAM} 2-1", f"{keys.latest(0, 'MSFT')} (record 3)"]


async def test_every_forgery_is_named(trail: Redis) -> None:
    await trail.set(keys.latest(0, "MSFT"), "x")
    await trail.xadd(STREAM, {"a": "b"})
    found = await check(trail)
    assert len(found.faults) == 2
    assert [warning for warning in found.warnings() if "latest:MSFT" in warning]
