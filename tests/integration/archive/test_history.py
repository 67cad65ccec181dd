"""Live history is archived day by day, byte for byte, each day once."""

import duckdb
import pyarrow.parquet
import pytest
from redis.asyncio import Redis

from llmctx.schema import keys
from llmctx.trail.archive.reader import open_archive
from tests.integration.program import Program

DAY_MS = 86_400_000


@pytest.mark.more
async def test_complete_days_are_archived_once_and_the_newest_is_left(valkey: Redis, proven: Program) -> None:
    import polars as pl  # noqa: PLC0415  slow to import, and every worker imports every module of tests

    for day in range(3):
        for symbol in ("AAPL", "MSFT"):
            await valkey.xadd(keys.bars(symbol), {"close": f"{day}.5", "odd": b"\xff"}, id=f"{day * DAY_MS + 60_000}-0")
    # A day is not looked for in all the time between two entries.
    await valkey.xadd(keys.bars("AAPL"), {"close": "9"}, id=f"{1_000_000 * DAY_MS}-0")
    await valkey.xadd(keys.FILLS, {"quantity": "1"}, id="5-0")
    await valkey.set("metrics:performance", b'{"daily_pnl": 1}')
    await archive(proven)
    await valkey.xadd(keys.FILLS, {"quantity": "2"})  # of today, which is not over
    assert await archive(proven) == []
    folder = proven.folder / "kept" / "history"
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
    assert [name for name in found if not name.startswith("values/")] == [
        "bars/1970-01-01.parquet", "bars/1970-01-02.parquet", "bars/1970-01-03.parquet", "fills/1970-01-01.parquet",
    ]  # fmt: skip
    assert len(found) == 5
    bars = folder / "bars" / "1970-01-02.parquet"
    rows = pyarrow.parquet.read_table(bars).to_pylist()
    assert [(row["key"], row["id"], dict(row["fields"])) for row in rows] == [
        (keys.bars(symbol), f"{DAY_MS + 60_000}-0", {"close": b"1.5", "odd": b"\xff"}) for symbol in ("AAPL", "MSFT")
    ]
    assert duckdb.execute(f"SELECT fields['odd'] FROM '{bars}'").fetchall() == [(b"\xff",)] * 2
    assert pl.read_parquet(bars).height == 2
    assert (await proven("archive", "--to", "kept", "--older-than", "0d", "--keep", "0")).code == 0
    queried = await proven("query", "history", "--from", "kept", "--json")
    assert [(row["family"], row["keys"], row["entries"]) for row in queried.lines] == [
        ("bars", 2, 2), ("bars", 2, 2), ("bars", 2, 2), ("fills", 1, 1), ("values", 1, 1),
    ]  # fmt: skip
    (proven.folder / "own.sql").write_text(
        "SELECT bars.symbol, known, close, fills.quantity, value->'daily_pnl' AS pnl FROM bars, fills, live_values ORDER BY ALL"
    )
    queried = await proven("query", "own.sql", "--from", "kept", "--json", "--until", "1970-01-02T00:00:00Z")
    assert queried.lines == [], queried.err  # the live values are of today
    queried = await proven("query", "own.sql", "--from", "kept", "--json")
    assert queried.lines[0] == {
        "symbol": "AAPL", "known": "1970-01-01T00:02:00.000Z", "close": 0.5, "quantity": 1.0, "pnl": "1",
    }  # fmt: skip


async def test_outcomes_are_judged_by_archived_bars_alone(valkey: Redis, proven: Program) -> None:
    whole = ("archive", "--to", "kept", "--older-than", "0d", "--keep", "0")
    assert (await proven(*whole)).code == 0
    alive = proven.environment["LLMCTX_REDIS_URL"]
    judged = ("outcome", "--from", "kept", "--json")
    proven.environment["LLMCTX_REDIS_URL"] = "redis://127.0.0.1:1/0"
    without = await proven(*judged)
    assert (without.code, "--bars" in without.err) == (3, True)
    proven.environment["LLMCTX_REDIS_URL"] = alive
    archived = open_archive(str(proven.folder / "kept"))
    decided = [entry.record for entry in archived.entries(archived.parts[0])]
    for as_of_ms in (
        min(each["as_of_ms"] for each in decided if "as_of_ms" in each),
        max(each["as_of_ms"] for each in decided if "as_of_ms" in each) + 2 * DAY_MS,
    ):
        bar = dict.fromkeys(("open", "high", "low", "close", "volume"), "1.5")
        await valkey.xadd(keys.bars("AAPL"), bar, id=f"{as_of_ms}-0")  # type: ignore[arg-type]
    assert (await proven(*whole, "--history")).code == 0
    proven.environment["LLMCTX_REDIS_URL"] = "redis://127.0.0.1:1/0"
    found = await proven(*judged)
    assert (found.code, len(found.lines)) == (0, len([each for each in decided if "decision" in each]) + 1), found.err


async def archive(made: Program) -> list[dict[str, object]]:
    ended = await made("archive", "--to", "kept", "--history", "--json")
    assert ended.code == 0, ended.err
    return [each for each in ended.lines if "history" in each]
