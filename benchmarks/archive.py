"""Archiving: Parquet written from records in memory, and the whole way from Redis to a trimmed log.

The records are those of a simulated day, signed by their writer, and copies of them under other tick ids whose answers
argue in the words of other models (tests/assets/grounding). Sizes are those of one copy: no two of its records have the
same evidence, while the copies of a decision share its snapshot.
"""

import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from benchmarks import reasonings
from benchmarks.day import trade
from benchmarks.stage import Stage
from llmctx import canonical
from llmctx.connection import open_redis
from llmctx.ops.archive.run import Archiver
from llmctx.ops.server import EmbeddedServer
from llmctx.schema import keys
from llmctx.trail.archive.archived_range import ArchivedRange
from llmctx.trail.archive.place import open_place
from llmctx.trail.archive.segment import Trail
from llmctx.trail.archive.writer import RecordsWriter
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Draft, Log, Settlement
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.key import load_key
from llmctx.trail.proof.notary_service import cover_now
from llmctx.trail.proof.writer import load_or_make_writer
from llmctx.worker.ask_owner import note_and_trim
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner

DECISIONS = 1560
"""Four symbols, a whole regular session of one-minute bars."""
COPIES = 6


async def measure(_: Stage) -> dict[str, str]:
    """archive_write_per_s: records written as Parquet per second of CPU; archive_per_s: the same for the whole way from
    Redis, read back, verified, noted and trimmed; archive_bytes: bytes of Parquet per record of one copy.
    """
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "redis") as server:
        async with open_redis(server.url) as redis:
            home = await _trail(redis, server.url, Path(folder) / "state")
            written_per_s, record_bytes = await _write(Log(redis))
            async with Owner(home, 0):
                pass  # the copies are in the spool now, and published
            await cover_now(redis, home.instance, home.state_dir, load_key(home.state_dir, home.instance.id))
            count, took_s = await _archive(home, str(Path(folder) / "archive"))
    print(
        f"archive: {count} records; Parquet from memory {written_per_s:.0f}/s, the whole way {count / took_s:.0f}/s; "
        f"{record_bytes:.0f} bytes a record with all evidence and its writer's proof"
    )
    return {
        "archive_write_per_s": f"{written_per_s:.0f} /s",
        "archive_per_s": f"{count / took_s:.0f} /s",
        "archive_bytes": f"{record_bytes:.0f} B",
    }


async def _trail(redis: Redis, url: str, state_dir: Path) -> TrailHome:
    await trade(redis, url, state_dir, DECISIONS)
    instance, _ = await bind_instance(redis, state_dir)
    log, writer = Log(redis), load_or_make_writer(state_dir, instance.id)
    log.prove = lambda leaf: writer.prove(0, leaf)
    log.dictionary, _ = await log.blobs.newest_dictionary(await log.size())
    texts = [each.text for name in reasonings.HALVES for each in reasonings.reasonings(name)]
    choice = random.Random(7)
    size = await log.size()
    for copy in range(COPIES):
        async for entry in log.read(0, size):
            if entry.record["kind"] == "decision":
                draft = _copied(entry, f"{entry.record['tick']}-{copy}", choice.choice(texts))
                await log.append(draft, "", Settlement(keys.ticks(0), keys.attempts(0), keys.DECIDERS))
    return TrailHome(redis, url, instance, state_dir)


def _copied(entry: Entry, tick: str, reasoning: str) -> Draft:
    """The same decision about another tick, with other words in its answer."""
    record: dict[str, Any] = {name: value for name, value in entry.record.items() if name != "conflated"}
    body = json.loads(entry.pieces["completion"])
    message = body["choices"][0]["message"]
    message["content"] = json.dumps(json.loads(message["content"]) | {"reasoning": reasoning})
    pieces = entry.pieces | {"completion": json.dumps(body).encode()}
    completion = record["completion"] | {"sha256": canonical.sha256(pieces["completion"])}
    decision = record["decision"] | {"reasoning": reasoning}
    leaf = canonical.dumps(record | {"tick": tick, "completion": completion, "decision": decision})
    return Draft(leaf, dict(pieces), (), tick=tick, symbol=record["symbol"])


async def _write(log: Log) -> tuple[float, float]:
    """Records written per second of CPU, and the bytes of one of them."""
    entries = [entry async for entry in log.read()]
    assert all(entry.unreadable is None for entry in entries)  # unpacked and parsed before the clock runs
    copy = entries[-DECISIONS:]
    record_bytes = len(_parquet(copy)) / len(copy)
    began = time.process_time()
    _parquet(entries)
    return len(entries) / (time.process_time() - began), record_bytes


def _parquet(entries: list[Entry]) -> bytes:
    writer = RecordsWriter(entries[0].index, {})
    for entry in entries:
        writer.add(entry)
    return writer.finish(entries[-1].index + 1)


async def _archive(home: TrailHome, where: str) -> tuple[int, float]:
    """The number of records, and the seconds of CPU that archiving them took."""
    instance, state_dir = home.instance, home.state_dir
    anchor = Anchor(anchor_directory(state_dir, instance.id, 0))
    signing, writer = load_key(state_dir, instance.id), load_or_make_writer(state_dir, instance.id)
    trail = Trail(home.redis, Log(home.redis), anchor, instance.id, 1, [signing.key], signing)

    async def trim(partition: int, found: ArchivedRange) -> int:
        return await note_and_trim(home, partition, found)

    began_s = time.process_time()
    archiver = Archiver(trail, state_dir, open_place(where), writer, trim)
    done = [segment async for segment in archiver.run(0, 0, lambda *_: lambda: None)]
    took_s = time.process_time() - began_s
    return sum(segment.end - segment.first for segment in done), took_s
