"""An existing system is joined as it is: its keys and hashes are read at one instant, and its records stand alone."""

import json
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import TypeAdapter
from redis.asyncio import Redis

from llmctx import clock
from llmctx.context.marks import Marks
from llmctx.context.package import Package, build_package
from llmctx.context.read_rules import DEFAULT_MAX_AGE_S, ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.context.snapshot import Known, Snapshot
from llmctx.context.staleness import Status
from llmctx.context.tick import Tick
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.verdict import Verdict
from llmctx.llm.completion import Completion
from llmctx.ops.cleanup.run import clean_up
from llmctx.ops.keyspace import count_families
from llmctx.pipeline import DecisionConfig
from llmctx.publication import published_text
from llmctx.replay.verify import verify_log
from llmctx.schema import values
from llmctx.schema.mapping.document import hash_as_json
from llmctx.schema.mapping.rule import SectionRule
from llmctx.schema.mapping.sections import Sections
from llmctx.symbols.held import held_symbols
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.exposure import Reservations
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import own_partition
from tests.integration.conftest import POSITION, hold
from tests.unit.makers import Scripted, answer_text, body, completion

BOT = """
[position]
key = "bot:{symbol_lower}"
kind = "hash"
[position.fields]
entry_price = "avg"
current_price = "mark"
quantity = "qty"
side = "dir"
entry_time = { path = "opened", epoch = "s" }
unrealized_pnl = "upl"
unrealized_pnl_pct = "uplPct"
stop_loss = "sl"
last_update = { path = "ts", epoch = "ms" }

[price]
key = "tickers"
kind = "hash"
field = "{symbol}"
[price.fields]
"price.last" = "c"
"price.open" = "o"
"price.high" = "h"
"price.low" = "l"
"price.volume" = "v"
timestamp = { path = "t", epoch = "ms" }

[system]
key = "status"
[system.fields]
state = { constant = "running" }
market_status = "market"
active_positions_count = { constant = 1 }
watchlist_count = { constant = 0 }
timestamp = { path = "t", epoch = "ms" }

[funding]
key = "funding:{symbol}"
max_age_s = 600
says = "What a holder pays every eight hours; positive means that long positions pay."
time = "at"
[funding.schema]
type = "object"
required = ["rate", "at"]
[funding.schema.properties]
rate = { type = "number", unit = "%" }
at = { type = "string", format = "date-time" }
"""
SECTIONS = Sections(TypeAdapter(dict[str, SectionRule]).validate_python(tomllib.loads(BOT)))
RULES = ReadRules(sections=SECTIONS)


async def run_bot(redis: Redis, *, stop: str = "140") -> None:
    """Write what the bot above writes."""
    seconds, micros = await redis.time()
    now_ms = seconds * 1000 + micros // 1000
    held: Any = {
        "avg": "150", "mark": "151", "qty": "2", "dir": "BUY", "opened": seconds - 600, "upl": "2", "uplPct": "0.667",
        "sl": stop, "ts": now_ms,
    }  # fmt: skip
    await redis.hset("bot:btc-usd", mapping=held)
    bar = {"c": "151", "o": "150", "h": "152", "l": "149", "v": "7", "t": now_ms}
    await redis.hset("tickers", mapping={"BTC-USD": json.dumps(bar), "ETH-USD": "{}"})
    await redis.set("status", json.dumps({"market": "24/7", "t": now_ms}))
    await redis.set("funding:BTC-USD", json.dumps({"rate": 0.01, "at": clock.iso(now_ms)}))


async def test_everything_is_read_by_one_command_at_one_instant(redis: Redis) -> None:
    await run_bot(redis)
    await read_snapshot(redis, "BTC-USD", 0, RULES)  # the function is loaded now
    await redis.config_resetstat()
    snapshot = await read_snapshot(redis, "BTC-USD", 0, RULES)
    stats = await redis.info("commandstats")
    assert {name: entry["calls"] for name, entry in stats.items() if name.startswith("cmdstat_fcall")} == {
        "cmdstat_fcall_ro": 1
    }
    package = build_package(snapshot)
    statuses = {name: section.status for name, section in package.sections.items()}
    assert {name for name, status in statuses.items() if status is Status.FRESH} == set(SECTIONS.rules)
    assert (package.position.side, package.position.symbol) == ("long", "BTC-USD")
    assert (package.position.stop_loss, package.position.take_profit) == (Decimal(140), None)
    assert package.price.price.last == 151
    assert snapshot.sections["price"].key == "tickers[BTC-USD]"


UNTIMED = """
[price]
key = "last:{symbol}"
[price.fields]
"price.last" = "p"
timestamp = { first_seen = true }

[funding]
key = "funding:{symbol}"
max_age_s = 600
says = "What a holder pays every eight hours."
event = "settled"
[funding.schema]
type = "object"
[funding.schema.properties]
rate = { type = "number", unit = "%" }
settled = { type = "string", format = "date-time" }
next = { type = "string", format = "date-time" }
"""


async def test_what_carries_no_time_is_as_old_as_the_first_package_with_its_bytes(redis: Redis) -> None:
    sections = Sections(TypeAdapter(dict[str, SectionRule]).validate_python(tomllib.loads(UNTIMED)))
    rules = ReadRules(sections=sections, max_age_s=DEFAULT_MAX_AGE_S | sections.limits_s)
    now_ms = (await redis.time())[0] * 1000

    async def package(marks: Marks, later_s: int) -> Package:
        snapshot = await read_snapshot(redis, "BTC-USD", 0, rules, Known(marks))
        moved = snapshot.model_copy(update={"as_of_ms": now_ms + later_s * 1000})
        again = Snapshot.from_evidence(moved.evidence(), {sections.sha256: sections.blob})
        assert build_package(again) == build_package(moved)
        return build_package(again)

    await redis.set("last:BTC-USD", json.dumps({"p": "151"}))
    settled, due = clock.iso(now_ms - 3_600_000), clock.iso(now_ms + 3_600_000)
    await redis.set("funding:BTC-USD", json.dumps({"rate": 0.01, "settled": settled, "next": due}))
    first = await package(Marks(), 0)
    assert first.price.timestamp == clock.from_ms(now_ms)
    assert first.marks_after is not None
    later = await package(first.marks_after, 601)
    ages = {name: (later.sections[name].age_ms, later.sections[name].status) for name in ("price", "funding")}
    assert ages == {"price": (601_000, Status.STALE), "funding": (601_000, Status.STALE)}
    await redis.set("funding:BTC-USD", json.dumps({"rate": 0.02, "settled": settled, "next": due}))
    assert later.marks_after is not None
    changed = await package(later.marks_after, 700)
    assert (changed.sections["funding"].age_ms, changed.sections["price"].age_ms) == (0, 700_000)
    await redis.set("funding:BTC-USD", json.dumps({"rate": 0.02, "settled": due, "next": due}))
    ahead = (await package(later.marks_after, 700)).sections["funding"]
    assert ahead.status is Status.INVALID
    assert "settled" in str(ahead.reason)


async def test_a_position_without_an_entry_time_began_with_the_first_package_with_it(redis: Redis) -> None:
    rules = tomllib.loads('[position]\nkey = "p:{symbol}"\n[position.fields]\nentry_price = "e"\nquantity = "q"\n'
                          'current_price = "e"\nentry_time = { first_seen = true }\nlast_update = { first_seen = true }')  # fmt: skip
    sections = Sections(TypeAdapter(dict[str, SectionRule]).validate_python(rules))
    marks, now_ms, began = Marks(), (await redis.time())[0] * 1000, []
    for later, (entry, quantity) in enumerate([(10, 1), (11, 2), (11, -2), (11, 0), (11, -2)]):
        await redis.set("p:BTC-USD", json.dumps({"e": entry, "q": quantity}))
        snapshot = await read_snapshot(redis, "BTC-USD", 0, ReadRules(sections=sections), Known(marks))
        package = build_package(snapshot.model_copy(update={"as_of_ms": now_ms + later}))
        assert package.marks_after is not None
        marks, held = package.marks_after, package.sections["position"].value
        began.append(clock.to_ms(held.entry_time) - now_ms if isinstance(held, values.Position) else None)
    assert began == [0, 0, 2, None, 4]


async def test_the_evidence_is_the_raw_bytes_and_rebuilds_with_the_mapping_alone(redis: Redis) -> None:
    await run_bot(redis)
    snapshot = await read_snapshot(redis, "BTC-USD", 0, RULES)
    kept: dict[bytes, bytes] = cast("Any", await redis.hgetall("bot:btc-usd"))
    assert snapshot.sections["position"].raw == hash_as_json(kept.items())
    again = Snapshot.from_evidence(snapshot.evidence(), {SECTIONS.sha256: SECTIONS.blob})
    assert again == snapshot
    assert build_package(again) == build_package(snapshot)
    with pytest.raises(ValueError, match="is missing"):
        Snapshot.from_evidence(snapshot.evidence())
    with pytest.raises(ValueError, match="was changed"):
        Snapshot.from_evidence(snapshot.evidence(), {SECTIONS.sha256: SECTIONS.blob + b" "})


@pytest.mark.parametrize(
    ("section", "commands", "why"),
    [
        ("position", (("set", "bot:btc-usd", "{}"),), "bot:btc-usd: is a string, not a hash"),
        ("position", (("hset", "bot:btc-usd", "big", "x" * 300_000),), "more than the cap of"),
        ("price", (("set", "tickers", "{}"),), "tickers[BTC-USD]: is a string, not a hash"),
        ("system", (("hset", "status", "a", "b"),), "status: is a hash, not a string"),
        ("funding", (("set", "funding:BTC-USD", '{"rate": "high", "at": "now"}'),), "rate must be a JSON number"),
    ],
)
async def test_a_key_that_cannot_be_used_costs_its_section(
    redis: Redis, section: str, commands: tuple[tuple[str, ...], ...], why: str
) -> None:
    await run_bot(redis)
    key = {"position": "bot:btc-usd", "price": "tickers", "system": "status", "funding": "funding:BTC-USD"}[section]
    await redis.delete(key)
    for command in commands:
        await cast("Any", redis).execute_command(*command)
    package = build_package(await read_snapshot(redis, "BTC-USD", 0, RULES))
    assert package.sections[section].status is Status.INVALID
    assert why in (package.sections[section].reason or "")
    assert [name for name, found in package.sections.items() if found.status is Status.INVALID] == [section]


EVIDENCE = [{"path": "price.price.last", "value": "151", "reading": "above the entry"}]
HOLD = completion(body(answer_text(action="hold", reasoning="It holds.", invalidation="It falls.", evidence=EVIDENCE)))


async def decided(redis: Redis, url: str, state_dir: Path, said: Completion, *, tick: str = "t1") -> tuple[Entry, str]:
    """The record of one decision on the bot's position, and its prompt."""
    instance, _ = await bind_instance(redis, state_dir, partitions=1)
    completer = Scripted(said)
    config = DecisionConfig(POSITION, completer, rules=RULES)
    async with own_partition(TrailHome(redis, url, instance, state_dir), 0, config) as (_, pipeline):
        entry = await pipeline.decide(Tick(id=tick, symbol="BTC-USD"))
    return entry, completer.prompts[0].messages[1].content


async def test_a_section_of_ones_own_is_shown_cited_and_recorded_and_verify_rebuilds_it(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await run_bot(redis)
    evidence = [{"path": "funding.rate", "value": "0.01", "reading": "cheap to hold"}]
    text = answer_text(action="hold", reasoning="Funding is 0.01 [funding.rate].", evidence=evidence)
    entry, prompt = await decided(redis, redis_url, tmp_path, completion(body(text)))
    assert "- (about this section): What a holder pays every eight hours" in prompt
    assert "- funding.rate: 0.01 [%]" in prompt
    assert entry.record["snapshot"]["mapping_sha256"] == SECTIONS.sha256
    assert entry.record["grounding"] == {"cited": 1, "evidence": 1, "uncited": 0, "unread": 0}
    assert await Log(redis, 0).blob(SECTIONS.sha256) == SECTIONS.blob
    assert (await verify_log(Log(redis, 0))).fault is None


async def test_cleanup_leaves_the_keys_of_another_system_alone(redis: Redis, tmp_path: Path) -> None:
    await redis.set("watchlist:current", '["AAPL"]')
    await redis.set("stocks:price:AAPL", "{}")
    steps = [
        step async for step in clean_up(redis, 1, tmp_path, apply=True, read_only=frozenset({"price", "position"}))
    ]
    assert [name for step in steps for name in step.names] == ["watchlist:current"]
    assert await redis.ttl("stocks:price:AAPL") == -1


async def test_the_thesis_of_a_mapped_position_outlives_its_writer(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await run_bot(redis)
    entry, _ = await decided(redis, redis_url, tmp_path, HOLD)
    text = await redis.get("decisions:{0}:latest:BTC-USD")
    assert published_text(await read_again(redis, entry.index), 1) == text
    _, prompt = await decided(redis, redis_url, tmp_path, HOLD, tick="t2")
    assert "## thesis: fresh" in prompt
    assert (await verify_log(Log(redis, 0))).fault is None


async def read_again(redis: Redis, index: int) -> Entry:
    """A record as whoever did not write it has it."""
    entry = await Log(redis, 0).entry(index)
    assert entry is not None
    return entry


async def test_a_mapped_symbol_counts_as_held_wherever_its_position_is(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await run_bot(redis)
    await decided(redis, redis_url, tmp_path, HOLD)
    await hold(redis, "AAPL")
    assert [symbol async for symbol in held_symbols(redis, Log(redis, 0), 1)] == ["AAPL", "BTC-USD"]


async def run_second_position(redis: Redis, *, quantity: str) -> None:
    """Write one more position of the bot, in ETH-USD: short, marked at 151."""
    held: Any = {**(await cast("Any", redis.hgetall("bot:btc-usd"))), "dir": "SELL", "qty": quantity}
    await redis.hset("bot:eth-usd", mapping=held)


async def test_keys_and_values_are_counted_where_the_mapping_says(redis: Redis) -> None:
    await run_bot(redis)
    await redis.hset("bot:eth-usd", mapping={"qty": "x"})
    counts = {each.section: each for each in await count_families(redis, SECTIONS)}
    found = {name: (counts[name].keys, counts[name].invalid) for name in SECTIONS.rules}
    assert found == {"position": (2, 1), "price": (2, 1), "system": (1, 0), "funding": (1, 0)}
    assert counts["position"].reasons[0].startswith("bot:eth-usd: entry_price is missing")
    assert counts["price"].reasons[0].startswith("tickers[ETH-USD]: ")
    assert counts["position"].newest_age_ms is not None
    assert counts["price"].memory_bytes > 0
    assert counts["watchlist"].keys == 0


async def test_mapped_positions_are_joined_to_a_portfolio_at_one_instant(redis: Redis) -> None:
    await run_bot(redis)
    await run_second_position(redis, quantity="1")
    rules = ReadRules(sections=SECTIONS, portfolio=("BTC-USD", "ETH-USD", "SOL-USD"))
    snapshot = await read_snapshot(redis, "BTC-USD", 0, rules)
    again = Snapshot.from_evidence(snapshot.evidence(), {SECTIONS.sha256: SECTIONS.blob})
    portfolio = build_package(again).sections["portfolio"].value
    assert isinstance(portfolio, values.Portfolio)
    assert (portfolio.gross_exposure, portfolio.net_exposure) == (Decimal(453), Decimal(151))
    assert portfolio.unknown == []
    await run_second_position(redis, quantity="0")
    flat = build_package(await read_snapshot(redis, "ETH-USD", 0, rules)).sections
    assert (flat["position"].status, flat["position"].reason) == (
        Status.EMPTY, "bot:eth-usd: its quantity is 0, so there is no position",
    )  # fmt: skip
    assert isinstance(flat["portfolio"].value, values.Portfolio)
    assert [each.symbol for each in flat["portfolio"].value.holdings] == ["BTC-USD"]


async def test_mapped_positions_count_in_the_totals_of_a_mandate(redis: Redis) -> None:
    await run_bot(redis)
    package = build_package(await read_snapshot(redis, "BTC-USD", 0, RULES))
    add = Verdict(action="add", quantity=Decimal(1), reason="as the model decided")
    mandate = Mandate(gross_max=Decimal(500))
    reservations = Reservations(redis, mandate, SECTIONS)
    assert await reservations.reserve("a", package, add) is None  # 302 and 151
    await run_second_position(redis, quantity="1")
    assert await reservations.reserve("a", package, add) == ("gross_max is 500, and the positions would come to 604.00")
    await run_second_position(redis, quantity="0")
    assert await reservations.reserve("a", package, add) is None
    await redis.hset("bot:eth-usd", mapping={"qty": "x"})
    assert await reservations.reserve("a", package, add) == "bot:eth-usd cannot be read, so the total is unknown"
