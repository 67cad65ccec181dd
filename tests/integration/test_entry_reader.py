"""Whatever others put into the streams of ticks and effects, a reader is given a bounded number of bytes of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from llmctx.connection.streams import StreamEntry, pages_of_stream, read_stream
from llmctx.context.tick import Tick
from llmctx.limits import MAX_CAUSE_CHARS, MAX_EFFECT_BYTES
from llmctx.schema import keys
from llmctx.worker.ticks import Delivery, TickStream

LARGE = 1_000_000
PAGE = 4 * 2**20


@asynccontextmanager
async def opened(redis: Redis, found: list[StreamEntry]) -> AsyncIterator[TickStream]:
    """A stream of ticks and effects, whose effects are noted."""

    async def note(entries: list[StreamEntry]) -> None:
        found.extend(entries)

    stream = TickStream(redis, 0, record=note)
    await stream.open()
    yield stream


async def all_of(stream: TickStream) -> list[list[Delivery]]:
    pages = []
    while page := await stream.new(None):
        pages.append(page)
    return pages


async def test_large_ticks_come_a_few_at_a_time_and_cut(redis: Redis) -> None:
    for number in range(12):
        await redis.xadd(keys.ticks(0), {"id": f"t{number}", "symbol": "AAPL", "cause": "x" * LARGE, "other": "y" * 9})
    async with opened(redis, []) as stream:
        pages = await all_of(stream)
    assert max(map(len, pages)) <= PAGE // LARGE + 1
    ticks = [each.tick for page in pages for each in page]
    assert [tick.id for tick in ticks if tick is not None] == [f"t{number}" for number in range(12)]
    assert {len(tick.cause) for tick in ticks if tick is not None} == {MAX_CAUSE_CHARS}


async def test_what_was_delivered_before_comes_the_same_way(redis: Redis) -> None:
    for number in range(12):
        await redis.xadd(keys.ticks(0), {"id": f"t{number}", "symbol": "AAPL", "cause": "x" * LARGE})
    async with opened(redis, []) as stream:
        given = [each for page in await all_of(stream) for each in page]
        await redis.xdel(keys.ticks(0), given[3].entry_id)
        again: list[Delivery] = []
        after = "0"
        while page := await stream.pending(after):
            assert len(page) <= PAGE // LARGE + 2  # the deleted one has no size
            again, after = again + page, page[-1].entry_id
    assert [each.entry_id for each in again] == [each.entry_id for each in given]
    assert [each.entry_id for each in again if "was trimmed" in each.problem] == [given[3].entry_id]


async def test_of_large_effects_the_beginning_comes(redis: Redis) -> None:
    for _ in range(6):
        await redis.xadd(keys.effects(0), {"effect": "1" * LARGE, "x" * LARGE: "1"})
    found: list[StreamEntry] = []
    async with opened(redis, found) as stream:
        assert await all_of(stream) == []
    assert [{name: len(value) for name, value in entry.fields.items()} for entry in found] == [
        {b"effect": MAX_EFFECT_BYTES + 1}
    ] * 6


async def test_many_ticks_come_in_order_each_once_whether_awaited_or_not(redis: Redis) -> None:
    async with opened(redis, []) as stream:
        ids: list[str] = []
        for count in (1, 3, 4, 5, 700):
            for number in range(count):
                await redis.xadd(keys.ticks(0), Tick(id=f"{count}:{number}", symbol="AAPL").fields())
            while page := await stream.new(10):
                ids += [each.tick.id for each in page if each.tick is not None]
    assert ids == [f"{count}:{number}" for count in (1, 3, 4, 5, 700) for number in range(count)]


async def test_a_full_server_still_gives_what_is_there(redis: Redis) -> None:
    await redis.xadd(keys.ticks(0), Tick(id="t", symbol="AAPL").fields())
    async with opened(redis, []) as stream:
        assert await stream.pending("0") == []  # the function is loaded now
        await redis.config_set("maxmemory", 1)
        try:
            (found,) = await stream.new(None)
        finally:
            await redis.config_set("maxmemory", "2gb")
    assert found.tick is not None


async def test_pages_of_a_stream_shrink_with_what_stands_in_it(redis: Redis) -> None:
    for size in (*[LARGE] * 20, *[10] * 900):
        await redis.xadd("s", {"x": "y" * size})

    async def fetch(begin: str, count: int) -> list[StreamEntry]:
        return await read_stream(redis, "s", begin, count=count)

    pages = [page async for page in pages_of_stream(fetch, "-", 200)]
    sizes = [sum(len(entry.fields[b"x"]) for entry in page) for page in pages]
    assert sum(map(len, pages)) == 920
    assert max(sizes) <= 2 * PAGE
    assert max(map(len, pages)) == 200
