"""Evidence whose time is over is erased, unless it is held, and both verifiers say so."""

import json
import signal

import duckdb
import pytest
from redis.asyncio import Redis

from llmctx.trail.archive.reader import open_archive
from llmctx.trail.log.log import Log
from tests.integration.archive.conftest import settle
from tests.integration.conftest import ByRules, serving
from tests.integration.program import Program
from tests.integration.test_prove import SIZE, audit, vkey

DAY_MS = 86_400_000
HEADLINES = ("snapshot", "messages")
TWO_DAYS_LATER = f"""
from llmctx import connection
async def later(redis, real=connection.server_ms):
    return await real(redis) + {2 * DAY_MS}
connection.server_ms = later
"""
"""What a command runs first so that every age is measured two days later."""


async def archived(valkey: Redis, made: Program, *, keep: int = 0) -> str:
    """Archive everything but some records, and let pieces be past their time soon. Returns the key."""
    made.environment |= {"LLMCTX_ARCHIVE": "kept"}
    assert (await made("archive", "--to", "kept", "--older-than", "0d", "--keep", str(keep))).code == 0
    made.environment |= {"LLMCTX_RETENTION__SNAPSHOT_D": "1", "LLMCTX_RETENTION__MESSAGES_D": "1"}
    assert await Log(valkey).first() == SIZE - keep
    return await vkey(made)


async def erase(made: Program, before: str, *options: str) -> list[dict[str, object]]:
    ended = await made.ended(await made.start("erase", "--json", *options, before=before))
    assert ended.code == 0, ended.err
    return ended.lines


def with_pieces(made: Program) -> dict[int, set[str]]:
    """The pieces of each archived record."""
    archive = open_archive(str(made.folder / "kept"))
    return {entry.index: set(entry.pieces) for entry in archive.entries(archive.parts[0])}


@pytest.mark.more
async def test_what_is_past_its_time_is_erased_and_both_verifiers_say_so(valkey: Redis, proven: Program) -> None:
    key = await archived(valkey, proven)
    before, whole = with_pieces(proven), (await proven("show", "1", "--json")).document
    assert await erase(proven, "") == []  # nothing is old enough
    assert (await erase(proven, TWO_DAYS_LATER, "--dry-run"))[0]["records"] is None
    assert with_pieces(proven) == before
    assert sum(int(str(each["records"])) for each in await erase(proven, TWO_DAYS_LATER)) > 0
    assert with_pieces(proven) == {index: pieces - set(HEADLINES) for index, pieces in before.items()}
    assert await erase(proven, TWO_DAYS_LATER) == []
    files = list((proven.folder / "kept" / "0").glob("*.parquet"))
    rows = duckdb.execute(f"SELECT count(*), count(snapshot) FROM '{proven.folder}/kept/0/*.parquet'").fetchone()
    assert (rows, all("-e1" in file.name for file in files)) == ((SIZE, 0), True)
    assert (await proven("show", "1", "--json")).document["leaf_hash"] == whole["leaf_hash"]
    assert "erased by rule" in (await proven("show", "1")).out

    assert (await proven("export", "export", "--from", "kept")).code == 0
    told = [
        await proven("verify", "--from", "kept", "--key", key, "--json"),
        await proven("verify", "export", "--key", key, "--json"),
        await proven("verify", "--json"),  # archive and Redis as one trail
    ]
    audited = await audit(proven, "export", "--key", key, "--json")
    assert audited.code == 0, audited.out
    erased = audited.document["partitions"][0]["erased"]
    assert erased["messages"] == 4
    for each in told:
        assert (each.code, each.document["erased"]) == (0, erased), each.out
    replayed = await proven("replay", "--json")
    assert "was erased by rule" in replayed.err
    assert replayed.err.count("erased by rule") <= 2  # not a line for each record


def spooled(made: Program) -> bytes:
    """Everything in the spool, as bytes."""
    return b"".join(path.read_bytes() for path in sorted((made.folder / "var" / "spool").rglob("*.seg")))


@pytest.mark.parametrize("point", [None, pytest.param("segment_drafted", marks=pytest.mark.more)])
async def test_the_spool_lets_go_of_what_was_erased(valkey: Redis, proven: Program, point: str | None) -> None:
    before = [entry.packed async for entry in Log(valkey).read()]
    await archived(valkey, proven, keep=1)  # a segment has records of both kinds
    newest = [entry.packed async for entry in Log(valkey).read()]
    old = before[: SIZE - 1]
    assert all(packed in spooled(proven) for packed in (*old, *newest))
    if point is not None:
        armed = f"{TWO_DAYS_LATER}\nfrom llmctx import killpoint; killpoint.arm({point!r})"
        process = await proven.start("erase", before=armed)
        await process.communicate()
        assert process.returncode == -signal.SIGKILL
    await erase(proven, TWO_DAYS_LATER)
    kept = spooled(proven)
    assert not any(packed in kept for packed in old)
    assert all(packed in kept for packed in newest)
    await settle(valkey, proven, t6="AAPL")
    assert (await proven("verify", "--json")).code == 0


@pytest.mark.more
async def test_a_running_owner_lets_go_of_what_was_erased(valkey: Redis, proven: Program) -> None:
    old = [entry.packed async for entry in Log(valkey).read()]
    async with serving(valkey, proven.environment["LLMCTX_REDIS_URL"], proven.folder / "var", ByRules()) as running:
        await archived(valkey, proven)
        await erase(proven, TWO_DAYS_LATER)
        assert not any(packed in spooled(proven) for packed in old)
        await running.decide(valkey, "t6", "AAPL")
    newest = [entry.packed async for entry in Log(valkey).read()]
    assert all(packed in spooled(proven) for packed in newest)
    assert (await proven("verify", "--json")).code == 0


@pytest.mark.more
async def test_after_a_restore_nothing_that_was_erased_is_archived_again(valkey: Redis, proven: Program) -> None:
    assert (await proven("backup", "--to", "backups")).code == 0
    key = await archived(valkey, proven)
    await erase(proven, TWO_DAYS_LATER)
    assert (await proven("restore", "backups", "--over", "--json")).code == 0
    assert await Log(valkey).first() == 0
    again = await proven("archive", "--to", "kept", "--older-than", "0d", "--keep", "0", "--json")
    assert (again.code, again.lines[0]["end"]) == (0, SIZE), again.err
    assert not any(pieces & set(HEADLINES) for pieces in with_pieces(proven).values())
    assert all("-e1" in file.name for file in (proven.folder / "kept" / "0").glob(f"*-{0:012}*.parquet"))
    assert (await proven("verify", "--json")).code == 0
    assert (await proven("verify", "--from", "kept", "--key", key, "--json")).code == 0


async def test_a_statement_that_no_writer_signed_excuses_nothing(valkey: Redis, proven: Program) -> None:
    key = await archived(valkey, proven)
    await erase(proven, TWO_DAYS_LATER)
    assert (await proven("export", "export", "--from", "kept")).code == 0
    file = proven.folder / "export" / "0" / "erasures.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"made_ms":', b'"made_ms":1', 1))
    for ended in (
        await proven("verify", "export", "--key", key, "--json"),
        await audit(proven, "export", "--key", key, "--json"),
    ):
        assert (ended.code, ended.document["fault"]["rule"]) == (1, "erasure"), ended.out
    file.unlink()
    for ended in (
        await proven("verify", "export", "--key", key, "--json"),
        await audit(proven, "export", "--key", key, "--json"),
    ):
        assert (ended.code, ended.document["fault"]["rule"]) == (1, "evidence-pieces"), ended.out


async def test_what_is_held_stays_until_the_hold_is_released(valkey: Redis, proven: Program) -> None:
    await archived(valkey, proven)
    before = with_pieces(proven)
    of_aapl = {entry.index async for entry in Log(valkey).read_back_of("AAPL")} | {1, 5}
    who = ("--by", "M. Rossi", "--why", "case 114")
    (held,) = (await proven("hold", *who, "--symbol", "AAPL", "--json")).lines
    await erase(proven, TWO_DAYS_LATER)
    after = with_pieces(proven)
    assert all(after[index] == before[index] for index in of_aapl if index < SIZE)
    assert any(after[index] != before[index] for index in after)
    assert (await proven("verify", "--json")).code == 0
    released = await proven.start("hold", "--release", held["id"], *who, "--json", before=TWO_DAYS_LATER)
    assert (await proven.ended(released)).lines == []
    assert sum(int(str(each["records"])) for each in await erase(proven, TWO_DAYS_LATER)) > 0
    assert not any(pieces & set(HEADLINES) for pieces in with_pieces(proven).values())
    acts = [entry.record["hold"]["act"] async for entry in Log(valkey).read() if "hold" in entry.record]
    assert acts == ["added", "released"]


async def test_a_forged_release_releases_nothing(valkey: Redis, proven: Program) -> None:
    await archived(valkey, proven)
    (held,) = (await proven("hold", "--by", "M. Rossi", "--why", "case 114", "--json")).lines
    forged = {"hold": held | {"why": "closed"}, "proof": "AAAA"}
    (proven.folder / "kept" / "holds" / f"{held['id']}.released.json").write_text(json.dumps(forged))
    assert [each["id"] for each in (await proven("hold", "--json")).lines] == [held["id"]]


@pytest.mark.more
@pytest.mark.parametrize("point", ["drafted", "erased_written", "erased_noted"])
async def test_an_eraser_that_is_killed_is_completed_by_the_next_one(
    valkey: Redis, proven: Program, point: str
) -> None:
    await archived(valkey, proven)
    armed = f"{TWO_DAYS_LATER}\nfrom llmctx import killpoint; killpoint.arm({point!r})"
    process = await proven.start("erase", before=armed)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    queried = await proven("query", "actions", "--from", "kept", "--json")
    assert (queried.code, "twice" in queried.err) == ((0, False) if point == "drafted" else (3, True))
    await erase(proven, TWO_DAYS_LATER)
    assert not any(pieces & set(HEADLINES) for pieces in with_pieces(proven).values())
    rows = duckdb.execute(f"SELECT count(*), count(DISTINCT index) FROM '{proven.folder}/kept/0/*.parquet'").fetchone()
    assert rows == (SIZE, SIZE)
    assert (await proven("verify", "--json")).code == 0
