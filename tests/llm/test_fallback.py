"""Several endpoints from the command line, over real HTTP: who answered, and who was tried in vain."""

import json
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.cli.shared.endpoints import completer_of
from llmctx.decision.decision import OUTPUT
from llmctx.errors import EndpointError
from llmctx.llm.endpoint_settings import LLMSettings
from llmctx.llm.standin import MODEL, Standin
from llmctx.settings import Settings
from tests.conftest import free_port
from tests.integration.conftest import hold, raise_tick
from tests.integration.program import Program, until
from tests.llm.shapes.server import ShapeServer
from tests.unit.llm.calls import PROMPT
from tests.unit.llm.wire import Answer, Wire, response
from tests.unit.makers import body


def program_with(url: str, folder: Path, *endpoints: dict[str, Any], **llm: Any) -> Program:
    """The program with these endpoints, in order, in its llmctx.toml."""
    lines = ["[llm]", *(f"{name} = {json.dumps(value)}" for name, value in llm.items())]
    for endpoint in endpoints:
        fields = {"model": MODEL} | endpoint
        lines += ["[[llm.endpoints]]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    (folder / "llmctx.toml").write_text("\n".join(lines))
    return Program(url, folder)


async def decide(program: Program) -> dict[str, Any]:
    ended = await program("decide", "AAPL", "--json")
    document: dict[str, Any] = ended.document
    return document


@pytest.mark.parametrize(
    ("shape", "outcome"), [("wrong-key", "rejected"), ("silence", "timeout"), ("html", "unreadable")]
)
async def test_the_fallback_decides_where_the_primary_does_not_and_the_record_proves_both(
    shape: str, outcome: str, valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    await hold(valkey, "AAPL")
    async with ShapeServer() as server:
        primary = {"name": "primary", "base_url": server.url_of(shape), "timeout_s": 0.5}
        program = program_with(valkey_url, tmp_path, primary, {"name": "fallback", "base_url": standin.base_url})
        record = await decide(program)
        assert (record["kind"], record["completion"]["endpoint"]) == ("decision", "fallback")
        (tried,) = record["completion"]["tried"]
        assert (tried["endpoint"], tried["outcome"], tried["url"]) == ("primary", outcome, server.url_of(shape) + "/")
        assert record["request"]["endpoint"] == f"{standin.base_url}/"
        shown = (await program("show", "1", "--full")).out
        assert "fallback" in shown
        assert f"primary ({MODEL} at {server.url_of(shape)}/) {outcome}: " in shown
        assert f"; attempts: {tried['attempts'][0]['result']} ({tried['attempts'][0]['duration_ms']} ms" in shown
        assert f"in vain      primary {outcome}" in (await program("show", "1")).out
        verified = await program("verify", "--strict")
        assert verified.code == 0, verified.out + verified.err
        replayed = await program("replay")
        assert replayed.code == 0, replayed.out + replayed.err


async def test_a_primary_that_asks_to_wait_long_is_not_waited_for(
    valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    await hold(valkey, "AAPL")
    busy = Answer(response(b'{"error": {"message": "slow down"}}', "429 Too Many Requests", "retry-after: 600"))
    async with Wire(busy) as wire:
        primary = {"name": "primary", "base_url": wire.base_url}
        program = program_with(valkey_url, tmp_path, primary, {"name": "fallback", "base_url": standin.base_url})
        record = await decide(program)
        assert (record["completion"]["endpoint"], len(wire.requests)) == ("fallback", 1)
    assert record["completion"]["tried"][0]["detail"].startswith("http 429: slow down (1 attempt within 30")
    assert float(record["timings_ms"]["complete"]) < 5000


async def test_a_late_answer_is_hedged_as_the_settings_say(standin: Standin) -> None:
    quick = [Answer(response(body()))] * 20
    async with Wire(*quick, Answer(b"", "hang")) as wire:
        endpoints = [
            {"name": "primary", "base_url": wire.base_url, "model": MODEL},
            {"name": "second", "base_url": standin.base_url, "model": MODEL},
        ]
        llm = LLMSettings.model_validate({"endpoints": endpoints, "hedge_percentile": 95})
        completer = completer_of(Settings(llm=llm))
        completions = [await completer.complete(PROMPT, OUTPUT) for _ in range(21)]
        await completer.aclose()
    assert [completion.endpoint for completion in completions] == ["primary"] * 20 + ["second"]
    (tried,) = completions[-1].tried
    assert (tried.endpoint, tried.outcome, tried.attempts[0].result) == ("primary", "cancelled", "cancelled")


def test_an_endpoint_that_leads_nowhere_is_refused_at_the_start() -> None:
    llm = LLMSettings.model_validate({"endpoints": [{"name": "one", "model": "m"}]})
    with pytest.raises(EndpointError, match="The endpoint one has no base_url and no key"):
        completer_of(Settings(llm=llm))


async def test_a_misfit_stays_with_the_endpoint_that_gave_it(
    valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    await hold(valkey, "AAPL")
    async with ShapeServer() as server:
        primary = {"name": "primary", "base_url": server.url_of("upper-case")}
        program = program_with(valkey_url, tmp_path, primary, {"name": "fallback", "base_url": standin.base_url})
        record = await decide(program)
    assert (record["kind"], record["completion"]["endpoint"]) == ("failed", "primary")
    assert record["reasked"]["completion"]["endpoint"] == "primary"
    assert "tried" not in record["completion"]


async def test_a_service_leaves_a_dead_primary_alone_after_some_failures(
    valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    symbols = [f"S{number}" for number in range(6)]
    await hold(valkey, *symbols)
    dead = {"name": "primary", "base_url": f"http://127.0.0.1:{free_port()}/v1", "breaker_failures": 3}
    program = program_with(valkey_url, tmp_path, dead, {"name": "fallback", "base_url": standin.base_url})
    program.environment["LLMCTX_CONCURRENCY"] = "1"
    async with program.running(valkey, "--json") as process:
        for symbol in symbols:
            await raise_tick(valkey, symbol, symbol)

        async def all_settled() -> bool:
            return int(await valkey.hlen("audit:{0}:ticks")) == len(symbols)

        await until(all_settled)
        ended = await program.stop(process)
    calls = [record["completion"] for record in ended.lines if "completion" in record]
    assert [call["endpoint"] for call in calls] == ["fallback"] * 6
    assert [call["tried"][0]["outcome"] for call in calls] == ["unreachable"] * 3 + ["skipped"] * 3


async def test_where_nobody_answers_the_guardrails_decide_and_the_reason_names_everybody(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    dead = [{"name": name, "base_url": f"http://127.0.0.1:{free_port()}/v1"} for name in ("one", "two")]
    program = program_with(valkey_url, tmp_path, *dead)
    record = await decide(program)
    assert (record["kind"], record["verdict"]["action"], record["completion"]["endpoint"]) == ("failed", "hold", "two")
    assert [tried["endpoint"] for tried in record["completion"]["tried"]] == ["one"]
    assert (await program("verify", "--strict")).code == 0


async def test_a_command_line_names_one_of_them_or_another_endpoint(
    valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    await hold(valkey, "AAPL")
    endpoints = [
        {"name": "primary", "base_url": f"http://127.0.0.1:{free_port()}/v1"},
        {"name": "second", "base_url": standin.base_url},
    ]
    program = program_with(valkey_url, tmp_path, *endpoints)
    for named in (("second",), (standin.base_url, "--model", MODEL)):
        ended = await program("decide", "AAPL", "--json", "--endpoint", *named)
        assert ended.document["kind"] == "decision", ended.err
        assert "endpoint" not in ended.document["completion"]
    shown = await program("models", "--json")
    assert [one["endpoint"] for one in shown.document] == ["primary", "second"]
    wrong = await program_with(valkey_url, tmp_path, *endpoints, base_url="http://h.test/v1")("models")
    assert wrong.code == 2
    assert "base_url belongs into each of the endpoints" in wrong.err
