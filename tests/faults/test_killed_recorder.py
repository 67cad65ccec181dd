"""SIGKILL of the worker at each step of recording an effect: nothing is lost and nothing is there twice."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.client import Client
from llmctx.llm.standin import Standin
from llmctx.schema import keys
from llmctx.schema.values import Effect
from llmctx.trail.log.instance import require_instance
from llmctx.trail.log.log import Log
from tests.faults.conftest import Server, Worker, check_oracle, end_lease
from tests.integration.conftest import hold, raise_tick

SYMBOLS = ("AAPL", "MSFT", "NVDA")


def effect(number: int, symbol: str) -> Effect:
    said = {"id": f"{symbol}-{number}", "symbol": symbol, "status": "filled", "side": "buy", "quantity": 1, "price": 9}
    return Effect.model_validate(said | {"at": "2026-03-02T15:00:00Z"})


@pytest.mark.more
@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("effects_read", 1), ("appended", 5), ("spooled", 2), ("durable", 3), ("published", 5),
        ("effect_recorded", 1), ("effect_recorded", 7),
    ],
)  # fmt: skip
@pytest.mark.parametrize("server", ["valkey"], indirect=True)
async def test_what_a_worker_left_at_any_step_is_recorded_once(
    server: Server, client: Redis, tmp_path: Path, standin: Standin, point: str, times: int
) -> None:
    worker = Worker(server.url, tmp_path / "state", standin.base_url)
    await worker.drain(client)
    await hold(client, "AAPL")
    await raise_tick(client, "tick", "AAPL")
    trading = Client(client, await require_instance(client))
    reported = [effect(number, symbol) for number in range(4) for symbol in SYMBOLS]
    for each in reported:
        await trading.report_effect(each)
    await client.xadd(keys.effects(0), {"effect": b"{}"})
    await worker.until_killed(point, times)
    for each in reported[::2]:
        await trading.report_effect(each)
    await end_lease(client)
    await worker.drain(client)
    await check_oracle(client, ["tick"])
    records = [entry.record async for entry in Log(client).read()]
    assert sorted(leaf["id"] for leaf in records if leaf["kind"] == "effect") == sorted(each.id for each in reported)
    assert len([leaf for leaf in records if leaf["kind"] == "incident"]) == 1
    assert await client.xlen(keys.effects(0)) == 0
