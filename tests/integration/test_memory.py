"""What the trail remembers of a symbol, and the portfolio, as packages and prompts have them."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.context.memory import MemoryLength
from llmctx.context.package import build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.context.snapshot import Known, Snapshot, TrailReference
from llmctx.context.staleness import Status
from llmctx.context.tick import Tick
from llmctx.decision.decision import OUTPUT
from llmctx.pipeline import DecisionConfig, Pipeline
from llmctx.prompt.render import render
from llmctx.prompt.template import load_template
from llmctx.replay.answer import recorded_answer
from llmctx.replay.corpus import BlobCache, Recorded
from llmctx.replay.difference import causes
from llmctx.replay.memories import memories
from llmctx.replay.plan import Plan, build_request
from llmctx.replay.rerun import rebuild
from llmctx.replay.verify import verify_log
from llmctx.schema import values
from llmctx.symbols.memory import SymbolMemory
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Draft, Log
from llmctx.worker.home import open_home
from llmctx.worker.partition import own_partition
from tests.conftest import present
from tests.integration.conftest import SETTLEMENT, ByRules, held_lease, live

V3, V4 = (load_template(asset("prompts"), f"position/v{version}") for version in (3, 4))


def moment(minute: int) -> str:
    return f"2026-03-02T15:{minute:02}:00.000Z"


def keys_at(minute: int, price: float, **position: Any) -> dict[str, str]:
    """The live keys of AAPL at a minute by the clock of the bars."""
    documents = {key: json.loads(text) for key, text in live("AAPL", price=price, **position).items()}
    documents["stocks:price:AAPL"]["timestamp"] = documents["system:state"]["timestamp"] = moment(minute)
    documents["positions:active:AAPL"]["last_update"] = moment(minute)
    return {key: json.dumps(document) for key, document in documents.items()}


@asynccontextmanager
async def opened(
    url: str, folder: Path, length: MemoryLength = "long", portfolio: tuple[str, ...] | None = None
) -> AsyncIterator[Pipeline]:
    rules = ReadRules(memory=length, portfolio=portfolio)
    async with (
        open_home(url, folder) as home,
        own_partition(home, 0, DecisionConfig(V4, ByRules(), rules)) as (_, pipeline),
    ):
        yield pipeline


async def decide(pipeline: Pipeline, redis: Redis, minute: int, price: float, **position: Any) -> Entry:
    await redis.mset(keys_at(minute, price, **position))
    return await pipeline.decide(Tick(id=f"{minute}-{price}", symbol="AAPL"))


def memory_in(entry: Entry) -> values.Memory | None:
    value = build_package(Snapshot.from_evidence(entry.pieces["snapshot"])).sections["memory"].value
    assert value is None or isinstance(value, values.Memory)
    return value


def shown(entry: Entry) -> str:
    return str(json.loads(entry.pieces["messages"])[1]["content"])


async def test_a_package_remembers_how_the_position_began_and_what_came_of_decisions_also_after_a_restart(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    signal = {"reason": "breakout", "price": 99, "timestamp": moment(0), "indicators": {}, "confidence": 0.8}
    await valkey.set("signals:entry:AAPL", json.dumps(signal))
    async with opened(valkey_url, tmp_path) as pipeline:
        first = await decide(pipeline, valkey, 0, 100.0)
        await valkey.delete("signals:entry:AAPL")
        second = await decide(pipeline, valkey, 1, 102.0, quantity=8)
    async with opened(valkey_url, tmp_path) as pipeline:
        third = await decide(pipeline, valkey, 2, 101.0, quantity=8)
    assert memory_in(first) is None
    before, now = memory_in(second), memory_in(third)
    assert before is not None
    assert now is not None
    assert now.opening is not None
    assert (now.opening, now.count) == (before.opening, 2)
    assert (now.opening.signal, now.opening.quantity) == ("breakout", Decimal(10))
    assert now.opening.reasoning == first.record["decision"]["reasoning"][: len(now.opening.reasoning or "")]
    newest, oldest = now.decisions
    assert (newest.price, newest.held_after, newest.moved_pct) == (Decimal(102), None, Decimal(0))
    came_of_it = (oldest.price, oldest.held, oldest.held_after, oldest.moved_pct)
    assert came_of_it == (Decimal(100), Decimal(10), Decimal(8), Decimal(2))
    assert "- memory.decisions[1].moved_pct: 2 [% in the position's favour]" in shown(third)
    blobs = BlobCache({V4.sha256: V4.bundle, OUTPUT.sha256: OUTPUT.bundle})
    for entry in (first, second, third):
        assert rebuild(entry, blobs).differences == ()


async def test_another_position_closes_the_one_before(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    async with opened(valkey_url, tmp_path, "short") as pipeline:
        await decide(pipeline, valkey, 0, 100.0)
        await decide(pipeline, valkey, 1, 103.0)
        third = await decide(pipeline, valkey, 2, 103.0, entry_price=103.0, entry_time=moment(2))
    memory = present(memory_in(third))
    assert (memory.opening, memory.decisions) == (None, [])
    (closed,) = memory.closed
    assert (closed.result_pct, closed.decisions, closed.side) == (Decimal(3), 2, "long")
    assert closed.last_seen.isoformat() == "2026-03-02T15:01:00+00:00"


async def test_what_lies_later_cannot_change_a_prompt(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    """A trail that has gone on to 15:30 tells a package of 15:05 nothing, whatever came later."""
    prompts = []
    for name, later in (("up", 119.0), ("down", 91.0), ("none", None)):
        await valkey.flushall()
        async with opened(valkey_url, tmp_path / name) as pipeline:
            if later is not None:
                await decide(pipeline, valkey, 20, later)
                await decide(pipeline, valkey, 30, later, quantity=5)
            await valkey.mset(keys_at(5, 100.0))
            known = await pipeline.memory.of("AAPL")
            snapshot = await read_snapshot(valkey, "AAPL", 0, ReadRules(memory="long"), known)
        assert (known.memory != Known().memory) is (later is not None)
        prompts.append(render(V4, build_package(snapshot)).evidence)
    assert len(set(prompts)) == 1


@pytest.mark.parametrize("length", ["off", "short", "long"])
async def test_the_setting_says_how_much_is_remembered_and_earlier_prompts_show_none_of_it(
    valkey: Redis, valkey_url: str, tmp_path: Path, length: MemoryLength
) -> None:
    async with opened(valkey_url, tmp_path, length) as pipeline:
        entries = [await decide(pipeline, valkey, minute, 100.0 + minute) for minute in range(7)]
    snapshot = Snapshot.from_evidence(entries[-1].pieces["snapshot"])
    package = build_package(snapshot)
    assert ("memory" in package.sections) is (length != "off")
    value = None if length == "off" else memory_in(entries[-1])
    kept = [] if value is None else value.decisions
    assert len(kept) == {"off": 0, "short": 2, "long": 5}[length]
    assert all((each.reasoning is not None) is (length == "long") for each in kept)
    assert "memory" not in render(V3, package).messages[1].content


# verify


async def test_a_memory_follows_from_the_records_that_it_names(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    async with opened(valkey_url, tmp_path, "off") as pipeline:
        await decide(pipeline, valkey, 0, 100.0)
    async with opened(valkey_url, tmp_path) as pipeline:
        for minute in (1, 2):
            await decide(pipeline, valkey, minute, 100.0 + minute)
        await valkey.set("stocks:price:AAPL", "{}")
        await pipeline.decide(Tick(id="refused", symbol="AAPL"))
        await decide(pipeline, valkey, 4, 103.0, entry_price=103.0, entry_time=moment(4))
    async with opened(valkey_url, tmp_path, "short") as pipeline:
        last = await decide(pipeline, valkey, 5, 104.0, entry_price=103.0, entry_time=moment(4))
    remembered = Snapshot.from_evidence(last.pieces["snapshot"]).remembered
    before = present(await Log(valkey).entry(last.index - 1))
    assert remembered == TrailReference(str(before.index), before.leaf_hash)
    assert (await verify_log(Log(valkey))).fault is None


@pytest.mark.parametrize("length", ["short", "long"])
async def test_a_replay_gives_packages_the_memory_that_a_setting_would_have_given_them(
    valkey: Redis, valkey_url: str, tmp_path: Path, length: MemoryLength
) -> None:
    found: dict[str, list[Recorded]] = {}
    setting: MemoryLength
    for setting in ("off", length):
        await valkey.flushall()
        async with opened(valkey_url, tmp_path / setting, setting) as pipeline:
            made = [await decide(pipeline, valkey, minute, 100.0 + minute) for minute in range(5)]
        found[setting] = [Recorded.of(entry, "") for entry in made]
    blobs = BlobCache({V4.sha256: V4.bundle, OUTPUT.sha256: OUTPUT.bundle})
    for entries in found.values():
        again = Plan(model="m", memories=memories(entries, blobs, length))
        prompts = [build_request(entry, again, blobs).prompt for entry in entries]
        assert [prompt.messages[1].content for prompt in prompts if prompt] == [shown(one) for one in found[length]]
    off = Plan(model="m", memories=memories(found[length], blobs, "off"))
    without = present(build_request(found[length][4], off, blobs).prompt)
    assert "- memory." not in without.messages[1].content
    request = build_request(found["off"][4], Plan(model="m", memories=memories(found["off"], blobs, length)), blobs)
    answer = request.grounded(request.answer(request.conclude(None)))
    assert next(cause.by for cause in causes(recorded_answer(found["off"][4]), answer)) == "data"


def with_words(known: Known) -> Known:
    return known._replace(memory=known.memory.replace(b'"hold"', b'"exit"'))


def with_hash(known: Known) -> Known:
    assert known.remembered is not None
    return known._replace(remembered=known.remembered._replace(leaf_hash="0" * 64))


def with_address(known: Known) -> Known:
    assert known.remembered is not None
    return known._replace(remembered=known.remembered._replace(address="1"))


def without_record(known: Known) -> Known:
    return known._replace(remembered=None)


@pytest.mark.parametrize("forge", [with_words, with_hash, with_address, without_record])
async def test_a_changed_memory_is_named(valkey: Redis, forge: Callable[[Known], Known]) -> None:
    owner, log = (await held_lease(valkey)).owner, Log(valkey)

    async def settle(draft: Draft, _: tuple[str, ...]) -> Entry:
        return await log.append(draft, owner, SETTLEMENT)

    class Forging(SymbolMemory):
        async def of(self, symbol: str) -> Known:
            known = await super().of(symbol)
            return forge(known) if b"104" in known.memory else known

    config = DecisionConfig(V4, ByRules(), ReadRules(memory="long"))
    pipeline = Pipeline(valkey, config, settle, memory=Forging())
    entries = [await decide(pipeline, valkey, minute, 102.0 + minute) for minute in range(4)]
    fault = present((await verify_log(log)).fault)
    assert (fault.at, fault.rule) == (entries[3].index, "memory")


# portfolio


async def portfolio_of(redis: Redis, *symbols: str) -> tuple[values.Portfolio, Snapshot]:
    snapshot = await read_snapshot(redis, "AAPL", 0, ReadRules(portfolio=symbols))
    section = build_package(Snapshot.from_evidence(snapshot.evidence())).sections["portfolio"]
    assert isinstance(section.value, values.Portfolio), section
    return section.value, snapshot


async def test_the_portfolio_is_what_its_key_says(valkey: Redis) -> None:
    await valkey.mset(keys_at(0, 100.0))
    await valkey.set("portfolio:current", json.dumps({"cash": 5000, "equity": 9000.5, "timestamp": moment(0)}))
    portfolio, _ = await portfolio_of(valkey)
    assert (portfolio.cash, portfolio.equity, portfolio.drawdown_pct) == (Decimal(5000), Decimal("9000.5"), None)


async def test_a_portfolio_is_joined_from_positions_at_one_instant(valkey: Redis) -> None:
    await valkey.mset(keys_at(0, 100.0) | live("MSFT", price=50.0, quantity=4, side="short", unrealized_pnl=7))
    state = json.loads(keys_at(0, 100.0)["system:state"]) | {"active_positions_count": 2}
    await valkey.set("system:state", json.dumps(state))
    portfolio, _ = await portfolio_of(valkey, "AAPL", "MSFT", "NVDA")
    sums = (portfolio.gross_exposure, portfolio.net_exposure, portfolio.unrealized_pnl)
    assert sums == (Decimal(1200), Decimal(800), Decimal(7))
    held = [(each.symbol, each.value) for each in portfolio.holdings]
    assert held == [("AAPL", Decimal(1000)), ("MSFT", Decimal(200))]
    assert (portfolio.unknown, portfolio.cash) == ([], None)


@pytest.mark.parametrize(
    ("key", "text", "counted", "unknown"),
    [
        ("positions:active:MSFT", "not JSON", 2, ["MSFT"]),
        ("positions:active:MSFT", '{"quantity": 5}', 2, ["MSFT"]),
        ("other", "{}", 4, ["3 more by system.active_positions_count"]),
    ],
)
async def test_what_is_unknown_is_not_flat(
    valkey: Redis, key: str, text: str, counted: int, unknown: list[str]
) -> None:
    await valkey.mset(keys_at(0, 100.0))
    state = json.loads(keys_at(0, 100.0)["system:state"]) | {"active_positions_count": counted}
    await valkey.mset({key: text, "system:state": json.dumps(state)})
    portfolio, snapshot = await portfolio_of(valkey, "MSFT")
    assert portfolio.unknown == unknown
    assert (portfolio.gross_exposure, portfolio.net_exposure, portfolio.unrealized_pnl) == (None, None, None)
    assert "- portfolio.gross_exposure: null" in render(V4, build_package(snapshot)).messages[1].content


async def test_a_portfolio_of_a_later_time_is_invalid_and_one_without_a_key_is_missing(valkey: Redis) -> None:
    await valkey.mset(keys_at(0, 100.0))
    rules = ReadRules(portfolio=())
    package = build_package(await read_snapshot(valkey, "AAPL", 0, rules))
    assert package.sections["portfolio"].status is Status.MISSING
    await valkey.set("portfolio:current", json.dumps({"cash": 1, "timestamp": moment(1)}))
    package = build_package(await read_snapshot(valkey, "AAPL", 0, rules))
    assert package.sections["portfolio"].status is Status.INVALID
