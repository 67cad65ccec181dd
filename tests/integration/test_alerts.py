"""`llmctx run`, `backup` and `alerts --test` tell a real HTTP receiver, and no secret with it."""

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.functions import execute
from llmctx.llm.standin import Standin
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from tests.integration.conftest import hold, live, raise_tick
from tests.integration.program import Program, until
from tests.unit.llm.wire import Answer, Wire

OK = Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
REFUSED = Answer(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
KEY = "sk-hunterTwo"


def alerted(wire: Wire) -> dict[str, dict[str, object]]:
    found = [json.loads(request.body) for request in wire.requests]
    return {alert["alert"]: alert for alert in found}


def told_by(program: Program, wire: Wire) -> Program:
    program.environment |= {"LLMCTX_ALERTS__WEBHOOK": f"{wire.base_url}/hook?token=hunterTwo"}
    return program


@pytest.mark.more
async def test_a_service_tells_of_failing_calls_a_doubtful_stop_and_a_foreign_entry(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    symbols = [f"S{number}" for number in range(5)]
    await hold(valkey, *symbols)
    await valkey.mset(live("AAPL", price=1.0, stop_loss=90.0))
    async with Wire(OK) as hook, Wire(REFUSED) as endpoint:
        program = told_by(Program(valkey_url, tmp_path, endpoint.base_url), hook)
        program.environment["LLMCTX_LLM__API_KEY"] = KEY
        async with program.running(valkey) as process:
            for symbol in [*symbols, "AAPL"]:
                await raise_tick(valkey, f"t-{symbol}", symbol)
            await until(lambda: {"model_failures", "unconfirmed_stop"} <= alerted(hook).keys())
            await valkey.xadd(Log(valkey).key("log"), {"record": "x"}, id="999-1")
            await raise_tick(valkey, "last", "S0")
            await until(lambda: "foreign" in alerted(hook))
            assert (await program.stop(process)).code == 0
        found = alerted(hook)
    assert found["unconfirmed_stop"]["subject"] == "AAPL"
    assert "5 of" in str(found["model_failures"]["text"])
    assert not [request for request in hook.requests if b"hunterTwo" in request.body]


@pytest.mark.more
async def test_a_halt_is_told_whoever_made_it(valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin) -> None:
    await hold(valkey, "AAPL", "MSFT")
    async with Wire(OK) as hook:
        program = told_by(Program(valkey_url, tmp_path, standin.base_url), hook)

        def told_of(subject: str) -> str:
            found = [json.loads(request.body) for request in hook.requests]
            return next((one["text"] for one in found if (one["alert"], one["subject"]) == ("halt", subject)), "")

        async with program.running(valkey) as process:
            await program("halt", "--by", "R. Ohm", "--why", "old prices")
            await until(lambda: told_of("all"))
            await valkey.hset(keys.halt("MSFT"), "no", "string")
            await until(lambda: told_of("MSFT"))
            await valkey.delete(keys.halt(), keys.halt("MSFT"))
            state = json.loads(live("AAPL")["system:state"]) | {"state": "stopped"}
            await valkey.set("system:state", json.dumps(state))
            await raise_tick(valkey, "one", "AAPL")
            await until(lambda: told_of("system"))
            assert (await program.stop(process)).code == 0
        assert "R. Ohm" in told_of("all")
        assert "says 'stopped'" in told_of("system")


async def test_a_failed_backup_is_told(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    assert await valkey.dbsize() == 0
    async with Wire(OK) as hook:
        program = told_by(Program(valkey_url, tmp_path), hook)
        assert (await program("backup")).code == 3
        await bind_instance(valkey, tmp_path / "var")
        (tmp_path / "file").touch()
        assert (await program("backup", "--to", "file")).code == 2
    first, second = (str(json.loads(request.body)["text"]) for request in hook.requests)
    assert "no trail yet" in first
    assert second.startswith("The backup failed: ")


async def test_the_test_alert_arrives_or_says_why_not(valkey_url: str, tmp_path: Path) -> None:
    program = Program(valkey_url, tmp_path)
    assert (await program("alerts", "--test")).code == 2
    async with Wire(OK, REFUSED) as hook:
        told_by(program, hook)
        assert (await program("alerts", "--test")).code == 0
        refused = await program("alerts", "--test")
        assert (await program("alerts", "--json")).document["receiver"] == "webhook"
    assert refused.code == 1
    assert "the webhook answered 401" in refused.err
    assert "hunterTwo" not in refused.err
    assert alerted(hook)["test"]["alert"] == "test"


@pytest.mark.more
async def test_a_dead_receiver_neither_slows_nor_stops_the_service(
    valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    await hold(valkey, "AAPL")
    async with Wire(Answer(b"", then="hang")) as hook:
        program = told_by(Program(valkey_url, tmp_path, standin.base_url), hook)
        async with program.running(valkey) as process:
            await execute(valkey, "FUNCTION", "FLUSH")
            await valkey.hset(Log(valkey).key("ticks"), "planted", "0")
            for number in range(30):
                await raise_tick(valkey, f"t{number}" if number else "planted", "AAPL")
            await until(lambda: _settled(valkey, "t29"))
            assert (await program.stop(process)).code == 0


async def _settled(redis: Redis, tick: str) -> bool:
    return (await Log(redis).settled([tick]))[0] is not None
