"""Functions inside the server are loaded when they are needed, and again when they are lost."""

from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from llmctx.functions import ServerFunction, execute


@pytest.fixture
def echo(tmp_path: Path) -> ServerFunction:
    file = tmp_path / "echo.lua"
    file.write_text("local function run(keys, args) return {keys[1], args[1]} end", encoding="utf-8")
    return ServerFunction(file)


@pytest.fixture
def writer(tmp_path: Path) -> Path:
    file = tmp_path / "writer.lua"
    file.write_text("local function run(keys, args) return redis.call('INCR', keys[1]) end", encoding="utf-8")
    return file


async def calls_of(redis: Redis, command: str) -> int:
    stats = await redis.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


async def test_a_function_is_loaded_by_its_first_call(redis: Redis, echo: ServerFunction) -> None:
    assert await echo(redis, ["key"], ["value"]) == [b"key", b"value"]


async def test_a_lost_function_is_loaded_again(redis: Redis, echo: ServerFunction) -> None:
    await echo(redis, ["key"], ["value"])
    await redis.function_flush()
    assert await echo(redis, ["key"], ["value"]) == [b"key", b"value"]


async def test_a_function_is_loaded_only_once(redis: Redis, echo: ServerFunction) -> None:
    await execute(redis, "CONFIG", "RESETSTAT")
    for _ in range(3):
        await echo(redis, ["key"], ["value"])
    assert await calls_of(redis, "function|load") == 1


async def test_a_call_that_had_to_load_its_function_first_ran_once(redis: Redis, writer: Path) -> None:
    assert await ServerFunction(writer)(redis, ["counter"], []) == 1


async def test_a_read_only_function_runs_under_fcall_ro(redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "reader.lua").write_text("local function run(keys) return redis.call('GET', keys[1]) end")
    await redis.set("key", "value")
    await execute(redis, "CONFIG", "RESETSTAT")
    assert await ServerFunction(tmp_path / "reader.lua", read_only=True)(redis, ["key"], []) == b"value"
    assert (await calls_of(redis, "fcall_ro"), await calls_of(redis, "fcall")) == (2, 0)


async def test_a_read_only_function_cannot_write(redis: Redis, writer: Path) -> None:
    with pytest.raises(ResponseError, match="read-only"):
        await ServerFunction(writer, read_only=True)(redis, ["counter"], [])
    assert await redis.get("counter") is None


async def test_another_source_is_another_function(redis: Redis, tmp_path: Path) -> None:
    file = tmp_path / "same.lua"
    file.write_text("local function run() return 1 end")
    first = ServerFunction(file)
    file.write_text("local function run() return 2 end")
    second = ServerFunction(file)
    assert [await first(redis, [], []), await second(redis, [], []), await first(redis, [], [])] == [1, 2, 1]


async def test_a_functions_own_error_reaches_the_caller(redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "bad.lua").write_text("local function run() return redis.error_reply('LEASE held by nobody') end")
    with pytest.raises(ResponseError, match="LEASE held by nobody"):
        await ServerFunction(tmp_path / "bad.lua")(redis, [], [])
