"""Halt and resume, as an operator does it: obeyed from the next tick on, recorded by whoever owns the partition."""

from typing import Any

from redis.asyncio import Redis

from llmctx.schema import keys
from tests.integration.conftest import hold, leaves, live, person
from tests.integration.program import Program

BY = ("--by", "R. Ohm", "--why", "old prices")


async def test_a_halt_is_obeyed_from_the_next_tick_on_and_recorded_with_its_end(
    program: Program, valkey: Redis
) -> None:
    await hold(valkey, "AAPL")
    assert "completion" in (await program("decide", "AAPL", "--json")).document
    halted = await program("halt", *BY, "--json")
    assert (halted.code, halted.document["halted"]) == (0, ["all"])
    record = (await program("decide", "AAPL", "--json")).document
    assert (record["kind"], record["verdict"]["action"], "completion" in record) == ("skipped", "hold", False)
    assert [guard["name"] for guard in record["verdict"]["guards"]] == ["halted"]
    ohm = await person(valkey, "R. Ohm")
    assert ohm in record["verdict"]["reason"]
    await valkey.mset(live("AAPL", price=89.0))
    breached = (await program("decide", "AAPL", "--json")).document
    assert (breached["verdict"]["action"], "completion" in breached) == ("exit", False)
    assert "halted" in (await program("status")).out

    resumed = await program("resume", *BY, "--json")
    assert resumed.document["halted"] == []
    await hold(valkey, "AAPL")
    assert "completion" in (await program("decide", "AAPL", "--json")).document
    said: list[Any] = [leaf["control"] for leaf in await leaves(valkey) if "control" in leaf]
    assert [(one["act"], one["by"], one["why"]) for one in said] == [
        ("halt", ohm, "old prices"),
        ("resume", ohm, "old prices"),
    ]
    assert (await program("verify", "--strict")).code == 0


async def test_the_owner_of_the_symbols_partition_records_a_halt_once(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL", "MSFT")
    async with program.running(valkey) as process:
        halted = await program("halt", "AAPL", *BY, "--json")
        assert (halted.code, halted.document["halted"]) == (0, ["AAPL"])
        assert await valkey.xlen(keys.ticks(0)) == 0
        assert (await program("decide", "AAPL", "--json")).document["kind"] == "skipped"
        assert (await program("decide", "MSFT", "--json")).document["kind"] == "decision"
        assert (await program.stop(process)).code == 0
    found: list[Any] = [leaf for leaf in await leaves(valkey) if "control" in leaf]
    assert [(leaf["symbol"], leaf["control"]["act"]) for leaf in found] == [("AAPL", "halt")]


async def test_whatever_the_key_holds_it_halts(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    await valkey.hset(keys.halt("AAPL"), "not", "a string")
    record = (await program("decide", "AAPL", "--json")).document
    assert (record["kind"], record["verdict"]["action"]) == ("skipped", "hold")
    assert "is a hash" in record["verdict"]["reason"]
