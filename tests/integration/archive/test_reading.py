"""An archive alone is read as the trail in Redis is, in both directions, and what was changed in it is named."""

import json

import pytest
from redis.asyncio import Redis

from llmctx.errors import TrailError
from llmctx.ops.query import Given, run_query, shipped_queries
from llmctx.trail.archive import writer
from llmctx.trail.log.reader import LogReader
from llmctx.trail.source.copies import copy_source
from tests.conftest import free_port
from tests.integration.archive.conftest import PLACE, SIGNED_FIRST, write_segment
from tests.integration.conftest import NOW
from tests.integration.program import Program
from tests.integration.test_prove import SIZE, audit, vkey
from tests.integration.test_query import BARS, write_results


@pytest.mark.parametrize("group_rows", [2, 5000])
async def test_ranges_and_symbols_are_those_of_the_log(
    valkey: Redis, proven: Program, group_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_ROWS", group_rows)
    await write_segment(valkey, proven, str(proven.folder / "kept"))
    (archived,), log = copy_source(str(proven.folder / "kept")).parts, LogReader(valkey)
    for start, stop in ((0, None), (2, 5), (5, 5), (6, 99), (SIZE, None)):
        expected = [entry.leaf async for entry in log.read(start, stop)]
        assert [entry.leaf async for entry in archived.read(start, stop)] == expected
        assert await archived.count(start, stop) == len(expected)
    for stop in (None, 4, 1, 0, 99):
        assert [each.leaf async for each in archived.read_back(stop)] == [
            each.leaf async for each in log.read_back(stop)
        ]
    for symbol in ("AAPL", "MSFT", "NONE", "GONE"):
        of_symbol = [entry.index async for entry in log.read_back_of(symbol)]
        assert [entry.index async for entry in archived.read_back_of(symbol)] == of_symbol
    for index in range(SIZE + 1):
        there, here = await log.entry(index), await archived.entry(index)
        assert (there and (there.leaf, there.pieces)) == (here and (here.leaf, here.pieces))
    assert await archived.size() == SIZE


async def test_every_command_reads_an_archive_in_an_object_store_alone(
    valkey: Redis, proven: Program, object_store: dict[str, str]
) -> None:
    manifest = await write_segment(valkey, proven, PLACE)
    alone = Program(f"redis://127.0.0.1:{free_port()}/0", proven.folder / "elsewhere")
    alone.folder.mkdir()
    alone.environment |= object_store
    source = ("--from", PLACE)
    for command in ("decisions --json --until 2026-03-03T00:00:00Z --symbol AAPL", "show 1 --json", "receipt 1"):
        in_redis, archived = await proven(*command.split()), await alone(*command.split(), *source)
        assert (archived.code, archived.out) == (in_redis.code, in_redis.out) == (0, archived.out), command
    verified = await alone("verify", *source, "--key", await vkey(proven), "--json")
    assert (verified.code, verified.document["records"], verified.document["warnings"]) == (0, manifest.end, [])
    assert (await alone("replay", *source, "--json")).document["prompts_same"] > 0
    assert (await alone("query", "actions", *source, "--json")).lines[0]["action"] == "hold"
    ended = await alone("decisions", "--from", "s3://readings/nothing")
    assert (ended.code, "holds no archive" in ended.err) == (2, True)


async def test_queries_say_of_an_archive_what_they_say_of_an_export(valkey: Redis, proven: Program) -> None:
    await write_segment(valkey, proven, str(proven.folder / "kept"))
    assert (await proven("export", "export")).code == 0
    (proven.folder / "bars.csv").write_text(BARS)
    files = {"bars": [proven.folder / "bars.csv"], "results": [write_results(proven.folder / "r.jsonl", {1: "exit"})]}
    for query in shipped_queries():
        if query.name == "history":  # of live values, which no export has
            continue
        given = Given({"symbol": "AAPL", "until": "2026-03-03T00:00:00Z"}, files)
        (columns, rows), exported = (run_query(query, proven.folder / name, given) for name in ("kept", "export"))
        assert (columns, [*rows]) == (exported.columns, [*exported.rows]), query.name


async def test_archived_records_and_those_in_redis_are_one_trail(valkey: Redis, proven: Program) -> None:
    commands = (
        "decisions --json",
        "decisions --json --symbol AAPL",
        "show 1 --json",
        "receipt 1",
        f"decisions --at {NOW}",
    )
    before = [await proven(*command.split()) for command in commands]
    assert (await proven("archive", "--to", "kept", "--older-than", "0d", "--keep", "2")).code == 0
    first = await LogReader(valkey).first()
    warned = await proven("decisions", "--json")
    assert (warned.lines[0]["index"], "LLMCTX_ARCHIVE" in warned.err) == (first, True)
    refused = await proven("export", "short")
    assert (refused.code, "LLMCTX_ARCHIVE" in refused.err) == (2, True)
    proven.environment["LLMCTX_ARCHIVE"] = "kept"
    for command, ended in zip(commands, before, strict=True):
        now = await proven(*command.split())
        assert now.code == 0, now.err
        if command == "receipt 1":
            assert json.loads(now.out)["leaf"] == json.loads(ended.out)["leaf"]
        else:
            assert now.out.startswith(ended.out), command
    assert (await proven("replay", "--json")).document["prompts_same"] == 4
    assert (await proven("export", "export")).code == 0
    verified = await proven("verify", "export", "--json")
    assert (verified.code, verified.document["records"]) == (0, SIZE + 1)
    (proven.folder / "kept" / "0").rename(proven.folder / "moved")
    missing = await proven("decisions")
    assert (missing.code, "kept" in missing.err) == (2, True)


async def test_a_changed_file_is_named_and_nothing_is_read_of_it(valkey: Redis, proven: Program) -> None:
    manifest = await write_segment(valkey, proven, str(proven.folder / "kept"))
    file = proven.folder / "kept" / manifest.records.name
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(TrailError, match="breaks archive-digest") as raised:
        await copy_source(str(proven.folder / "kept")).parts[0].entry(0)
    assert raised.value.exit_code == 1
    ended = await proven("decisions", "--from", "kept")
    assert (ended.code, ended.out) == (1, "")


async def test_archive_and_redis_are_verified_as_one_trail(valkey: Redis, proven: Program) -> None:
    assert (await proven("archive", "--to", "kept", "--older-than", "0d", "--keep", "2")).code == 0
    proven.environment["LLMCTX_ARCHIVE"] = "kept"
    verified = await proven("verify", "--json")
    assert (verified.code, verified.document["records"], verified.document["archived"]) == (0, SIZE + 1, 0)
    assert verified.document["warnings"] == ["1 records are not covered by a checkpoint yet"]
    key = await vkey(proven)
    proven.environment["LLMCTX_STATE_DIR"] = str(proven.folder / "auditor")  # has neither anchor nor key
    without = await proven("verify", "--key", key, "--json")
    assert (without.code, without.document["records"]) == (0, SIZE + 1), without.out + without.err
    await valkey.hset("audit:{0}:ticks", "t1", "2")
    forged = await proven("verify", "--json")
    assert (forged.code, forged.document["fault"]["rule"]) == (1, "tick-map")


@pytest.mark.more
async def test_an_archive_is_exported_alone_and_both_verifiers_accept_it(proven: Program) -> None:
    key = await vkey(proven)
    for place, keep in (("kept", "2"), ("later", "0")):  # the second one begins above 0
        assert (await proven("archive", "--to", place, "--older-than", "0d", "--keep", keep)).code == 0
    for place, first in (("kept", 0), ("later", SIGNED_FIRST)):
        verified = await proven("verify", "--from", place, "--key", key, "--json")
        assert verified.code == 0, verified.out
        assert (await proven("export", place + "-export", "--from", place)).code == 0
        manifest = json.loads((proven.folder / f"{place}-export" / "manifest.json").read_text("utf-8"))
        assert manifest["partitions"][0]["first"] == first
        exported = await proven("verify", place + "-export", "--key", key, "--json")
        assert (exported.code, exported.document["records"]) == (0, verified.document["records"]), exported.out
        audited = await audit(proven, place + "-export", "--key", key, "--json")
        assert (audited.code, audited.document["partitions"][0]["records"]) == (0, exported.document["records"])
    lines = (proven.folder / "later-export" / "0" / "leaves.jsonl").read_bytes()
    (proven.folder / "later-export" / "0" / "leaves.jsonl").write_bytes(lines.replace(b'"hold"', b'"exit"', 1))
    for ended in (
        await proven("verify", "later-export", "--key", key, "--json"),
        await audit(proven, "later-export", "--key", key, "--json"),
    ):
        assert (ended.code, ended.document["fault"]["rule"], ended.document["fault"]["at"]) == (1, "leaf-hash", 5)
