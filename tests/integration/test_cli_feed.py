"""`llmctx feed`, `simulate`, `keys` and `watch` from end to end: the installed program against real servers."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.clock import iso, to_ms
from llmctx.connection.streams import read_stream
from llmctx.flow.bar_file import BarFile
from llmctx.flow.simulated_market import simulate
from llmctx.schema import keys
from tests.integration.conftest import live
from tests.integration.program import Ended, Program, until
from tests.integration.test_feed import everything

HEADER = "timestamp,symbol,open,high,low,close,volume"
ROW = "2026-03-02T14:{:02}:00Z,AAPL,100,101,99,100,1000"
PRICE = "stocks:price:AAPL"
MARKET = simulate(seed=3, days=2, minutes=40)


@pytest.fixture
def bars(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: str, header: str = HEADER) -> Path:
        file = tmp_path / "bars.csv"
        file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return file

    return write


async def test_feed_json_ends_with_a_summary(dumb: Program, bars: Callable[..., Path], valkey: Redis) -> None:
    await valkey.set("positions:active:AAPL", live("AAPL")["positions:active:AAPL"].replace("15:00", "14:30"))
    file = bars(*(ROW.format(minute) for minute in range(30, 60)))
    ended = await dumb("feed", str(file), "--json")
    assert ended.code == 0
    summary = ended.document
    assert (summary["bars"], summary["symbols"], summary["bad_rows"]) == (30, ["AAPL"], 0)
    assert summary["ticks"] == await valkey.xlen(keys.ticks(0)) > 0


async def test_feed_again_adds_nothing_and_says_so(dumb: Program, bars: Callable[..., Path]) -> None:
    file = bars(*(ROW.format(minute) for minute in range(3)))
    await dumb("feed", str(file))
    ended = await dumb("feed", str(file))
    assert ended.code == 0
    assert "Left out 3 bars or headlines that were fed before" in ended.out


BAD_ROWS = {
    "0001-01-01T00:00:00+14:00,AAPL,100,101,99,100,1000": "timestamp '0001-01-01T00:00:00+14:00'",
    "2026-03-02T14:31:00Z,AAPL,100,101,99": "5 columns, expected 7",
    "2026-03-02T14:31:00Z,AAPL,100,101,99,100,1000,1": "8 columns, expected 7",
    "nonsense,AAPL,100,101,99,100,1000": "timestamp 'nonsense'",
    "2026-03-02T14:31:00,AAPL,100,101,99,100,1000": "the time has no zone",
    "2026-03-02T14:31:00Z,{A},100,101,99,100,1000": "symbol: '{A}' is not a symbol",
    "2026-03-02T14:31:00Z,,100,101,99,100,1000": "symbol: '' is not a symbol",
    "2026-03-02T14:31:00Z,AAPL,x,101,99,100,1000": "open 'x' is not a number",
    "2026-03-02T14:31:00Z,AAPL,100,NaN,99,100,1000": "high 'NaN' must be a finite number",
    "2026-03-02T14:31:00Z,AAPL,100,Infinity,99,100,1000": "high 'Infinity' must be a finite number",
    "2026-03-02T14:31:00Z,AAPL,100,101,0,100,1000": "low '0' must be a finite number above 0",
    "2026-03-02T14:31:00Z,AAPL,100,101,99,100,-1": "volume '-1'",
    "2026-03-02T14:31:00Z,AAPL,100,99,101,100,1000": "do not enclose",
}


async def test_bad_rows_are_left_out_and_named_by_line_and_column(dumb: Program, bars: Callable[..., Path]) -> None:
    for some in (list(BAD_ROWS)[:5], list(BAD_ROWS)[5:10], list(BAD_ROWS)[10:]):
        ended = await dumb("feed", str(bars(ROW.format(30), *some, ROW.format(32))), "--json")
        assert ended.code == 0
        assert ended.document["bad_rows"] == len(some)
        for line, row in enumerate(some, start=3):
            assert BAD_ROWS[row] in ended.err
            assert f"line {line}: " in ended.err


async def test_a_row_that_comes_a_little_late_is_put_in_order(dumb: Program, bars: Callable[..., Path]) -> None:
    ended = await dumb("feed", str(bars(ROW.format(30), ROW.format(32), ROW.format(31))), "--json")
    assert (ended.code, ended.document["bars"], ended.document["bad_rows"]) == (0, 3, 0)


async def test_a_row_that_comes_far_too_late_is_left_out_and_named(dumb: Program, bars: Callable[..., Path]) -> None:
    ended = await dumb("feed", str(bars(*(ROW.format(minute) for minute in (30, 31, 32, 33, 29)))), "--json")
    assert (ended.code, ended.document["bars"], ended.document["bad_rows"]) == (0, 4, 1)
    assert "AAPL at 2026-03-02T14:29:00.000Z: earlier than the bar before it" in ended.err


IMPOSSIBLE_ROWS = {
    "a bar that ends after the year 9999": "9999-12-31T23:59:59Z,AAPL,1,1,1,1,1",
    "a number that JSON readers refuse": "2026-03-02T14:31:00Z,AAPL,1,1e5000,1,1,1",
    "a time before 1970": "1960-01-01T00:00:00Z,AAPL,1,1,1,1,1",
}


@pytest.mark.parametrize("what", IMPOSSIBLE_ROWS)
async def test_an_impossible_row_is_left_out_and_named(dumb: Program, bars: Callable[..., Path], what: str) -> None:
    ended = await dumb("feed", str(bars(IMPOSSIBLE_ROWS[what])), "--json")
    assert (ended.code, "line 2: " in ended.err) == (2, True)  # nothing else was in the file
    assert ended.document["bad_rows"] == 1


@pytest.mark.parametrize("price", ["1e31", "1e-400"])
async def test_a_price_that_the_schema_refuses_is_not_written(
    dumb: Program, bars: Callable[..., Path], valkey: Redis, price: str
) -> None:
    await dumb("feed", str(bars(f"2026-03-02T14:30:00Z,AAPL,{price},{price},{price},{price},1")))
    assert await valkey.get(PRICE) is None


async def test_another_header_exits_with_2_and_names_the_columns(dumb: Program, bars: Callable[..., Path]) -> None:
    ended = await dumb("feed", str(bars(ROW.format(30), header="date,symbol,open")))
    assert (ended.code, HEADER in ended.err, "bars.csv, line 1" in ended.err) == (2, True, True)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00"])
async def test_a_file_that_is_no_csv_exits_with_2_and_names_it(dumb: Program, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bars.csv").write_bytes(content)
    ended = await dumb("feed", "bars.csv")
    assert (ended.code, "bars.csv" in ended.err) == (2, True)


@pytest.mark.parametrize("name", ["none.csv", "."])
async def test_a_file_that_is_not_there_exits_with_2_and_names_it(dumb: Program, name: str) -> None:
    ended = await dumb("feed", name)
    assert (ended.code, f"{name} cannot be read" in ended.err) == (2, True)


async def test_an_option_that_cannot_be_used_exits_with_2_and_names_it(
    dumb: Program, bars: Callable[..., Path]
) -> None:
    file = bars(ROW.format(30))
    options = ("--speed 0", "--speed nan", "--adjust AAPL=0", "--adjust AAPL=x", "--interval-s 0")
    for option, ended in zip(options, await dumb.all(*(f"feed {file} {option}" for option in options)), strict=True):
        assert (ended.code, option.partition(" ")[0] in ended.err) == (2, True)


async def simulated(dumb: Program) -> Ended:
    """Bars, headlines and sectors in the program's folder."""
    return await dumb(
        *[
            "simulate", "bars.csv", "--news", "news.jsonl", "--sectors", "sectors.json", "--seed", "3", "--days", "2",
            "--minutes", "40",
        ]
    )  # fmt: skip


async def test_simulate_writes_what_feed_reads(dumb: Program, tmp_path: Path) -> None:
    ended = await simulated(dumb)
    assert ended.code == 0
    assert f"{len(MARKET.bars)} bars of 8 symbols" in ended.out
    assert list(BarFile(tmp_path / "bars.csv")) == MARKET.bars
    fed = await dumb(*["feed", "bars.csv", "--news", "news.jsonl", "--sectors", "sectors.json", "--json"])
    assert (fed.code, fed.err) == (0, "")
    assert (fed.document["bars"], fed.document["headlines"]) == (len(MARKET.bars), len(MARKET.news))


async def test_the_same_seed_writes_the_same_files(dumb: Program, tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        await simulated(dumb)
        written.append([(tmp_path / name).read_bytes() for name in ("bars.csv", "news.jsonl", "sectors.json")])
    assert written[0] == written[1]


async def piped(dumb: Program, *options: str, text: str) -> Ended:
    """What `llmctx feed -` ends with."""
    process = await dumb.start("feed", "-", *options, "--json", piped=True)
    out, err = await asyncio.wait_for(process.communicate(text.encode()), 120)
    ended = Ended(process.returncode or 0, out.decode(), err.decode())
    assert "Traceback" not in ended.err, ended.err
    return ended


def lines_of_the_market() -> str:
    """Bars and headlines as one stream of JSON Lines, sorted by stamp."""
    lines = list(MARKET.news)
    for bar in MARKET.bars:
        numbers = {name: float(value) for name, value in bar._asdict().items() if name not in ("start", "symbol")}
        lines.append({"timestamp": iso(to_ms(bar.start)), "symbol": bar.symbol, **numbers})
    lines.sort(key=lambda line: line["timestamp"])
    return "".join(json.dumps(line) + "\n" for line in lines)


async def test_piping_from_standard_input_equals_the_file(dumb: Program, valkey: Redis) -> None:
    await simulated(dumb)
    await dumb(*["feed", "bars.csv", "--news", "news.jsonl", "--sectors", "sectors.json"])
    from_files = await everything(valkey)
    await valkey.flushall()
    ended = await piped(dumb, "--sectors", "sectors.json", text=lines_of_the_market())
    assert (ended.code, ended.document["bars"]) == (0, len(MARKET.bars))
    assert await everything(valkey) == from_files


async def test_a_line_without_an_end_is_the_last_line(dumb: Program) -> None:
    ended = await piped(dumb, text=lines_of_the_market().rstrip())
    assert ended.document["bars"] == len(MARKET.bars)


async def test_bad_lines_are_left_out_and_named(dumb: Program) -> None:
    good = lines_of_the_market().split("\n")[-3]
    bad = ["no json", "[]", '{"timestamp": "2026-03-02T14:30:00Z"}', good.replace('"open"', '"opening"')]
    ended = await piped(dumb, text="\n".join([*bad, good]))
    assert (ended.code, ended.document["bars"], ended.document["bad_rows"]) == (0, 1, 4)
    assert all(f"line {number}: " in ended.err for number in range(1, 5))
    assert "open missing" in ended.err


async def test_nothing_on_standard_input_exits_with_2(dumb: Program) -> None:
    ended = await piped(dumb, text="")
    assert (ended.code, "Standard input has no usable bar" in ended.err) == (2, True)


async def test_a_live_source_is_never_waited_for(dumb: Program, valkey: Redis) -> None:
    process = await dumb.start("feed", "-", "--exchange", "always", piped=True)
    assert process.stdin is not None
    first = next(line for line in lines_of_the_market().split("\n") if '"open"' in line)
    process.stdin.write(first.encode() + b"\n")
    async with asyncio.timeout(120):
        await until(lambda: valkey.exists(f"stocks:price:{json.loads(first)['symbol']}"))
    assert process.returncode is None
    process.stdin.close()
    assert await process.wait() == 0


async def test_live_data_is_judged_by_the_servers_clock(dumb: Program, valkey: Redis) -> None:
    await piped(dumb, "--live", text=lines_of_the_market().split("\n")[-2])
    assert "clock" not in json.loads(await valkey.get("system:state") or b"{}")


async def test_a_vix_reading_stands_in_the_market_from_the_next_bar_on(dumb: Program, valkey: Redis) -> None:
    lines = lines_of_the_market().split("\n")[-9:]
    await piped(dumb, text="\n".join(['{"timestamp": "2026-03-02T09:00:00Z", "vix": 18.5}', *lines]))
    assert json.loads(await valkey.get("context:market") or b"{}")["vix"] == 18.5


async def test_headlines_that_are_none_are_named_by_line(dumb: Program, bars: Callable[..., Path]) -> None:
    news = dumb.folder / "news.jsonl"
    good = {"timestamp": "2026-03-02T14:29:00Z", "symbol": "AAPL", "headline": "fine", "source": "s", "url": "u"}
    lines = [json.dumps(good), "{}", json.dumps(good | {"timestamp": "yesterday"}), json.dumps(good | {"headline": 1})]
    news.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ended = await dumb("feed", str(bars(ROW.format(30))), "--news", "news.jsonl", "--json")
    assert (ended.document["headlines"], ended.document["bad_rows"]) == (1, 3)
    assert all(f"line {number}: malformed headline: " in ended.err for number in (2, 3, 4))


async def test_options_about_data_that_cannot_be_used_exit_with_2_and_are_named(
    dumb: Program, bars: Callable[..., Path]
) -> None:
    (dumb.folder / "list.json").write_text("[]")
    file = bars(ROW.format(30))
    wanted = {
        f"feed {file} --exchange MOON": "'MOON'",
        f"feed {file} --vix many": "--vix",
        f"feed {file} --cost-bps -1": "--cost-bps",
        f"feed {file} --sectors list.json": "list.json",
        f"feed {file} --sectors none.json": "none.json",
        f"feed {file} --news none.jsonl": "none.jsonl",
        "feed - --news news.jsonl": "--news",
        "simulate none/bars.csv": "none",
    }
    for (command, name), ended in zip(wanted.items(), await dumb.all(*wanted), strict=True):
        assert (ended.code, name in ended.err) == (2, True), command


# keys and watch


async def test_keys_counts_each_family_with_age_memory_and_what_is_invalid(dumb: Program, valkey: Redis) -> None:
    await simulated(dumb)
    await dumb(*["feed", "bars.csv", "--news", "news.jsonl", "--sectors", "sectors.json"])
    await valkey.set("stocks:price:BAD", '{"price": 1}')
    await valkey.hset("positions:active:WORSE", "a", "b")
    ended = await dumb("keys", "--json")
    rows = {row["section"]: row for row in ended.lines}
    assert list(rows) == list(keys.BY_SECTION)
    assert (rows["price"]["keys"], rows["price"]["invalid"], rows["price"]["newest_age_ms"]) == (9, 1, 0)
    assert rows["price"]["reasons"] == ["stocks:price:BAD: price Input should be an object; timestamp is missing"] or (
        "stocks:price:BAD: price" in rows["price"]["reasons"][0]
    )
    assert rows["position"]["reasons"] == [
        "positions:active:WORSE: is not a string, or not the hash that its mapping names"
    ]
    assert all(row["memory_bytes"] > 0 for row in rows.values())
    people = await dumb("keys")
    assert (people.code, "stocks:price:BAD: price" in people.out) == (0, True)


async def test_keys_of_an_empty_server_are_none(dumb: Program) -> None:
    assert {row["keys"] for row in (await dumb("keys", "--json")).lines} == {0}


async def test_watch_follows_a_symbols_package_as_it_changes(dumb: Program, valkey: Redis) -> None:
    await valkey.mset(live("AAPL"))
    process = await dumb.start("watch", "AAPL", "--json")
    assert process.stdout is not None
    first = asyncio.create_task(process.stdout.readline())
    prices = [100.0]
    while not first.done():
        prices.append(prices[-1] + 1)
        await valkey.mset(live("AAPL", price=prices[-1]))  # a plain SET announces nothing, and is seen all the same
        await asyncio.sleep(0.2)
    change = json.loads(await first)
    process.kill()
    await process.communicate()
    assert change["path"] == "price.price.last"
    assert change["before"] < change["after"]
    assert {change["before"], change["after"]} <= set(prices)


async def test_watch_for_people_says_what_changed_in_words(dumb: Program) -> None:
    ended = await dumb("watch", "AAPL", "--for", "0.2")
    assert (ended.code, "AAPL as of" in ended.out) == (0, True)


@pytest.mark.more
async def test_a_feed_in_lockstep_beside_run_trades_on_its_decisions(program: Program, valkey: Redis) -> None:
    await simulated(program)
    async with program.running(valkey) as running:
        fed = await program(*["feed", "bars.csv", "--news", "news.jsonl", "--lockstep", "--json"])
        assert fed.code == 0
        assert (await program.stop(running)).code == 0
    assert fed.document["fills"] == await valkey.xlen(keys.FILLS) > 0
    reasons = [found.fields[b"reason"] for found in await read_stream(valkey, keys.FILLS)]
    assert any(reason.startswith(b"decision ") for reason in reasons)
    assert (await program("verify")).code == 0
