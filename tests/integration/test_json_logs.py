"""Log records as JSON: one object a line, with the tick and the record that they are about."""

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx import log_context
from tests.integration.conftest import hold
from tests.integration.program import Program


def lines(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines()]


@pytest.mark.parametrize("how", ["option", "file"])
async def test_a_service_logs_each_record_with_its_tick_and_index(program: Program, valkey: Redis, how: str) -> None:
    await hold(valkey, "AAPL")
    options = ("--log-format", "json") if how == "option" else ()
    if how == "file":
        (program.folder / "llmctx.toml").write_text('log_format = "json"\n', encoding="utf-8")
    async with program.running(valkey, *options) as process:
        decided = (await program("decide", "AAPL", "--json")).document
        ended = await program.stop(process)
    found = lines(ended.err)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in found)
    (line,) = [line for line in found if line.get("kind") == "decision"]
    assert line["message"].startswith("decision AAPL hold: ")
    assert (line["tick"], line["index"]) == (decided["tick"], f"0:{decided['index']}")
    assert (line["level"], line["logger"], line["symbol"]) == ("info", "llmctx.cli.run.observers", "AAPL")
    assert any("Stopping" in line["message"] and line["logger"] == "llmctx.cli" for line in found)


async def test_what_happens_while_a_tick_is_settled_names_the_tick_and_its_record(
    program: Program, valkey: Redis
) -> None:
    await hold(valkey, "AAPL")
    async with program.running(valkey, "--log-format", "json") as process:
        await program("decide", "AAPL")  # the service is at work
        await valkey.set("decisions:{0}", "no stream")
        decided = (await program("decide", "AAPL", "--json")).document
        ended = await program.stop(process)
    line = next(line for line in lines(ended.err) if "held a value of another type" in line["message"])
    assert (line["level"], line["logger"]) == ("error", "llmctx.worker.publish")
    assert (line["tick"], line["symbol"], line["index"]) == (decided["tick"], "AAPL", f"0:{decided['index']}")


async def test_an_error_of_the_command_line_is_a_line_too(dumb: Program) -> None:
    dumb.environment["LLMCTX_LOG_FORMAT"] = "json"
    ended = await dumb("show", "zz")
    (line,) = lines(ended.err)
    assert (line["level"], bool(line["what_to_do"])) == ("error", True)


def test_fields_end_with_what_they_are_about() -> None:
    log_context.put(tick="t")
    with log_context.about(index="0:1"):
        assert log_context.current() == {"tick": "t", "index": "0:1"}
    assert log_context.current() == {"tick": "t"}
