"""An endpoint that fails on every call is reported as such, once and then rarely."""

import json
from pathlib import Path

from redis.asyncio import Redis

from llmctx.limits import MAX_BODY_BYTES
from tests.conftest import free_port
from tests.integration.conftest import hold, raise_tick
from tests.integration.program import Program, until
from tests.unit.llm.wire import Answer, Wire, response

BODY = json.dumps({"error": {"message": "This response_format type is unavailable now"}}).encode()
REJECTED = Answer(
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


async def settled(redis: Redis) -> int:
    return int(await redis.hlen("audit:{0}:ticks"))


async def test_failures_in_a_row_are_warned_of_at_5_and_10_of_17(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    symbols = [f"S{n}" for n in range(17)]
    await hold(valkey, *symbols)
    async with Wire(REJECTED) as wire:
        program = Program(valkey_url, tmp_path, wire.base_url)
        async with program.running(valkey) as process:
            for symbol in symbols:
                await raise_tick(valkey, symbol, symbol)

            async def all_settled() -> bool:
                return await settled(valkey) == len(symbols)

            await until(all_settled)
            ended = await program.stop(process)
    warnings = [line for line in ended.err.splitlines() if "calls failed" in line]
    assert [line.partition(" calls")[0] for line in warnings] == ["warning: 5 of 5", "warning: 10 of 10"]
    assert all("http 400" in line and "response_format type is unavailable" in line for line in warnings)


async def test_a_demo_on_a_dead_endpoint_says_that_nothing_answered(tmp_path: Path) -> None:
    program = Program("redis://127.0.0.1:1/0", tmp_path)
    ended = await program("demo", "--endpoint", f"http://127.0.0.1:{free_port()}/v1", "--model", "m")
    assert ended.code == 3
    assert "Nothing answered: all 2" in ended.err
    assert "what to do" in ended.err


ODD = {
    "larger than what is kept": b'{"choices": [%s]}' % (b"0," * MAX_BODY_BYTES),
    "null": b"null",
    "no choices": b'{"choices": null}',
    "a lone surrogate": b'{"choices": [{"message": {"role": "assistant", "content": "\\ud800"}}]}',
    "too deep": b"[" * 100_000,
    "nothing": b"",
}


async def test_the_record_of_any_odd_response_is_rebuilt_from_its_evidence(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, *(f"S{n}" for n in range(len(ODD))))
    for number, body in enumerate(ODD.values()):
        async with Wire(Answer(response(body))) as wire:
            program = Program(valkey_url, tmp_path, wire.base_url)
            ended = await program("decide", f"S{number}")
            assert ended.code == 1, ended.err
    verified = await program("verify")
    assert verified.code == 0, verified.out
    assert f"{len(ODD)} rebuilt whole" in verified.out
