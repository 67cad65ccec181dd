"""The records of a real day, as a trail holds them, with the blobs that they name."""

import tempfile
from pathlib import Path

from benchmarks.day import trade
from llmctx.connection import open_redis
from llmctx.ops.server import EmbeddedServer
from llmctx.replay.corpus import Recorded
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.log import Log


async def record_day(decisions: int) -> tuple[list[Recorded], dict[str, bytes]]:
    """So many decisions in a row, each with its evidence unpacked."""
    entries: list[Entry] = []

    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "redis") as server:
        async with open_redis(server.url) as redis:
            await trade(redis, server.url, Path(folder) / "state", decisions, entries.append)
            log, blobs = Log(redis), dict[str, bytes]()
            for digest in {digest for entry in entries for digest in named_blobs(entry.record)}:
                blob = await log.blobs.blob(digest)
                assert blob is not None, digest
                blobs[digest] = blob
    return [Recorded(entry.leaf, entry.pieces, index=entry.index) for entry in entries], blobs
