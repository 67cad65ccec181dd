"""The paper broker on real servers: it follows decisions, its books agree with its fills, and a day is repeatable."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.clock import parse_iso, to_ms
from llmctx.connection import open_redis
from llmctx.connection.streams import read_stream
from llmctx.flow.bar_file import BarFile
from llmctx.flow.bars import Bar
from llmctx.flow.feed import Feed
from llmctx.flow.feed_report import FeedReport
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.news_file import read_news
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.flow.timeline import Item, by_stamp, in_order
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Log
from llmctx.worker import settler
from tests.conftest import SERVERS
from tests.days import write
from tests.integration.conftest import ByRules, serving

MARKET = simulate(seed=11, days=2, minutes=45)
BARS = {(bar.symbol, bar.start): bar for bar in MARKET.bars}
DAY_MS = 86_400_000

Row = dict[str, str]


class Played(NamedTuple):
    """Everything that a whole lockstep session left behind."""

    summary: FeedReport
    entries: list[Entry]
    fills: list[Row]
    closed: list[Row]
    days: list[Row]
    performance: dict[str, Any]
    portfolio: dict[str, Any]
    book: bytes

    def outcome(self) -> dict[str, object]:
        """What was decided and earned, without recording times.

        Between which decisions an effect is recorded is a matter of time, and so are indices; the fills say the same.
        """
        decided = [
            (leaf.get("symbol"), leaf.get("as_of_ms"), leaf["kind"], leaf.get("decision"), verdict)
            for leaf in (entry.record for entry in self.entries)
            if leaf["kind"] not in ("notice", "effect")
            for verdict in [{name: value for name, value in leaf["verdict"].items() if name != "repeat_of"}]
        ]
        return {"decided": decided, "fills": self.fills, "closed": self.closed, "book": self.book}


async def rows(redis: Redis, key: str) -> list[Row]:
    """The entries of a history stream."""
    return [
        {name.decode(): value.decode() for name, value in found.fields.items()}
        for found in await read_stream(redis, key)
    ]


async def play(url: str, state_dir: Path, *parts: Iterable[Item]) -> Played:
    """Feed the parts one after another, each with its own feed."""
    async with open_redis(url) as redis:
        await redis.flushall()
        async with serving(redis, url, state_dir, ByRules()):
            for part in parts:
                feed = Feed(Store(redis, 1), FeedRules(sectors=MARKET.sectors), lockstep=Lockstep(redis, 1))
                await feed.run(part)
        return Played(
            feed.report,
            [entry async for entry in Log(redis).read()],
            await rows(redis, keys.FILLS),
            await rows(redis, keys.CLOSED),
            await rows(redis, keys.DAYS),
            json.loads(await redis.get("metrics:performance") or b"{}"),
            json.loads(await redis.get(keys.PORTFOLIO) or b"{}"),
            cast("bytes", await redis.get(keys.BOOK)),
        )


@pytest.fixture(
    scope="module", params=["valkey_url", *(pytest.param("debian_url", marks=pytest.mark.more) for _ in SERVERS[1:])]
)
def url(request: pytest.FixtureRequest) -> str:
    """Each server in turn."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settler, "_BLOCK_MS", 20)
        yield


@pytest.fixture(scope="module")
def played(url: str, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The simulated market, once on each server."""
    return asyncio.run(play(url, tmp_path_factory.mktemp("played"), MARKET.items()))


@pytest.mark.more
async def test_a_session_played_again_from_files_and_in_two_parts_is_the_same_to_the_last_digit(
    played: Played, url: str, tmp_path: Path
) -> None:
    day = write(MARKET, tmp_path)
    bars, news = list(BarFile(day.bars)), list(read_news(day.news))
    assert bars == MARKET.bars
    items = list(in_order(by_stamp(bars, news), FeedRules().interval))
    again = await play(url, tmp_path, items[:301], items[301:])
    assert again.outcome() == played.outcome()
    assert len(played.fills) > 15
    assert len(played.entries) > 150


def test_no_tick_is_conflated_in_lockstep(played: Played) -> None:
    settled = [entry.record for entry in played.entries if "tick" in entry.record]
    assert len(settled) == played.summary.ticks
    assert not any("conflated" in leaf for leaf in settled)


def test_earnings_are_the_difference_of_the_cash_flows(played: Played) -> None:
    cash: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    shares: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for fill in played.fills:
        trade, way = (fill["symbol"], fill["entry_time"]), 1 if fill["side"] == "buy" else -1
        shares[trade] += way * Decimal(fill["quantity"])
        cash[trade] -= way * Decimal(fill["quantity"]) * Decimal(fill["price"])
        cash[trade] -= Decimal(fill["cost"])
    closed = played.closed
    assert len(closed) > 5
    for row in closed:
        trade = row["symbol"], row["entry_time"]
        assert shares[trade] == 0
        assert Decimal(row["net"]) == cash[trade]
    nets = [Decimal(row["net"]) for row in closed if row["exit_time"] > "2026-03-03"]
    performance = played.performance
    assert performance["win_count"] == sum(net > 0 for net in nets)
    assert performance["loss_count"] == sum(net < 0 for net in nets)
    assert performance["largest_loss"] == float(min(net for net in nets if net < 0))


def test_the_days_profit_is_the_sum_of_its_fills(played: Played) -> None:
    earned: dict[str, Decimal] = defaultdict(Decimal)
    for fill in played.fills:
        earned[fill["at"][:10]] += Decimal(fill["realized"]) - Decimal(fill["cost"])
    [first_day] = played.days
    assert (first_day["date"], Decimal(first_day["daily_pnl"])) == ("2026-03-02", earned["2026-03-02"])
    assert Decimal(first_day["last_equity"]) == 100_000 + earned["2026-03-02"]
    performance = played.performance
    assert performance["daily_pnl"] == float(earned["2026-03-03"])
    assert performance["daily_pnl_pct"] == pytest.approx(
        float(earned["2026-03-03"] / Decimal(first_day["last_equity"]) * 100), abs=1e-4
    )


def test_the_portfolio_agrees_with_fills_and_book(played: Played) -> None:
    account, cash = played.portfolio, Decimal(100_000)
    for fill in played.fills:
        cash -= Decimal(fill["quantity"]) * Decimal(fill["price"]) * (1 if fill["side"] == "buy" else -1)
        cash -= Decimal(fill["cost"])
    assert account["cash"] == pytest.approx(float(cash), abs=0.05)
    assert account["equity"] == pytest.approx(account["cash"] + account["net_exposure"], abs=0.01)
    assert {held["symbol"] for held in account["holdings"]} == set(json.loads(played.book)["trades"])
    assert (account["realized_pnl"], account["unknown"]) == (played.performance["daily_pnl"], [])
    assert account["drawdown_pct"] == pytest.approx((1 - account["equity"] / account["peak_equity"]) * 100, abs=1e-3)


def test_fills_are_priced_at_the_bars_open_or_at_a_level_inside_it(played: Played) -> None:
    reasons = set()
    for fill in played.fills:
        at, price, symbol = parse_iso(fill["at"]), Decimal(fill["price"]), fill["symbol"]
        reasons.add(fill["reason"].partition(" ")[0])
        if fill["reason"] in ("stop_hit", "target_reached") and (symbol, at) not in BARS:
            continue
        if fill["reason"] in ("stop_hit", "target_reached") and BARS[symbol, at].open != price:
            at = next(bar.start for bar in MARKET.bars if bar.symbol == symbol and bar.end(FeedRules().interval) == at)
            assert BARS[symbol, at].low <= price <= BARS[symbol, at].high
        else:
            assert BARS[symbol, at].open == price
        worth = price * Decimal(fill["quantity"])
        assert abs(Decimal(fill["cost"]) - worth * Decimal("0.0002")) <= Decimal("0.005")
    assert {"decision", "stop_hit"} <= reasons


def test_each_decision_is_filled_at_the_next_bars_open(played: Played) -> None:
    fills = {fill["reason"]: fill for fill in played.fills}
    followed = 0
    for entry in played.entries:
        verdict = entry.record["verdict"]
        if verdict["action"] not in ("exit", "reduce"):
            continue
        symbol, as_of_ms = entry.record["symbol"], entry.record["as_of_ms"]
        later = [bar for bar in MARKET.bars if bar.symbol == symbol and to_ms(bar.start) >= as_of_ms]
        if later:
            fill = fills[f"decision {entry.index}"]
            assert parse_iso(fill["at"]) == later[0].start
            assert Decimal(fill["price"]) == later[0].open
            assert Decimal(fill["quantity"]) == Decimal(verdict["quantity"])
            followed += 1
    assert followed > 3


def test_no_record_contains_anything_later_than_its_time(played: Played) -> None:
    checked = 0
    for entry in played.entries:
        if "snapshot" not in entry.pieces:
            continue
        snapshot = canonical.loads(entry.pieces["snapshot"])
        symbol, sections, as_of_ms = snapshot["symbol"], snapshot["sections"], snapshot["as_of_ms"]
        known = [bar for bar in MARKET.bars if bar.symbol == symbol and _end_ms(bar) <= as_of_ms]
        price = json.loads(sections["price"] or "")
        assert price["price"]["last"] == float(known[-1].close)
        news = json.loads(sections["sentiment"] or "")["latest_news"]
        published = [
            line["headline"]
            for line in MARKET.news
            if line["symbol"] == symbol and as_of_ms - DAY_MS < to_ms(parse_iso(line["timestamp"])) <= as_of_ms
        ]
        assert [line["headline"] for line in news] == list(dict.fromkeys(reversed(published)))[:5]
        checked += 1
    assert checked > 150


def _end_ms(bar: Bar) -> int:
    return to_ms(bar.end(FeedRules().interval))
