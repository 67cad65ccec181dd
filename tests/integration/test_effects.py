"""Effects: what the execution side reports is recorded once, and named by the decision that it is about."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.client import open_client
from llmctx.decision.mandate.mandate import Limits, Mandate
from llmctx.decision.verdict import GuardPolicy
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.schema.values import Effect
from llmctx.trail.log.entry import PROOF
from llmctx.trail.log.log import Log
from tests.integration.conftest import ByRules, hold, leaves, live, serving
from tests.integration.program import until
from tests.unit.makers import stored

NOW = "2026-03-02T15:00:05.000Z"


def effect(number: int, **changes: object) -> Effect:
    """A fill of ten shares of AAPL."""
    said = {
        "id": f"fill-{number}", "symbol": "AAPL", "status": "filled", "at": NOW, "side": "sell",
        "quantity": 10, "price": 99.5, "fee": 0.2, "order_id": "o-1",
    }  # fmt: skip
    return Effect.model_validate(said | changes)


async def recorded(redis: Redis, kind: str = "effect") -> list[dict[str, object]]:
    """The records of a kind."""
    return [leaf for leaf in await leaves(redis) if leaf["kind"] == kind]


async def all_read(redis: Redis) -> bool:
    """Whether nothing waits to be recorded."""
    return await redis.xlen(keys.effects(0)) == 0


async def test_an_effect_is_recorded_once_and_names_its_decision_by_its_hash(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running, open_client(redis_url) as client:
        decided = await client.decide("AAPL", timeout_s=30)
        for _ in range(2):
            await client.report_effect(effect(1, address=decided.address))
        await client.report_effect(effect(2, reason="stop_hit", price=90))
        await until(lambda: len([each for each in running.entries if each.said]) == 2)
        await client.report_effect(effect(1, address=decided.address))
        await until(lambda: all_read(redis))
    entry = await Log(redis).entry(int(decided.address))
    first, second = await recorded(redis)
    assert entry is not None
    assert first["about"] == {"index": entry.index, "leaf_hash": entry.leaf_hash}
    assert first["effect"] == {
        "status": "filled", "side": "sell", "quantity": "10", "price": "99.5", "fee": "0.2", "order_id": "o-1",
    }  # fmt: skip
    assert "about" not in second
    assert second["verdict"] == {"action": "none", "reason": "filled sell 10 at 90: no decision, stop_hit"}
    assert (await verify_log(Log(redis))).fault is None


@pytest.mark.parametrize(("status", "told"), [("filled", "hold"), ("rejected", "exit")])
async def test_an_exit_is_ordered_again_at_once_only_if_nothing_came_of_the_first(
    valkey: Redis, valkey_url: str, tmp_path: Path, status: str, told: str
) -> None:
    await valkey.mset(live("AAPL", price=89.5))
    policy = GuardPolicy(mandate=Mandate(account=Limits(ack_timeout_s=600)))
    service = serving(valkey, valkey_url, tmp_path, ByRules(), policy=policy)
    async with service as running, open_client(valkey_url) as client:
        first = await client.decide("AAPL", timeout_s=30)
        await client.report_effect(effect(1, address=first.address, status=status))
        await until(lambda: [each for each in running.entries if each.said])
        second = await client.decide("AAPL", timeout_s=30)
    assert first.decision is not None
    assert second.decision is not None
    assert (first.decision.action, second.decision.action) == ("exit", told)
    assert second.decision.repeat_of == (first.address if told == "hold" else None)


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        ("price", b'{"id":"x","symbol":"AAPL","status":"filled","at":"%s","side":"sell","quantity":1,"price":"9"}'),
        ("status", b'{"id":"x","symbol":"AAPL","status":"done","at":"%s"}'),
        ("effect", b'{"id":"x"' + b" " * 20_000),
        ("effect", b'{"id":"x","id":"y","symbol":"AAPL","status":"accepted","at":"%s"}'),
        ("effect", b'{"id":"\\ud800","symbol":"AAPL","status":"accepted","at":"%s"}'),
        ("id", b'{"id":"' + b"x" * 201 + b'","symbol":"AAPL","status":"accepted","at":"%s"}'),
        ("symbol", b'{"id":"x","symbol":"{AAPL}","status":"accepted","at":"%s"}'),
        ("address", b'{"id":"x","symbol":"AAPL","status":"accepted","at":"%s","address":"7777"}'),
        ("address", b'{"id":"x","symbol":"AAPL","status":"accepted","at":"%s","address":"' + b"9" * 9000 + b'"}'),
        ("address", b'{"id":"x","symbol":"MSFT","status":"accepted","at":"%s","address":"1"}'),
    ],
)
async def test_a_malformed_effect_is_an_incident_that_names_the_field(
    valkey: Redis, valkey_url: str, tmp_path: Path, field: str, raw: bytes
) -> None:
    await hold(valkey, "AAPL")
    async with serving(valkey, valkey_url, tmp_path, ByRules()), open_client(valkey_url) as client:
        await client.decide("AAPL", timeout_s=30)
        await valkey.xadd(keys.effects(0), {"effect": raw.replace(b"%s", NOW.encode())})
        await until(lambda: all_read(valkey))
    (incident,) = await recorded(valkey, "incident")
    found = incident["incident"]
    assert isinstance(found, dict)
    assert (found["what"], found["field"]) == ("effect", field)
    assert len(str(found["said"])) <= 1000
    assert len(str(incident["verdict"])) < 1000
    assert (await verify_log(Log(valkey))).fault is None


async def test_another_effect_under_a_known_id_is_an_incident(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    async with serving(valkey, valkey_url, tmp_path, ByRules()), open_client(valkey_url) as client:
        await client.report_effect(effect(1))
        await until(lambda: recorded(valkey))
        await client.report_effect(effect(1, price=1))
        await until(lambda: recorded(valkey, "incident"))
    (incident,) = await recorded(valkey, "incident")
    assert "says something else" in str(incident["verdict"])


@pytest.mark.parametrize("planted", ["0", "7777", "x"])
async def test_an_id_that_somebody_else_wrote_to_the_map_keeps_no_effect_out(
    valkey: Redis, valkey_url: str, tmp_path: Path, planted: str
) -> None:
    async with serving(valkey, valkey_url, tmp_path, ByRules()), open_client(valkey_url) as client:
        await until(lambda: leaves(valkey))
        await valkey.hset("audit:{0}:effects", "fill-1", planted)
        await client.report_effect(effect(1))
        await until(lambda: recorded(valkey))
    assert (await verify_log(Log(valkey))).fault is None


@pytest.mark.usefixtures("short_pauses")
async def test_a_forged_effect_leaves_nothing_in_the_map(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    async with serving(valkey, valkey_url, tmp_path, ByRules()), open_client(valkey_url) as client:
        await client.report_effect(effect(1))
        await until(lambda: recorded(valkey))
        index, (genuine,) = await Log(valkey).size(), await recorded(valkey)
        forged = stored(canonical.dumps(genuine | {"id": "forged"}), {}) | {PROOF: b"x" * 68}
        await valkey.xadd("audit:{0}:log", forged, id=f"{index}-1")  # type: ignore[arg-type]
        await valkey.hset("audit:{0}:effects", "forged", index)
        await until(lambda: recorded(valkey, "incident"))
        await client.report_effect(effect(2))
        await until(lambda: all_read(valkey))
    assert [leaf["id"] for leaf in await recorded(valkey)] == ["fill-1", "fill-2"]
    assert (await verify_log(Log(valkey))).fault is None


async def test_effects_of_one_symbol_stand_in_the_order_in_which_they_were_reported(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    async with serving(valkey, valkey_url, tmp_path, ByRules()), open_client(valkey_url) as client:
        await until(lambda: leaves(valkey))
        for number in range(40):
            await client.report_effect(effect(number, symbol="AAPL"))
            await client.report_effect(effect(number, id=f"other-{number}", symbol="MSFT"))
    found = [str(leaf["id"]) for leaf in await recorded(valkey)]
    for name in ("fill", "other"):
        assert [each for each in found if each.startswith(name)] == [f"{name}-{n}" for n in range(40)]


def test_a_fill_needs_side_quantity_and_price() -> None:
    for name in ("side", "quantity", "price"):
        with pytest.raises(ValidationError, match=f"{name}: a fill needs it"):
            effect(1, **{name: None})
    assert effect(1, status="accepted", side=None, quantity=None, price=None).status == "accepted"
