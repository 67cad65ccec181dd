"""Nobody waits for ever, and nothing is closed while a thread writes to it."""

import asyncio
import threading
from pathlib import Path

import pytest

from llmctx.connection import connect
from llmctx.errors import SpoolError, TrailError
from llmctx.trail.disk import write_in_thread
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Log
from llmctx.trail.log.packing import pack
from llmctx.trail.spool.segment import Segment
from llmctx.trail.spool.spooler import Spooler


async def test_who_waits_for_a_spooler_learns_that_it_was_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(_: int) -> None:
        raise TrailError("The durable size could not be written.", "Check Redis.")

    async def nothing() -> None:
        raise AssertionError("nothing is missing")

    redis = connect("redis://127.0.0.1:1/0")
    leaf = b'{"kind":"notice"}'
    spooler = Spooler(tmp_path, Segment(tmp_path, 0, 0), Log(redis), refused, fetch=nothing)
    spooler.start(0)
    adding = asyncio.create_task(spooler.add(Entry(leaf, {}, index=0, packed=pack(leaf, {}))))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        await spooler.close()
        with pytest.raises(SpoolError, match="closed"):
            await adding
    assert [record.message for record in caplog.records] == [
        "The durable size could not be written. Nothing is published before that succeeds."
    ]
    await redis.aclose()


async def test_a_write_that_is_cancelled_twice_is_finished_first() -> None:
    go_on, written = threading.Event(), threading.Event()

    def write() -> None:
        go_on.wait(10)
        written.set()

    writing = asyncio.create_task(write_in_thread(write))
    for _ in range(2):
        await asyncio.sleep(0.05)
        writing.cancel()
    await asyncio.sleep(0.05)
    assert not writing.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert written.is_set()
