"""A full disk, a slow one, replies that are lost, connections that are reset, memory that runs out."""

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.connection.streams import read_stream
from llmctx.context.package import build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.context.snapshot import Snapshot
from llmctx.prompt.render import render
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.trail.spool.spool import Spool, spool_directory
from llmctx.worker import memory
from llmctx.worker.home import TrailHome
from llmctx.worker.memory import MemoryWatch
from llmctx.worker.owner import Owner
from tests.faults.conftest import Server, check_oracle
from tests.integration.conftest import POSITION, ByRules, decided, hold, raise_tick, serving
from tests.integration.program import until

pytestmark = pytest.mark.usefixtures("short_pauses")

SYMBOLS = [f"S{n}" for n in range(12)]


class Proxy:
    """Stands between a client and the server; loses the replies to every n-th command that has a word in it."""

    def __init__(self, port: int, word: bytes, every: int) -> None:
        self._port, self._word, self._every = port, word, every
        self._seen = 0
        self.lost = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        losing = asyncio.Event()
        both = [
            asyncio.ensure_future(self._forth(reader, back, losing)),
            asyncio.ensure_future(self._back(there, writer, losing)),
        ]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, back):
            end.close()
        for one in both:
            one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*both, return_exceptions=True)

    async def _forth(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while sent := await reader.read(65536):
            if self._word in sent:
                self._seen += 1
                if self._seen % self._every == 0:
                    losing.set()
            back.write(sent)
            await back.drain()

    async def _back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while answered := await there.read(65536):
            if losing.is_set():  # the server has done it; nobody will hear of it
                self.lost += 1
                return
            writer.write(answered)
            await writer.drain()


@asynccontextmanager
async def proxied(port: int, word: bytes, every: int) -> AsyncIterator[tuple[Proxy, Redis, str]]:
    async with Proxy(port, word, every) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        client = connect(url)
        yield proxy, client, url
        await client.aclose()


@pytest.mark.parametrize("word", [b"llmctx_append", b"XREADGROUP", b"llmctx_publish", b"llmctx_durable", b"HINCRBY"])
async def test_lost_replies_settle_every_tick_once(redis: Redis, redis_url: str, tmp_path: Path, word: bytes) -> None:
    await hold(redis, *SYMBOLS)
    raised = [f"{symbol}-{n}" for n in range(4) for symbol in SYMBOLS]
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    async with (
        proxied(port, word, 5) as (proxy, client, url),
        serving(client, url, tmp_path, ByRules(pauses=2), concurrency=4),
    ):
        for tick in raised:
            await raise_tick(redis, tick, tick.partition("-")[0])
        await until(lambda: _all_settled(redis, raised))
    assert proxy.lost > 0 or word == b"HINCRBY"
    await check_oracle(redis, raised)


async def _all_settled(redis: Redis, ticks: list[str]) -> bool:
    return None not in await Log(redis).settled(ticks)


async def test_a_full_disk_stops_publishing_until_there_is_space_again(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hold(redis, *SYMBOLS)
    full = False

    def fdatasync(file: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.decide(redis, "before", SYMBOLS[0])
        size = await Log(redis).size()
        full = True
        raised = [f"{symbol}-x" for symbol in SYMBOLS]
        for tick in raised:
            await raise_tick(redis, tick, tick.partition("-")[0])
        await running.until_trouble("No space left on device")
        await until(lambda: _all_settled(redis, raised))
        assert len(await read_stream(redis, keys.decisions(0))) == 1
        assert await Log(redis).durable() == size
        full = False
        await running.until_settled(*raised)
        await running.until_trouble("publishing continues")
    await check_oracle(redis, ["before", *raised])


async def test_what_a_full_disk_left_torn_is_passed_over(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hold(redis, "AAPL")
    instance, _ = await bind_instance(redis, tmp_path)
    write = os.write
    room, refused = [10**9], []

    def short(file: int, raw: bytes) -> int:
        if len(raw) > room[0]:
            refused.append(raw)
            write(file, raw[: room[0]])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, raw)

    monkeypatch.setattr(os, "write", short)
    async with Owner(TrailHome(redis, "", instance, tmp_path)) as owner:
        await owner.settle(await decided(redis, "AAPL", "a"))
        room[0] = 100
        settling = asyncio.create_task(owner.settle(await decided(redis, "AAPL", "b")))
        await until(lambda: len(refused) >= 2)
        assert not settling.done()
        room[0] = 10**9
        await asyncio.wait_for(settling, 120)
    spool = Spool(spool_directory(tmp_path, instance.id, 0))
    spool.load(0)
    assert (spool.size, len(spool.torn)) == (3, 1)
    await check_oracle(redis, ["a", "b"])


async def test_a_slow_disk_is_waited_for_by_many_at_once(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hold(redis, *SYMBOLS)
    syncs = 0

    def slow(_: int) -> None:
        nonlocal syncs
        syncs += 1
        time.sleep(0.1)

    monkeypatch.setattr(os, "fdatasync", slow)
    completer = ByRules()
    completer.gate.clear()  # all answers come at once
    async with serving(redis, redis_url, tmp_path, completer) as running:
        for symbol in SYMBOLS:
            await raise_tick(redis, symbol, symbol)
        await until(lambda: len(completer.asked) == len(SYMBOLS))
        completer.gate.set()
        await running.until_settled(*SYMBOLS)
    await check_oracle(redis, SYMBOLS)
    assert syncs < len(SYMBOLS)


@pytest.fixture
def small(server: Server) -> Server:
    """A server with little memory."""
    server.kill()
    server.start("--maxmemory", "32mb")
    return server


async def fill(redis: Redis, megabytes: int, *, lasting: bool, name: str) -> None:
    for n in range(megabytes * 16):
        await redis.set(f"{name}:{n}", b"x" * 65_000, ex=None if lasting else 86_400)


async def test_no_tick_is_taken_beyond_the_mark_and_live_keys_stay(
    small: Server, client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_INTERVAL_S", 0.02)
    await hold(client, "AAPL")
    await fill(client, 4, lasting=False, name="live")
    before = await client.dbsize()
    async with serving(client, small.url, tmp_path, ByRules()) as running:
        await running.decide(client, "first", "AAPL")
        await fill(client, 25, lasting=True, name="others")
        await running.until_trouble("No more ticks are taken")
        await raise_tick(client, "second", "AAPL")
        await asyncio.sleep(0.3)
        last = "second"
        if await Log(client).settled([last]) != [None]:  # a read that had begun before took it; none began after it
            last = "third"
            await raise_tick(client, last, "AAPL")
            await asyncio.sleep(0.3)
        assert await Log(client).settled([last]) == [None]
        assert (await client.info("stats"))["evicted_keys"] == 0
        for n in range(12 * 16):
            await client.delete(f"others:{n}")
        await running.until_trouble("There is room again")
        await running.until_settled(last)
    assert len([name async for name in client.scan_iter("live:*")]) == 4 * 16 < before


async def test_what_cannot_expire_is_told_from_what_can(small: Server, client: Redis) -> None:
    assert small.running
    watch = MemoryWatch(client)
    empty = (await watch.measure()).lasting
    await fill(client, 8, lasting=False, name="live")
    await fill(client, 6, lasting=True, name="trail")
    watch = MemoryWatch(client)

    async def is_told_apart() -> bool:
        found = await watch.measure()  # buffers of what was just written count as well, until they are given back
        near = abs(found.lasting - empty - 6 * 16 * 65_536) < 1_500_000
        return near and found.used - found.lasting > 7 * 2**20

    await until(is_told_apart)


async def test_sections_that_are_evicted_while_others_join_them_are_missing_and_nothing_else(
    small: Server, client: Redis
) -> None:
    assert small.running
    await client.config_set("maxmemory-policy", "allkeys-random")  # evicts whatever it meets, positions too
    await client.config_set("maxmemory-samples", 64)
    stop = asyncio.Event()

    async def crowd() -> None:
        number = 0
        while not stop.is_set():
            await client.set(f"live:{number}", b"x" * 400_000, ex=86_400)
            number += 1

    crowding = asyncio.create_task(crowd())
    statuses: set[tuple[str, str]] = set()
    try:
        while not {"fresh", "missing"} <= {status for _, status in statuses}:
            await hold(client, "AAPL")
            snapshot = await read_snapshot(client, "AAPL", 0, ReadRules())
            package = build_package(snapshot)
            assert build_package(Snapshot.from_evidence(snapshot.evidence())) == package
            found = {(name, str(section.status)) for name, section in package.sections.items()}
            assert {status for _, status in found} <= {
                "fresh",
                "stale",
                "missing",
            }  # without system:state no bars clock
            if package.refusal is None:
                render(POSITION, package)
            else:
                assert "is missing" in package.refusal
            statuses |= {pair for pair in found if pair[0] in ("price", "position", "system")}
    finally:
        stop.set()
        await crowding
