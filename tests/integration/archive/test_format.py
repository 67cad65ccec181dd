"""A segment gives back every byte, to this program and to others, and proves itself alone."""

import json
from pathlib import Path

import duckdb
import pyarrow.parquet
import pytest
from redis.asyncio import Redis

from llmctx.errors import ArchiveError
from llmctx.replay.verify import Expected
from llmctx.replay.verify_copy import verify_part
from llmctx.trail.archive.reader import open_archive
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import FaultError
from llmctx.trail.log.log import Log
from tests.integration.archive.conftest import write_segment
from tests.integration.program import Program
from tests.integration.test_prove import SIZE


def content(entry: Entry) -> tuple[int, bytes, dict[str, bytes], bytes]:
    return entry.index, entry.leaf, entry.pieces, entry.proof


async def test_an_archive_gives_back_every_entry_byte_for_byte(valkey: Redis, proven: Program) -> None:
    where = str(proven.folder / "kept")
    manifest = await write_segment(valkey, proven, where)
    assert (manifest.first, manifest.end, manifest.lost, manifest.unreadable) == (0, SIZE, 0, 0)
    archive = open_archive(where)
    (part,) = archive.parts
    in_redis = [content(entry) async for entry in Log(valkey).read()]
    assert [content(entry) for entry in archive.entries(part)] == in_redis
    assert [content(entry) for entry in archive.entries(part, start=2, stop=5)] == in_redis[2:5]
    found = archive.entry(part, 3)
    assert found is not None
    assert content(found) == in_redis[3]
    assert archive.entry(part, SIZE) is None


async def test_other_programs_read_the_same_bytes(valkey: Redis, proven: Program) -> None:
    import polars as pl  # noqa: PLC0415  slow to import, and every worker imports every module of tests

    manifest = await write_segment(valkey, proven, str(proven.folder / "kept"))
    file = str(proven.folder / "kept" / manifest.records.name)
    entries = [entry async for entry in Log(valkey).read()]
    leaves = [entry.leaf for entry in entries]
    assert pyarrow.parquet.read_table(file).sort_by("index")["leaf"].to_pylist() == leaves
    assert pl.read_parquet(file).sort("index")["leaf"].to_list() == leaves
    rows = duckdb.execute(
        f"SELECT leaf, snapshot, symbol, action, guards, recorded FROM '{file}' ORDER BY index"
    ).fetchall()
    assert [row[0] for row in rows] == leaves
    assert [row[1] for row in rows] == [entry.pieces.get("snapshot") for entry in entries]
    for row, entry in zip(rows, entries, strict=True):
        verdict = entry.record["verdict"]
        assert row[2:4] == (entry.record.get("symbol"), verdict["action"])
        assert row[4] == ([guard["name"] for guard in verdict["guards"]] if "guards" in verdict else None)
        assert row[5].timestamp() * 1000 == pytest.approx(entry.record["recorded_at_ms"])


async def test_an_archive_alone_is_verified(valkey: Redis, proven: Program) -> None:
    where = str(proven.folder / "kept")
    await write_segment(valkey, proven, where)
    archive = open_archive(where)
    (part,) = archive.parts
    report = await verify_part(archive, part, Expected(archive.key))
    assert (report.fault, report.records, report.rebuilt, report.covered) == (None, SIZE, 4, SIZE)


async def test_a_segment_that_is_there_is_proven_and_taken_over(valkey: Redis, proven: Program) -> None:
    where = str(proven.folder / "kept")
    first = await write_segment(valkey, proven, where)
    assert await write_segment(valkey, proven, where) == first
    (proven.folder / "kept" / first.name).unlink()  # killed before the manifest
    again = await write_segment(valkey, proven, where)
    assert again.model_copy(update={"made_ms": first.made_ms}) == first


def damage(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


async def test_a_changed_file_is_named(valkey: Redis, proven: Program) -> None:
    where = str(proven.folder / "kept")
    manifest = await write_segment(valkey, proven, where)
    damage(proven.folder / "kept" / manifest.records.name)
    archive = open_archive(where)
    with pytest.raises(FaultError, match="archive-digest"):
        list(archive.entries(archive.parts[0]))
    with pytest.raises(ArchiveError, match="cannot be trusted"):
        await write_segment(valkey, proven, where)


async def test_a_manifest_that_is_malformed_is_named(valkey: Redis, proven: Program) -> None:
    where = str(proven.folder / "kept")
    manifest = await write_segment(valkey, proven, where)
    path = proven.folder / "kept" / manifest.name
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps(document | {"end": SIZE + 1}))
    with pytest.raises(ArchiveError, match="malformed"):
        open_archive(where)
