"""Publishing: in the order of the index, each once, and nothing is left out after a break."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.connection.streams import read_stream
from llmctx.context.tick import Tick
from llmctx.errors import InstanceError, LeaseError, TrailError
from llmctx.publication import thesis_of
from llmctx.record import RecordMetadata, compose_unread
from llmctx.schema import keys, values
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.lease import lease_key
from llmctx.trail.log.log import Log, Settlement
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.publish import Publisher
from tests.conftest import free_port, present
from tests.integration.conftest import SETTLEMENT, decided, draft, held_lease, hold

SYMBOLS = ("AAPL", "MSFT", "AIG")


@pytest.fixture
async def owner(redis: Redis) -> str:
    await hold(redis, *SYMBOLS)
    return (await held_lease(redis)).owner


async def record(redis: Redis, owner: str, count: int, first: int = 0) -> list[Entry]:
    """That many decisions in the log, of the symbols in turn."""
    log = Log(redis)
    entries = [
        await log.append(await decided(redis, SYMBOLS[n % 3], f"t{n}"), owner, SETTLEMENT)
        for n in range(first, first + count)
    ]
    await log.advance(await log.size(), owner)
    return entries


async def published(redis: Redis) -> list[int]:
    return [found.number for found in await read_stream(redis, keys.decisions(0))]


async def latest(redis: Redis, symbol: str) -> values.Thesis | None:
    raw = await redis.get(keys.latest(0, symbol))
    return None if raw is None else values.Thesis.model_validate(json.loads(raw))


Publishers = Callable[[], Publisher]


@pytest.fixture
def publisher(redis: Redis, owner: str) -> Publishers:
    """Makes publishers that hold the lease."""
    return lambda: Publisher(redis, Log(redis), 1, owner)


async def test_a_decision_is_published_under_its_index(redis: Redis, owner: str, publisher: Publishers) -> None:
    (entry,) = await record(redis, owner, 1)
    await publisher().publish(entry)
    (found,) = await read_stream(redis, keys.decisions(0))
    thesis = values.Thesis.model_validate(json.loads(found.fields[b"decision"]))
    assert (found.id, thesis.address, thesis.tick, thesis.symbol) == ("0-1", "0", "t0", "AAPL")


async def test_a_replica_that_took_over_with_less_leaves_nothing_unpublished(
    redis: Redis, owner: str, publisher: Publishers
) -> None:
    log, made = Log(redis), publisher()
    for entry in await record(redis, owner, 3):
        await made.publish(entry)
    names = (log.key("log"), keys.decisions(0))
    behind = {name: await redis.dump(name) or b"" for name in names}
    for entry in await record(redis, owner, 3, first=3):
        await made.publish(entry)
    (last,) = await record(redis, owner, 1, first=6)
    whole = await redis.dump(log.key("log")) or b""
    for name, value in behind.items():
        await redis.restore(name, 0, value, replace=True)
    with pytest.raises(TrailError, match="Record 6 is not published: the server does not have it"):
        await made.publish(last)
    await redis.restore(log.key("log"), 0, whole, replace=True)  # as the spool puts it back
    for entry in await record(redis, owner, 1, first=7):
        await made.publish(entry)
    assert await published(redis) == list(range(8))


async def test_what_is_published_says_what_the_record_says(redis: Redis, owner: str, publisher: Publishers) -> None:
    (entry,) = await record(redis, owner, 1)
    await publisher().publish(entry)
    thesis, leaf = await latest(redis, "AAPL"), entry.record
    assert thesis is not None
    assert (thesis.kind, thesis.action, thesis.decided, thesis.reasoning) == (
        leaf["kind"], leaf["verdict"]["action"], leaf["decision"]["action"], leaf["decision"]["reasoning"],
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
async def test_decisions_go_out_by_index_though_handed_in_out_of_order(
    redis: Redis, owner: str, publisher: Publishers, seed: int
) -> None:
    entries = await record(redis, owner, 12)
    random.Random(seed).shuffle(entries)
    out = publisher()
    await asyncio.gather(*(out.publish(entry) for entry in entries))
    assert await published(redis) == list(range(12))


async def test_a_decision_waits_for_those_before_it(redis: Redis, owner: str, publisher: Publishers) -> None:
    first, second = await record(redis, owner, 2)
    out = publisher()
    waiting = asyncio.create_task(out.publish(second))
    await redis.ping()
    assert not waiting.done()
    assert await published(redis) == []
    await out.publish(first)
    await waiting
    assert await published(redis) == [0, 1]


async def test_two_that_wait_for_one_record_both_go_on(redis: Redis, owner: str, publisher: Publishers) -> None:
    first, second = await record(redis, owner, 2)
    out = publisher()
    async with asyncio.timeout(10):
        await asyncio.gather(out.publish(second), out.publish(second), out.publish(first))
    assert await published(redis) == [0, 1]


async def test_publishing_again_changes_nothing(redis: Redis, owner: str, publisher: Publishers) -> None:
    entries = await record(redis, owner, 3)
    out = publisher()
    for entry in entries:
        await out.publish(entry)
    before = await read_stream(redis, keys.decisions(0))
    for entry in entries:
        await out.publish(entry)
    assert await read_stream(redis, keys.decisions(0)) == before


async def test_another_publisher_publishes_nothing_again(redis: Redis, owner: str, publisher: Publishers) -> None:
    await record(redis, owner, 3)
    assert await publisher().resume() == 3
    before = await redis.dump(keys.decisions(0))
    assert await publisher().resume() == 0
    assert await redis.dump(keys.decisions(0)) == before


async def test_a_new_publisher_that_is_handed_an_old_record_publishes_it_no_second_time(
    redis: Redis, owner: str, publisher: Publishers
) -> None:
    entries = await record(redis, owner, 2)
    for _ in range(2):
        out = publisher()
        for entry in entries:
            await out.publish(entry)
    assert await published(redis) == [0, 1]


async def test_resuming_publishes_what_was_recorded_and_never_published(
    redis: Redis, owner: str, publisher: Publishers
) -> None:
    first = await record(redis, owner, 2)
    out = publisher()
    for entry in first:
        await out.publish(entry)
    await record(redis, owner, 4, first=2)
    assert await publisher().resume() == 4
    assert await published(redis) == list(range(6))


async def test_resuming_lets_those_go_that_waited_for_a_gap(redis: Redis, owner: str, publisher: Publishers) -> None:
    entries = await record(redis, owner, 3)
    out = publisher()
    waiting = [asyncio.create_task(out.publish(entry)) for entry in entries[1:]]
    await redis.ping()
    await out.resume()
    await asyncio.wait_for(asyncio.gather(*waiting), 120)
    assert await published(redis) == [0, 1, 2]


async def test_latest_is_the_newest_of_each_symbol(redis: Redis, owner: str, publisher: Publishers) -> None:
    entries = await record(redis, owner, 8)
    random.Random(1).shuffle(entries)
    out = publisher()
    await asyncio.gather(*(out.publish(entry) for entry in entries))
    found = [await latest(redis, symbol) for symbol in SYMBOLS]
    assert [thesis and thesis.address for thesis in found] == ["6", "7", "5"]


async def test_an_older_decision_does_not_replace_the_latest(redis: Redis, owner: str, publisher: Publishers) -> None:
    entries = await record(redis, owner, 4)
    await publisher().resume()
    await publisher()._publish(entries[0])
    thesis = present(await latest(redis, "AAPL"))
    assert thesis.address == "3"


@pytest.mark.parametrize("kind", ["notice", "incident"])
async def test_a_record_without_a_tick_is_not_published(
    redis: Redis, owner: str, publisher: Publishers, kind: str
) -> None:
    made = compose_unread(kind, None, "why", RecordMetadata(1000, "test"))
    entry = await Log(redis).append(made, owner, SETTLEMENT)
    await Log(redis).advance(1, owner)
    await publisher().publish(entry)
    assert await published(redis) == []
    assert await latest(redis, "AAPL") is None


@pytest.mark.parametrize("kind", ["skipped", "dead_letter"])
async def test_a_tick_without_a_position_is_published_with_the_action_none_and_its_reason(
    redis: Redis, owner: str, publisher: Publishers, kind: str
) -> None:
    made = compose_unread(kind, Tick(id="t", symbol="AAPL"), "no such key", RecordMetadata(1000, "test"))
    entry = await Log(redis).append(made, owner, SETTLEMENT)
    await Log(redis).advance(1, owner)
    await publisher().publish(entry)
    assert await published(redis) == [0]
    told = present(await latest(redis, "AAPL"))
    assert (told.kind, told.tick, told.action, told.reason) == (kind, "t", "none", "no such key")
    assert thesis_of(entry, 1) is None


async def test_a_skipped_record_does_not_hold_up_those_after_it(
    redis: Redis, owner: str, publisher: Publishers
) -> None:
    skipped = await Log(redis).append(draft("s"), owner, SETTLEMENT)
    (entry,) = await record(redis, owner, 1)
    out = publisher()
    await asyncio.gather(out.publish(entry), out.publish(skipped))
    assert await published(redis) == [0, 1]


async def test_resuming_reads_nothing_before_the_last_published_index(
    redis: Redis, owner: str, publisher: Publishers
) -> None:
    await Log(redis).append(draft("s"), owner, SETTLEMENT)
    await record(redis, owner, 1)
    await Log(redis).append(draft("u"), owner, SETTLEMENT)
    await Log(redis).advance(3, owner)
    assert await publisher().resume() == 3
    assert await publisher().resume() == 0


async def test_the_stream_of_decisions_has_no_ttl(redis: Redis, owner: str, publisher: Publishers) -> None:
    await record(redis, owner, 1)
    await publisher().resume()
    assert await redis.ttl(keys.decisions(0)) == await redis.ttl(keys.latest(0, "AAPL")) == -1


async def test_a_server_that_is_not_there_is_a_trail_error(redis: Redis, owner: str) -> None:
    (entry,) = await record(redis, owner, 1)
    client = connect(f"redis://127.0.0.1:{free_port()}/0", retries=0)
    out = Publisher(client, Log(client), 1, owner)
    with pytest.raises(TrailError, match="could not be published"):
        await out.publish(entry)
    with pytest.raises(TrailError, match="could not be read"):
        await out.resume()
    await client.aclose()


async def test_an_owner_publishes_what_its_predecessor_could_not(redis: Redis, owner: str, tmp_path: Path) -> None:
    await record(redis, owner, 3)
    await redis.delete(lease_key(0))
    instance, _ = await bind_instance(redis, tmp_path)
    async with Owner(TrailHome(redis, "", instance, tmp_path)):
        assert await published(redis) == [0, 1, 2]


async def test_an_owner_that_another_has_followed_begins_anew(redis: Redis, tmp_path: Path) -> None:
    await hold(redis, *SYMBOLS)
    instance, _ = await bind_instance(redis, tmp_path)
    async with Owner(TrailHome(redis, "", instance, tmp_path)) as sleeper:
        await sleeper.settle(await decided(redis, "AAPL", "before"))
        await redis.delete(lease_key(0))  # it slept longer than its lease lasts
        async with Owner(TrailHome(redis, "", instance, tmp_path)) as other:
            await other.settle(await decided(redis, "AAPL", "between"))
        with pytest.raises(LeaseError, match="Another owner has begun"):
            await sleeper.settle(await decided(redis, "AAPL", "after"))
    async with Owner(TrailHome(redis, "", instance, tmp_path)) as third:
        await third.settle(await decided(redis, "AAPL", "after"))
    assert len(await published(redis)) == 3


async def test_a_server_that_lost_its_data_is_not_written_to(redis: Redis, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    instance, _ = await bind_instance(redis, tmp_path)
    async with Owner(TrailHome(redis, "", instance, tmp_path)) as owner:
        draft = await decided(redis, "AAPL", "before")
        await redis.flushall()
        with pytest.raises(InstanceError, match="--new-instance"):
            await owner.settle(draft)
    assert await redis.dbsize() == 0


async def test_an_incident_that_is_sent_again_stands_once(redis: Redis, owner: str) -> None:
    log = Log(redis)
    await redis.xgroup_create(keys.ticks(0), keys.DECIDERS, id="0", mkstream=True)
    entry_id = cast("bytes", await redis.xadd(keys.ticks(0), {"x": "y"})).decode()
    await redis.xreadgroup(keys.DECIDERS, "owner", {keys.ticks(0): ">"})
    draft = compose_unread("incident", None, "no tick", RecordMetadata(1, "host:1"))
    settlement = Settlement(keys.ticks(0), keys.attempts(0), keys.DECIDERS, (entry_id,))
    first = await log.append(draft, owner, settlement)
    again = await log.append(draft, owner, settlement)
    assert (first.index, again.index, await log.size()) == (0, 0, 1)


async def test_a_record_waits_out_a_full_server_and_a_lease_that_ended_meanwhile(redis: Redis, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    instance, _ = await bind_instance(redis, tmp_path)
    async with Owner(TrailHome(redis, "", instance, tmp_path)) as owner:
        draft = await decided(redis, "AAPL", "t1")
        await redis.delete(lease_key(0))
        await redis.config_set("maxmemory", "1")
        try:
            settling = asyncio.create_task(owner.settle(draft))
            await asyncio.sleep(0.3)
            assert not settling.done()
        finally:
            await redis.config_set("maxmemory", "2gb")
        assert (await asyncio.wait_for(settling, 120)).index == 1
