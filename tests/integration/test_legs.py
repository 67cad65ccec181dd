"""Long and short of one symbol at once: a key each, one market, and rules that hold for both."""

import json
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.context.marks import Marks
from llmctx.context.package import Package, build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.context.snapshot import Snapshot
from llmctx.decision.mandate.mandate import Group, Limits, Mandate
from llmctx.schema import keys
from llmctx.schema.symbol import market_of
from tests.unit.makers import live_keys, market

LONG, SHORT = "AAPL:long", "AAPL:short"


async def written(redis: Redis, **short: Any) -> None:
    """One market, and a position on each side of it."""
    documents = market()
    for key, value in live_keys({"price": documents["price"], "system": documents["system"]}).items():
        await redis.set(key, value)
    for symbol, side, entry in ((LONG, "long", 150), (SHORT, "short", 155)):
        changes = {"side": side, "entry_price": entry, "stop_loss": None, "take_profit": None}
        held = documents["position"] | changes | (short if side == "short" else {})
        await redis.set(f"positions:active:{symbol}", canonical.wire(held))


async def package(redis: Redis, symbol: str) -> tuple[Package, Snapshot]:
    snapshot = await read_snapshot(redis, symbol, 0, ReadRules(timeframes=True))
    return build_package(snapshot), snapshot


async def test_each_leg_is_a_package_with_its_position_and_the_markets_price(valkey: Redis) -> None:
    await written(valkey)
    for symbol, side, entry in ((LONG, "long", 150), (SHORT, "short", 155)):
        found, snapshot = await package(valkey, symbol)
        assert found.refusal is None
        assert (found.symbol, found.position.side, found.position.entry_price) == (symbol, side, Decimal(entry))
        assert found.sections["price"].key == "stocks:price:AAPL"
        assert found.sections["timeframes"].key == "stocks:timeframes:AAPL"
        again = build_package(Snapshot.from_evidence(snapshot.evidence()))
        assert (again.position, again.price) == (found.position, found.price)


@pytest.mark.parametrize(("short", "told"), [({"side": "long"}, "side is 'long'"), ({"symbol": "MSFT"}, "symbol is")])
async def test_a_leg_of_another_side_or_symbol_is_invalid(valkey: Redis, short: dict[str, Any], told: str) -> None:
    await written(valkey, **short)
    found, _ = await package(valkey, SHORT)
    assert told in (found.refusal or "")


async def test_a_halt_of_the_market_halts_both_legs_and_one_of_a_leg_only_that(valkey: Redis) -> None:
    await written(valkey)
    await valkey.set(keys.halt("AAPL"), "results")
    assert [(await package(valkey, symbol))[0].halts for symbol in (LONG, SHORT)] == [
        {keys.halt("AAPL"): "results"}
    ] * 2
    await valkey.delete(keys.halt("AAPL"))
    await valkey.set(keys.halt(SHORT), "squeeze")
    assert [(await package(valkey, symbol))[0].halts for symbol in (LONG, SHORT)] == [{}, {keys.halt(SHORT): "squeeze"}]


async def test_the_rank_is_that_of_the_market(valkey: Redis) -> None:
    await written(valkey)
    ranked: list[dict[str, Any]] = [
        {"symbol": name, "score": 0.5, "price": 1, "signals": [], "timestamp": "2025-05-09T10:15:30.123Z"}
        for name in ("A", "B", "C", "D", "E", "F", "AAPL", "G")
    ]
    await valkey.set("candidates:ranked", json.dumps(ranked))
    snapshot = (await package(valkey, SHORT))[1]
    found = build_package(snapshot.model_copy(update={"marks": Marks()}))
    facts = {fact.path: fact.value for fact in found.facts["candidates"]}
    assert facts["candidates (rank of this symbol)"] == "7 of 8"
    assert facts["candidates[6].symbol"] == "AAPL"
    assert facts["candidates (not shown)"] == "3 more"


def test_limits_of_a_market_hold_for_its_legs() -> None:
    mandate = Mandate(
        groups={"crypto": Group(symbols=("BTCUSDT",), gross_max=Decimal(100), limits=Limits(adds_per_day=1))},
        symbols={"BTCUSDT": Limits(max_quantity=Decimal(2)), "BTCUSDT:short": Limits(max_quantity=Decimal(1))},
    )
    assert [mandate.limits_of(name, "long").max_quantity for name in ("BTCUSDT:long", "BTCUSDT:short")] == [2, 1]
    assert mandate.limits_of("BTCUSDT:long", "long").adds_per_day == 1
    (total,) = mandate.totals_of("BTCUSDT:short")
    assert total.symbols == ("BTCUSDT", "BTCUSDT:long", "BTCUSDT:short")


@pytest.mark.parametrize(
    ("symbol", "named"),
    [("BTCUSDT:short", "BTCUSDT"), ("BTC/USDT:USDT:long", "BTC/USDT:USDT"), ("BTC/USDT:USDT", "BTC/USDT:USDT"),
     ("NSE:INFY", "NSE:INFY"), ("AAPL", "AAPL"), (":short", ":short")],
)  # fmt: skip
def test_a_leg_is_named_after_its_market(symbol: str, named: str) -> None:
    assert market_of(symbol) == named
