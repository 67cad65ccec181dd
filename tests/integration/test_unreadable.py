"""Records that cannot be read: each is named and keeps its place and bytes, and everything else goes on."""

import shutil
import tracemalloc
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection.streams import read_stream
from llmctx.errors import TrailError
from llmctx.limits import MAX_RECORD_BYTES
from llmctx.schema import keys
from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.entry import FIELD, PROOF, restored
from llmctx.trail.log.lease import lease_key
from llmctx.trail.log.log import Log
from llmctx.trail.log.packing import Pieces, compress, lay_out, pack
from llmctx.trail.proof.merkle import leaf_hash
from tests.integration.conftest import ByRules, Prepared, hold, serving, signed_fields
from tests.integration.program import Program
from tests.integration.test_cli import LOG
from tests.integration.test_prove import anchor_of, audit, make_trail, sign
from tests.unit.makers import stored

Fields = Mapping[bytes, bytes]
PLAIN_HEAD = bytes(10)
TOO_LARGE = MAX_RECORD_BYTES + 2**20


def oversized(salt: int = 0) -> bytes:
    """A few kilobytes that unpack to 65 MB, as a version without limits could have written them."""
    return PLAIN_HEAD + zstandard.ZstdCompressor(level=1).compress(bytes([salt]) * TOO_LARGE)


def changed(good: Fields, **changes: object) -> tuple[bytes, Pieces]:
    """The leaf of a record with other values, and its evidence."""
    entry = restored(dict(good), 0, 0)
    return canonical.dumps(entry.record | changes), entry.pieces


def broken_evidence(leaf: bytes, pieces: Pieces) -> bytes:
    """A record whose leaf is whole, but whose snapshot lacks a number."""
    layout = lay_out(leaf, pieces)
    skeleton, column, *rest = layout.text.split(b"\x00")
    return compress(layout._replace(text=b"\x00".join((skeleton, column + b" 1", *rest))))


def unreadable_kinds(good: Fields, salt: int) -> dict[str, Fields]:
    """An entry of each kind that cannot be read, by what is said of it; `salt` makes them differ from others."""
    end = bytes([salt])
    return {
        "the frame is broken": {FIELD: PLAIN_HEAD + b"no frame" + end},
        "its leaf is not valid JSON": stored(b"no JSON,\nin two lines \xff" + end, {}),
        "its entry has the fields [b'a', b'c']": {b"a": b"b%d" % salt, b"c": b"\xff"},
        "its format is unknown": {FIELD: b"\x07" + good[FIELD][1:] + end},
        'an object with "v": 1': stored(changed(good, v=2, attempts=salt + 1)[0], {}),
        "its evidence cannot be unpacked": {FIELD: broken_evidence(*changed(good, tick=f"bad-{salt}"))},
        f"the frame claims {TOO_LARGE} bytes": {FIELD: oversized(salt)},
        "it needs the dictionary 0909": {FIELD: b"\x01" + b"\x09" * 40 + end},
    }


class Mixed(NamedTuple):
    """A trail in which readable and unreadable records stand among each other, and no service has begun with it yet."""

    program: Program
    entries: list[Fields]
    why: dict[int, str]
    """What is said of each unreadable record, by its index."""

    @property
    def readable(self) -> list[int]:
        return [index for index in range(len(self.entries)) if index not in self.why]


async def rewrite(redis: Redis, entries: list[Fields]) -> None:
    """Replace the log, its tick map and symbol lists, as if nothing had been published."""
    stale = [LOG, "audit:{0}:ticks", "audit:{0}:durable", "audit:{0}:checkpoint", keys.decisions(0)]
    await redis.delete(*stale, *[key async for key in redis.scan_iter("audit:{0}:symbol:*")])
    for index, fields in enumerate(entries):
        await redis.xadd(LOG, dict(fields), id=f"{index}-1")  # type: ignore[arg-type]  # bytes are allowed
        entry = restored(dict(fields), index, 0)
        if entry.unreadable is None and "tick" in entry.record:
            await redis.hset("audit:{0}:ticks", entry.record["tick"], index)
            await redis.rpush(f"audit:{{0}}:symbol:{entry.record['symbol']}", index)


async def older_trail(redis: Redis, url: str, folder: Path) -> tuple[Program, list[Fields]]:
    """A trail without spool, anchor and writers, as one of the first version; and its entries."""
    program = await make_trail(redis, url, Program(url, folder))
    found = [restored(entry.fields, entry.number, 0) for entry in await read_stream(redis, LOG)]
    entries: list[Fields] = [{FIELD: entry.packed} for entry in found if "enrolment" not in entry.record]
    await rewrite(redis, entries)
    for name in ("spool", "anchor"):
        shutil.rmtree(folder / "var" / name)
    for file in (folder / "var" / "keys").glob("*.writers"):
        file.unlink()
    return program, entries


@pytest.fixture
async def mixed(
    redis: Redis,
    redis_url: str,
    tmp_path: Path,
    prepared: Prepared,
    short_pauses: None,  # noqa: ARG001
) -> Mixed:
    """Unreadable records of each kind at the start, in the middle and at the end, on each server in turn."""
    made = await prepared.once(redis_url, redis, tmp_path, partial(make_mixed, redis, redis_url, tmp_path))
    return made._replace(program=Program(redis_url, tmp_path))


async def make_mixed(redis: Redis, url: str, folder: Path) -> Mixed:
    program, good = await older_trail(redis, url, folder)
    is_decision = [restored(dict(fields), 0, 0).record["kind"] == "decision" for fields in good]
    decision = good[is_decision.index(True)]
    entries: list[Fields] = []
    why: dict[int, str] = {}
    for salt, readable in enumerate((good[:3], good[3:], [])):
        for text, fields in unreadable_kinds(decision, salt).items():
            why[len(entries)] = text
            entries.append(fields)
        entries += readable
    await rewrite(redis, entries)
    return Mixed(program, entries, why)


def reason_of(line: Mapping[str, Any]) -> str:
    return str(line["verdict"]["reason"])


async def test_readers_name_what_they_cannot_read_and_read_the_rest(mixed: Mixed) -> None:
    listed, status, *shown = await mixed.program.all(
        "decisions --json", "status --json", *(f"show {index}" for index in mixed.why)
    )
    assert {ended.code for ended in (listed, status, *shown)} == {0}
    lines = {line["index"]: line for line in listed.lines}
    assert sorted(lines) == list(range(len(mixed.entries)))
    leafless = {index: why for index, why in mixed.why.items() if "evidence" not in why}
    assert {index for index, line in lines.items() if line["kind"] == "unreadable"} == set(leafless)
    assert all(why in reason_of(lines[index]) for index, why in leafless.items())
    assert all(why in ended.out for ended, why in zip(shown, mixed.why.values(), strict=True))
    named = {line.partition(":")[0] for line in status.document["partitions"][0]["unreadable"]}
    assert named == {str(index) for index in leafless}


async def test_listings_and_status_print_unreadable_records_as_text(mixed: Mixed) -> None:
    listed, only, status, raw = await mixed.program.all(
        "decisions", "decisions --kind unreadable", "status", "show 2 --json"
    )
    assert {ended.code for ended in (listed, only, status, raw)} == {0}
    assert "unknown time" in listed.out
    assert only.out.count("the record cannot be read") == len(only.out.splitlines()) == 20
    assert "unreadable   0: the record cannot be read: it cannot be unpacked: the frame is broken" in status.out
    assert "to do        Nothing else is affected." in status.out
    assert canonical.loads(raw.document["leaf_text"].encode())["fields"] == [["a", "b0"], ["c", {"base64": "/w=="}]]


async def test_the_service_goes_on_and_says_which_records_cannot_be_read(mixed: Mixed, redis: Redis) -> None:
    url, state_dir = mixed.program.environment["LLMCTX_REDIS_URL"], mixed.program.folder / "var"
    for turn in (1, 2):  # the second finds them in log, spool and anchor
        async with serving(redis, url, state_dir, ByRules()) as running:
            await running.decide(redis, f"after-{turn}", "AAPL")
        for index, why in mixed.why.items():
            assert any(f"Record {index} " in trouble and why in trouble for trouble in running.troubles), (index, why)
        await sign(redis, state_dir)
        assert (await anchor_of(redis, state_dir)).size == await Log(redis).size()
    published = {entry.number for entry in await read_stream(redis, keys.decisions(0))}
    settled = {entry.index async for entry in Log(redis).read() if entry.record["kind"] in ("decision", "skipped")}
    assert published == settled - set(mixed.why)
    assert len([index for index in published if index >= len(mixed.entries)]) == 2


async def test_both_verifiers_name_the_first_and_the_export_keeps_every_byte(mixed: Mixed, redis: Redis) -> None:
    await sign(redis, mixed.program.folder / "var")
    key = (await mixed.program("key")).out.strip()
    live, exported = await mixed.program.all("verify --json", "export out")
    assert (live.code, exported.code) == (1, 0)
    assert f"{len(mixed.why)} records of partition 0 cannot be read: 0, 1, 2" in exported.err
    files = await mixed.program("verify", "out", "--json", "--key", key)
    assert files.code == 1
    for report in (live.document, files.document):
        assert (report["fault"]["at"], report["fault"]["rule"]) == (0, "record-form")
        faults = [report["fault"], *report["further"]]
        assert [fault["at"] for fault in faults] == list(mixed.why), [f for f in faults if f["at"] not in mixed.why]
        assert report["records"] == len(mixed.readable)
        assert report["covered"] == len(mixed.entries)
    independent = await audit(mixed.program, "out", "--key", key)
    assert independent.code == 1
    assert "record 0 breaks record-form" in independent.out + independent.err
    kept = (mixed.program.folder / "out" / "0" / "leaves.jsonl").read_bytes().split(b"\n")
    for index in mixed.why:
        fields = dict(mixed.entries[index])
        assert restored(fields, 0, 0).kept[0] == kept[index]


async def test_what_reads_decisions_leaves_out_what_it_cannot_read(mixed: Mixed, redis: Redis) -> None:
    await sign(redis, mixed.program.folder / "var")
    assert (await mixed.program("export", "out")).code == 0
    ended = await mixed.program.all(
        "replay --json", "replay --json --from out", "outcome --json", "outcome --json --from out",
        "prompts --json",
    )  # fmt: skip
    assert [(one.code, one.err) for one in ended if one.code] == []
    live, files = ended[0].document, ended[1].document
    assert live["records"] == files["records"] == 5
    assert (live["differing"], files["differing"]) == ([], [])
    for index, why in mixed.why.items():
        assert f"Record {index} of partition 0 cannot be read" in ended[0].err, why
        assert f"Record {index} of partition 0 cannot be read" in ended[1].err, why
    assert ended[2].lines[-1]["calibration"]["decisions"] == ended[3].lines[-1]["calibration"]["decisions"]


async def test_a_decision_is_made_and_compared_beside_unreadable_records(mixed: Mixed, redis: Redis) -> None:
    await hold(redis, "AAPL")
    before = len(mixed.entries)
    made = await mixed.program("decide", "AAPL", "--json")
    assert (made.code, made.document["kind"]) == (3, "failed")
    assert made.document["index"] >= before
    asked = ("replay", "--model", "any", "--batch", "questions.jsonl", "--json")
    answered = await mixed.program(*asked)
    assert answered.code == 0, answered.err
    assert len((mixed.program.folder / "questions.jsonl").read_text().splitlines()) == 5


async def test_a_record_over_the_limit_is_named_within_small_memory(valkey: Redis) -> None:
    await valkey.xadd(LOG, {FIELD: oversized()}, id="0-1")
    tracemalloc.start()
    try:
        entry = await Log(valkey).entry(0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert entry is not None
    assert entry.unreadable is not None
    assert entry.unreadable.why.startswith(f"it cannot be unpacked: the frame claims {TOO_LARGE} bytes")
    assert peak < 2**20


@pytest.mark.usefixtures("short_pauses")
async def test_a_record_whose_dictionary_is_missing_is_not_signed_until_it_is_back(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    made = await make_trail(valkey, valkey_url, Program(valkey_url, tmp_path))
    dictionary, log = Dictionary(b"a dictionary of some words"), Log(valkey)
    size = await log.size()
    await log.blobs.keep_dictionary(dictionary, size)
    newest = await log.entry(size - 1)
    assert newest is not None
    leaf = newest.leaf.replace(b'"attempts":1', b'"attempts":2')
    proof = signed_fields(tmp_path / "var", leaf, newest.pieces)[PROOF]
    fields = {FIELD: pack(leaf, newest.pieces, dictionary), PROOF: proof}
    await valkey.xadd(LOG, fields, id=f"{size}-1")  # type: ignore[arg-type]
    await valkey.delete(log.blobs.key(dictionary.digest))
    with pytest.raises(TrailError, match=r"its dictionary .* is missing from the blobs"):
        await sign(valkey, tmp_path / "var")
    shown = await made("show", str(size))
    assert (shown.code, "is missing from the blobs" in shown.out) == (0, True)
    await log.blobs.keep_dictionary(dictionary, size)
    await sign(valkey, tmp_path / "var")
    assert (await anchor_of(valkey, tmp_path / "var")).hashes(size) == [leaf_hash(leaf)]


@pytest.mark.usefixtures("short_pauses")
async def test_what_a_newer_version_wrote_is_not_signed_by_this_one(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await older_trail(valkey, valkey_url, tmp_path)
    size = await Log(valkey).size()
    await valkey.xadd(LOG, {FIELD: b"\x07" + bytes(40)}, id=f"{size}-1")
    await valkey.hset(lease_key(0), "format", 99)
    with pytest.raises(TrailError, match=rf"Record {size} of partition 0 cannot be read: .* its format is unknown"):
        await sign(valkey, tmp_path / "var")
    assert (await anchor_of(valkey, tmp_path / "var")).size == 0
