"""An export is read by index, in both directions, around lost records; what is malformed is named."""

import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from llmctx import canonical
from llmctx.errors import AddressError, TrailError
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.records import Records
from llmctx.trail.source.copies import copy_source
from llmctx.trail.source.filter import Filter
from llmctx.trail.source.lookup import in_force, newest, read_record
from llmctx.trail.source.source import Source

HOUR_MS = 3_600_000


def leaf(hour: int, symbol: str | None = "A", action: str = "hold", **fields: Any) -> dict[str, Any]:
    """A record of a package of this hour, recorded half an hour later."""
    made = {
        "v": 1, "kind": "skipped", "worker": "w", "attempts": 1, "code": "c", "tick": f"{symbol}{hour}",
        "symbol": symbol, "as_of_ms": hour * HOUR_MS, "recorded_at_ms": hour * HOUR_MS + HOUR_MS // 2,
        "verdict": {"action": action, "reason": "r"},
    }  # fmt: skip
    return {name: value for name, value in (made | fields).items() if value is not None}


NOTICE = leaf(2, kind="notice", tick=None, symbol=None, as_of_ms=None, action="none")
LEAVES = [leaf(0, "B"), leaf(1), NOTICE, leaf(3, "B", "exit"), leaf(4, action="exit"), leaf(5, "C", "none")]
LOST = (1, 2)
"""Indices that have no record, so the records have the indices 0, 3, 4, 5, 6, 7."""


def write(folder: Path, leaves: Iterable[dict[str, Any]] = LEAVES, lost: Iterable[int] = LOST) -> Source:
    lines = [canonical.dumps(one) + b"\n" for one in leaves]
    indices = [index for index in range(len(lines) + len(set(lost))) if index not in set(lost)]
    part = folder / "0"
    part.mkdir(parents=True)
    (part / "leaves.jsonl").write_bytes(b"".join(lines))
    evidence = [canonical.dumps({"index": index, "pieces": {}}) + b"\n" for index in indices]
    (part / "evidence.jsonl").write_bytes(b"".join(evidence))
    lines = [canonical.dumps({"index": index, "leaf_hash": "0" * 64}) + b"\n" for index in sorted(lost)]
    (part / "lost.jsonl").write_bytes(b"".join(lines))
    listed = {"partition": 0, "origin": "llmctx/x/0", "first": 0, "size": indices[-1] + 1 if indices else 0}
    manifest = {"format": "llmctx-export/1", "origin": "llmctx/x", "partitions": [listed]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return copy_source(str(folder))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return write(tmp_path)


@pytest.fixture
def records(source: Source) -> Records:
    return source.parts[0]


async def indices(entries: AsyncIterator[Entry]) -> list[int]:
    return [entry.index async for entry in entries]


async def test_a_range_is_read_in_both_directions(records: Records) -> None:
    assert await indices(records.read()) == [0, 3, 4, 5, 6, 7]
    assert await indices(records.read(1, 5)) == [3, 4]
    assert await indices(records.read(5, 5)) == []
    assert await indices(records.read(7, 100)) == [7]
    assert await indices(records.read_back()) == [7, 6, 5, 4, 3, 0]
    assert await indices(records.read_back(4)) == [3, 0]
    assert await indices(records.read_back(0)) == []
    assert await indices(records.read_back_of("B")) == [5, 0]
    assert (await records.size(), await records.count(1, 5)) == (8, 4)


async def test_a_record_is_found_by_its_index_with_its_bytes(records: Records) -> None:
    for index, expected in zip((0, 3, 4, 5, 6, 7), LEAVES, strict=True):
        entry = await records.entry(index)
        assert entry is not None
        assert (entry.leaf, entry.unreadable) == (canonical.dumps(expected), None)
    assert [await records.entry(index) for index in (1, 2, 8, -1)] == [None] * 4


async def test_an_address_without_a_record_is_named(source: Source) -> None:
    assert (await read_record(source, "0:5")).index == 5
    for text in ("1", "8", "1:0", "x"):
        with pytest.raises(AddressError, match=text):
            await read_record(source, text)


async def test_an_empty_partition_has_no_records(tmp_path: Path) -> None:
    records = write(tmp_path, [], []).parts[0]
    assert (await indices(records.read()), await indices(records.read_back()), await records.entry(0)) == ([], [], None)


async def test_evidence_that_cannot_be_read_makes_that_record_unreadable(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "0" / "evidence.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"index":4', b'"index":9'))
    entries = [entry async for entry in source.parts[0].read()]
    assert [entry.index for entry in entries if entry.unreadable] == [4]
    assert "index 4" in str(entries[2].unreadable)


@pytest.mark.parametrize("name", ["leaves.jsonl", "evidence.jsonl"])
async def test_lines_that_do_not_belong_together_are_an_error(source: Source, tmp_path: Path, name: str) -> None:
    path = tmp_path / "0" / name
    whole = path.read_bytes()
    for damaged in (whole[:-1], b"\n".join(whole.split(b"\n")[1:])):
        path.write_bytes(damaged)
        with pytest.raises(TrailError, match="breaks lines") as raised:
            await copy_source(str(tmp_path)).parts[0].entry(0)
        assert raised.value.exit_code == 1
    path.unlink()
    with pytest.raises(TrailError, match=name):
        await source.parts[0].entry(0)


# what is looked up


async def found(source: Source, limit: int | None = None, **wanted: Any) -> list[int]:
    listing = await newest(source.parts, Filter(**wanted), limit)
    return [entry.index for entry in listing.entries]


async def test_the_newest_that_match_are_listed_oldest_first(source: Source) -> None:
    assert await found(source) == [0, 3, 4, 5, 6, 7]
    assert await found(source, limit=2) == [6, 7]
    assert await found(source, symbol="A") == [3, 6]
    assert await found(source, action="exit") == [5, 6]
    assert await found(source, kind="notice") == [4]
    assert await found(source, guard="stale") == []


async def test_a_time_is_that_of_the_package_and_until_is_excluded(source: Source) -> None:
    assert await found(source, since_ms=3 * HOUR_MS) == [5, 6, 7]
    assert await found(source, until_ms=3 * HOUR_MS) == [0, 3, 4]
    assert await found(source, since_ms=HOUR_MS, until_ms=4 * HOUR_MS) == [3, 4, 5]
    assert await found(source, since_ms=2 * HOUR_MS + 1, until_ms=3 * HOUR_MS) == [4], "when the notice was recorded"


async def test_a_package_later_than_its_record_hides_none_before_it(tmp_path: Path) -> None:
    feed = [leaf(hour, recorded_at_ms=1000 + hour) for hour in (7, 9, 8)]
    assert await found(write(tmp_path, feed, []), since_ms=9 * HOUR_MS) == [1]


async def in_force_at(source: Source, hour: float, **wanted: Any) -> dict[str, int]:
    entries = await in_force(source.parts, int(hour * HOUR_MS), Filter(**wanted))
    return {entry.record["symbol"]: entry.index for entry in entries}


async def test_in_force_is_each_symbols_newest_verdict_at_or_before_a_time(source: Source) -> None:
    assert await in_force_at(source, 3.9) == {"A": 3, "B": 5}
    assert await in_force_at(source, 4) == {"A": 6, "B": 5}
    assert await in_force_at(source, 9) == {"A": 6, "B": 5}, "none is no verdict on a position"
    assert await in_force_at(source, 2.9, action="exit") == {}
    assert await in_force_at(source, 4, symbol="B") == {"B": 5}
    assert await in_force_at(source, -1) == {}
