"""Limits of the whole account under 32 ticks in flight over several partitions: leverage, and the share of a sector."""

import asyncio
import json
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.context.read_rules import ReadRules
from llmctx.context.tick import Tick
from llmctx.decision.mandate.mandate import Limits, Mandate
from llmctx.decision.reservation import EXPOSURE
from llmctx.decision.verdict import GuardPolicy
from llmctx.pipeline import DecisionConfig
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import own_partition
from tests.integration.conftest import NOW, POSITION, hold
from tests.integration.test_people import Adding

PARTITIONS, EQUITY = 4, 40_000
SYMBOLS = [f"S{number}" for number in range(32)]
TECH = SYMBOLS[:16]
LIMITS = {  # room for four adds of 5 shares at 100, of all positions or of those in tech
    "max_leverage": (Limits(max_leverage=Decimal("0.85")), SYMBOLS, 34_000),
    "sector_share_pct": (Limits(sector_share_pct=Decimal(45)), TECH, 18_000),
}


async def account(redis: Redis) -> None:
    """32 positions of 1,000, and an account that tells equity and sectors."""
    await hold(redis, *SYMBOLS)
    held = {"side": "long", "quantity": 10, "value": 1000}
    holdings = [{"symbol": name, **held, "sector": "tech" if name in TECH else "energy"} for name in SYMBOLS]
    portfolio = {"equity": EQUITY, "gross_exposure": 32_000, "holdings": holdings, "timestamp": NOW}
    await redis.set(keys.PORTFOLIO, json.dumps(portfolio))


@pytest.mark.parametrize("name", LIMITS)
async def test_32_ticks_in_flight_never_exceed_a_limit_of_the_account_together(
    valkey: Redis, valkey_url: str, tmp_path: Path, name: str
) -> None:
    limits, symbols, most = LIMITS[name]
    await account(valkey)
    instance, _ = await bind_instance(valkey, tmp_path, partitions=PARTITIONS)
    home = TrailHome(valkey, valkey_url, instance, tmp_path)
    config = DecisionConfig(
        POSITION,
        Adding(),
        ReadRules(portfolio=(), clock="bars"),
        GuardPolicy(mandate=Mandate(account=limits), grounding="off"),
    )
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(own_partition(home, at, config)) for at in range(PARTITIONS)]
        found = await asyncio.gather(
            *(held[keys.partition_of(symbol, PARTITIONS)][1].decide(Tick.by_hand(symbol)) for symbol in SYMBOLS)
        )
    added = [entry for entry in found if entry.record["verdict"]["action"] == "add"]
    within = [entry for entry in added if entry.record["symbol"] in symbols]
    worth = 1000 * len(symbols) + sum(100 * int(entry.record["verdict"]["quantity"]) for entry in within)
    assert worth == most
    refused = [entry for entry in found if entry.record["symbol"] in symbols and entry not in within]
    assert all(_why(entry).startswith(f"what {name} allows is {most}") for entry in refused)
    for at in range(PARTITIONS):
        assert (await verify_log(Log(valkey, at))).fault is None


def _why(entry: Entry) -> str:
    guards = entry.record["verdict"]["guards"]
    return str(next(guard["detail"] for guard in guards if guard["name"] == EXPOSURE))
