"""The log: contiguous, one record a tick, and either all of an append is there or nothing."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection import connect
from llmctx.connection.streams import read_stream
from llmctx.errors import LeaseError, SettledError, TrailError
from llmctx.schema import keys
from llmctx.trail.log.blobs import Blobs
from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.lease import Lease, lease_key
from llmctx.trail.log.log import Log, Settlement
from llmctx.worker.ticks import TickStream
from tests.conftest import free_port, present
from tests.integration.conftest import SETTLEMENT, draft, held_lease, raise_tick

MANY = 450
"""More than two pages of the log."""


@pytest.fixture
async def owner(redis: Redis) -> str:
    return (await held_lease(redis)).owner


async def append_many(redis: Redis, owner: str, count: int, symbol: str = "AAPL") -> None:
    log = Log(redis)
    for n in range(count):
        await log.append(draft(f"{symbol}-{n}", symbol), owner, SETTLEMENT)


async def indices(entries: AsyncIterator[Entry]) -> list[int]:
    return [entry.index async for entry in entries]


async def everything(redis: Redis) -> dict[bytes, object]:
    """All that is in the server, so that "nothing was written" can be said."""
    names = sorted([name async for name in redis.scan_iter()])
    return {name: await redis.dump(name) for name in names}


async def test_an_empty_log_has_no_size_and_no_records(redis: Redis) -> None:
    log = Log(redis)
    assert (await log.size(), await log.entry(0), await indices(log.read())) == (0, None, [])


async def test_indices_are_contiguous_from_zero(redis: Redis, owner: str) -> None:
    log = Log(redis)
    appended = [(await log.append(draft(f"t{n}"), owner, SETTLEMENT)).index for n in range(10)]
    assert appended == list(range(10))


async def test_indices_are_contiguous_when_many_append_at_once(redis: Redis, owner: str) -> None:
    log = Log(redis)
    entries = await asyncio.gather(*(log.append(draft(f"t{n}"), owner, SETTLEMENT) for n in range(100)))
    assert sorted(entry.index for entry in entries) == await indices(log.read()) == list(range(100))


async def test_a_record_is_read_as_it_was_appended(redis: Redis, owner: str) -> None:
    made = draft("t")._replace(pieces={"snapshot": b'{"a":1}', "completion": b"\xff\x00"})
    await Log(redis).append(made, owner, SETTLEMENT)
    entry = present(await Log(redis).entry(0))
    assert (entry.leaf, entry.pieces, entry.index) == (made.leaf, made.pieces, 0)


async def test_the_same_tick_twice_gives_the_same_index_and_one_record(redis: Redis, owner: str) -> None:
    log = Log(redis)
    first = await log.append(draft("t"), owner, SETTLEMENT)
    await log.append(draft("u"), owner, SETTLEMENT)
    again = await log.append(draft("t", conflated=[]), owner, SETTLEMENT)
    assert (again.index, again.leaf) == (first.index, first.leaf)
    assert await log.size() == 2


async def test_the_same_tick_with_another_leaf_gives_the_leaf_that_stands(redis: Redis, owner: str) -> None:
    log = Log(redis)
    first = await log.append(draft("t", "AAPL"), owner, SETTLEMENT)
    assert (await log.append(draft("t", "MSFT"), owner, SETTLEMENT)).leaf == first.leaf


async def test_records_without_a_tick_are_never_the_same(redis: Redis, owner: str) -> None:
    log = Log(redis)
    made = [(await log.append(draft("")._replace(tick="", symbol=""), owner, SETTLEMENT)).index for _ in range(2)]
    assert made == [0, 1]


async def test_conflated_ticks_are_settled_by_the_record(redis: Redis, owner: str) -> None:
    log = Log(redis)
    await log.append(draft("a"), owner, SETTLEMENT)
    await log.append(draft("d", conflated=["b", "c"]), owner, SETTLEMENT)
    assert await log.settled(["a", "b", "c", "d", "e"]) == [0, 1, 1, 1, None]
    assert await log.tick_map() == {"a": 0, "b": 1, "c": 1, "d": 1}


async def test_a_record_with_conflated_ticks_is_found_again(redis: Redis, owner: str) -> None:
    log = Log(redis)
    made = draft("d", conflated=["b", "c"])
    await log.append(made, owner, SETTLEMENT)
    assert (await log.append(made, owner, SETTLEMENT)).index == 0
    assert await log.size() == 1


async def test_a_conflated_tick_settled_elsewhere_is_refused_and_nothing_written(redis: Redis, owner: str) -> None:
    log = Log(redis)
    await log.append(draft("b"), owner, SETTLEMENT)
    await TickStream(redis, 0).open()
    entry_id = await raise_tick(redis, "c", "AAPL")
    before = await everything(redis)
    with pytest.raises(SettledError, match="already settled tick b"):
        await log.append(draft("c", conflated=["b"]), owner, SETTLEMENT._replace(entry_ids=(entry_id,)))
    assert await everything(redis) == before


async def test_a_settled_tick_with_a_conflated_tick_of_another_record_is_refused(redis: Redis, owner: str) -> None:
    log = Log(redis)
    await log.append(draft("a"), owner, SETTLEMENT)
    await log.append(draft("b"), owner, SETTLEMENT)
    before = await everything(redis)
    with pytest.raises(SettledError, match="tick a"):
        await log.append(draft("b", conflated=["a"]), owner, SETTLEMENT)
    assert await everything(redis) == before


async def test_a_settled_tick_with_a_conflated_tick_of_no_record_is_refused(redis: Redis, owner: str) -> None:
    log = Log(redis)
    await log.append(draft("a"), owner, SETTLEMENT)
    with pytest.raises(SettledError, match="tick new"):
        await log.append(draft("a", conflated=["new"]), owner, SETTLEMENT)
    assert await log.settled(["new"]) == [None]


async def test_who_never_held_the_lease_writes_nothing(redis: Redis, owner: str) -> None:
    assert owner
    before = await everything(redis)
    with pytest.raises(LeaseError, match="tick t was not recorded"):
        await Log(redis).append(draft("t"), "somebody else", SETTLEMENT)
    assert await everything(redis) == before


async def test_without_a_lease_nothing_is_written(redis: Redis) -> None:
    with pytest.raises(LeaseError, match="held by nobody"):
        await Log(redis).append(draft("t"), "somebody", SETTLEMENT)
    assert await redis.dbsize() == 0


async def test_after_the_lease_ended_nothing_is_written(redis: Redis) -> None:
    lease = Lease(redis, 0, length_ms=1)
    await lease.take()
    await asyncio.sleep(0.01)
    before = await everything(redis)
    with pytest.raises(LeaseError, match="LEASE ended"):
        await Log(redis).append(draft("t"), lease.owner, SETTLEMENT)
    assert await everything(redis) == before


async def test_the_lease_of_another_partition_does_not_count(redis: Redis, owner: str) -> None:
    with pytest.raises(LeaseError, match="Partition 1"):
        await Log(redis, 1).append(draft("t"), owner, SETTLEMENT)


async def given_out(redis: Redis, *ticks: str) -> list[str]:
    """The entry ids of ticks that were raised and given to the owner."""
    stream = TickStream(redis, 0)
    await stream.open()
    for tick in ticks:
        await raise_tick(redis, tick, "AAPL")
    return [delivery.entry_id for delivery in await stream.new(None)]


async def test_an_append_acknowledges_and_deletes_its_stream_entries(redis: Redis, owner: str) -> None:
    entry_ids = await given_out(redis, "a", "b", "other")
    settlement = SETTLEMENT._replace(entry_ids=tuple(entry_ids[:2]))
    await Log(redis).append(draft("b", conflated=["a"]), owner, settlement)
    assert [found.id for found in await read_stream(redis, keys.ticks(0))] == entry_ids[2:]
    assert [delivery.entry_id for delivery in await TickStream(redis, 0).pending("0")] == entry_ids[2:]


async def test_a_repeated_append_settles_the_entries_that_came_later(redis: Redis, owner: str) -> None:
    log = Log(redis)
    await log.append(draft("a"), owner, SETTLEMENT)
    entry_ids = await given_out(redis, "a")
    await log.append(draft("a"), owner, SETTLEMENT._replace(entry_ids=tuple(entry_ids)))
    assert await redis.xlen(keys.ticks(0)) == 0
    assert await TickStream(redis, 0).pending("0") == []


async def test_an_append_forgets_the_attempts_of_all_its_ticks(redis: Redis, owner: str) -> None:
    await redis.hset(keys.attempts(0), mapping={"a": 2, "b": 1, "other": 3})
    await Log(redis).append(draft("b", conflated=["a"]), owner, SETTLEMENT)
    assert await redis.hgetall(keys.attempts(0)) == {b"other": b"3"}


async def test_an_append_works_before_there_is_a_tick_stream(redis: Redis, owner: str) -> None:
    settlement = Settlement(keys.ticks(0), keys.attempts(0), keys.DECIDERS, ("1-0",))
    assert (await Log(redis).append(draft("a"), owner, settlement)).index == 0


async def test_a_blob_is_kept_under_its_digest(redis: Redis, owner: str) -> None:
    log = Log(redis)
    await log.append(draft("a", blobs=[b"source"]), owner, SETTLEMENT)
    assert await log.blobs.blob(canonical.sha256(b"source")) == b"source"


async def test_a_lost_blob_is_kept_again(redis: Redis, owner: str) -> None:
    log, digest = Log(redis), canonical.sha256(b"source")
    await log.append(draft("a", blobs=[b"source"]), owner, SETTLEMENT)
    assert await redis.delete(f"audit:{{0}}:blob:{digest}") == 1
    await log.append(draft("b", blobs=[b"source"]), owner, SETTLEMENT)
    assert await log.blobs.blob(digest) == b"source"
    assert await log.size() == 2


async def test_the_blobs_that_are_there_are_found(redis: Redis) -> None:
    log = Log(redis)
    digest = await log.blobs.keep(b"one")
    assert await log.blobs.blob(digest) == b"one"
    assert await log.blobs.blob("0" * 64) is None


async def test_keeping_a_blob_again_changes_nothing(redis: Redis) -> None:
    log = Log(redis)
    assert await log.blobs.keep(b"one") == await Log(redis).blobs.keep(b"one")
    assert await redis.dbsize() == 1


async def test_only_the_dictionaries_used_last_stay_in_memory(redis: Redis) -> None:
    made = [Dictionary(b"dictionary %d" % number) for number in range(20)]
    for number, dictionary in enumerate(made):
        await Blobs(redis, 0).keep_dictionary(dictionary, number)
    blobs = Blobs(redis, 0)
    references = [weakref.ref(await read(blobs, dictionary)) for dictionary in made]
    gc.collect()
    assert sum(reference() is not None for reference in references) == 4
    assert (await read(blobs, made[0])).content == made[0].content


async def read(blobs: Blobs, dictionary: Dictionary) -> Dictionary:
    return present(await blobs.dictionary(dictionary.reference))


async def test_no_key_of_the_trail_has_a_ttl(redis: Redis, owner: str) -> None:
    await Log(redis).append(draft("a", conflated=["b"], blobs=[b"source"]), owner, SETTLEMENT)
    names = [name async for name in redis.scan_iter("audit:*")]
    assert len(names) == 5
    assert {await redis.ttl(name) for name in names} == {-1}


async def test_reading_goes_through_all_pages_in_order(redis: Redis, owner: str) -> None:
    await append_many(redis, owner, MANY)
    assert await indices(Log(redis).read()) == list(range(MANY))


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (3, 250), (199, 201), (200, 400), (449, None), (450, None), (7, 7)]
)
async def test_reading_a_range_gives_just_that_range(valkey: Redis, start: int, stop: int | None) -> None:
    await append_many(valkey, (await held_lease(valkey)).owner, MANY)
    assert await indices(Log(valkey).read(start, stop)) == list(range(MANY))[start:stop]


async def test_reading_back_goes_through_all_pages_from_the_newest(redis: Redis, owner: str) -> None:
    await append_many(redis, owner, MANY)
    assert await indices(Log(redis).read_back()) == list(range(MANY))[::-1]


async def test_reading_back_of_a_symbol_gives_its_records_only(redis: Redis, owner: str) -> None:
    log, expected = Log(redis), []
    for n in range(MANY):
        symbol = "AAPL" if n % 2 else "MSFT"
        made = draft(f"t{n}", symbol)
        entry = await log.append(made, owner, SETTLEMENT)
        if symbol == "AAPL":
            expected.append(entry.index)
    assert await indices(log.read_back_of("AAPL")) == expected[::-1]
    assert len(expected) > 200


async def test_reading_back_of_a_symbol_keeps_the_order_within_one_millisecond(redis: Redis, owner: str) -> None:
    await append_many(redis, owner, 12)
    assert await indices(Log(redis).read_back_of("AAPL")) == list(range(12))[::-1]


@pytest.mark.parametrize("count", [200, 400])
async def test_a_log_that_ends_with_a_page_is_read_once(valkey: Redis, count: int) -> None:
    await append_many(valkey, (await held_lease(valkey)).owner, count)
    log = Log(valkey)
    assert await indices(log.read()) == list(range(count))
    assert await indices(log.read_back()) == list(range(count))[::-1]


async def test_partitions_have_logs_of_their_own(redis: Redis, owner: str) -> None:
    other = Lease(redis, 1)
    await other.take()
    assert (await Log(redis, 0).append(draft("a"), owner, SETTLEMENT)).index == 0
    assert (await Log(redis, 1).append(draft("a"), other.owner, SETTLEMENT)).index == 0


async def test_what_is_no_record_is_unreadable(redis: Redis) -> None:
    await redis.xadd("audit:{0}:log", {"record": b"x"}, id="0-1")
    entry = present(await Log(redis).entry(0))
    assert entry.unreadable is not None
    assert entry.unreadable.why == "it cannot be unpacked: its format is unknown"


async def test_an_append_after_the_functions_were_lost_works(redis: Redis, owner: str) -> None:
    log = Log(redis)
    await log.append(draft("a"), owner, SETTLEMENT)
    await redis.function_flush()
    assert (await log.append(draft("b"), owner, SETTLEMENT)).index == 1


async def test_a_server_that_is_not_there_is_a_trail_error() -> None:
    client = connect(f"redis://127.0.0.1:{free_port()}/0", retries=0)
    with pytest.raises(TrailError, match="could not be appended"):
        await Log(client).append(draft("a"), "owner", SETTLEMENT)
    await client.aclose()


def test_the_lease_key_stands_in_the_partitions_slot() -> None:
    assert lease_key(3) == "audit:{3}:lease"
