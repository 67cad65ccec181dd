"""Functions that somebody else loads in place of ours are found and deleted, and do not read for the next decision."""

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.context import reader
from llmctx.context.read_rules import ReadRules
from llmctx.functions import execute, foreign_libraries, restore_libraries
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from tests.integration.conftest import ByRules, hold, live, serving
from tests.integration.program import until

NAME = reader._JOIN.name


async def code_of(redis: Redis, library: str) -> bytes:
    (found,) = await execute(redis, "FUNCTION", "LIST", "LIBRARYNAME", library, "WITHCODE")
    code = found[found.index(b"library_code") + 1]
    assert isinstance(code, bytes)
    return code


async def lie(redis: Redis) -> None:
    """Our join, with another price in it."""
    false = live("AAPL", price=55.5)["stocks:price:AAPL"]
    code = (await code_of(redis, NAME)).decode()
    changed = code.replace("  return answer", f"  answer[3] = '{false}'\n  return answer")
    assert changed != code
    await execute(redis, "FUNCTION", "LOAD", "REPLACE", changed)


async def under_another_name(redis: Redis) -> None:
    """Another library that has our function."""
    code = (await code_of(redis, NAME)).decode()
    await execute(redis, "FUNCTION", "DELETE", NAME)
    await execute(redis, "FUNCTION", "LOAD", code.replace(f"#!lua name={NAME}", "#!lua name=helpful", 1))


async def loaded(redis: Redis) -> None:
    await hold(redis, "AAPL")
    await reader.read_snapshot(redis, "AAPL", 0, ReadRules())


@pytest.mark.parametrize("act", [lie, under_another_name])
async def test_a_function_in_another_source_is_found_and_deleted(redis: Redis, act: object) -> None:
    await loaded(redis)
    assert await foreign_libraries(redis) == []
    await act(redis)  # type: ignore[operator]
    name = NAME if act is lie else "helpful"
    assert await foreign_libraries(redis) == [name]
    assert await restore_libraries(redis) == [name]
    snapshot = await reader.read_snapshot(redis, "AAPL", 0, ReadRules())
    assert json.loads(snapshot.sections["price"].raw or b"")["price"]["last"] == 100.0
    assert await foreign_libraries(redis) == []


async def test_functions_of_others_are_left_alone(redis: Redis) -> None:
    await loaded(redis)
    other = "#!lua name=other\nredis.register_function('theirs', function() return 1 end)"
    await execute(redis, "FUNCTION", "LOAD", other)
    assert await restore_libraries(redis) == []
    assert await execute(redis, "FCALL", "theirs", 0) == 1


async def test_an_owner_replaces_them_at_the_start(
    redis: Redis, redis_url: str, tmp_path: Path, logged: list[str]
) -> None:
    await loaded(redis)
    await lie(redis)
    instance, _ = await bind_instance(redis, tmp_path)
    async with Owner(TrailHome(redis, redis_url, instance, tmp_path)) as owner:
        assert await foreign_libraries(redis) == []
        assert await owner.log.repairs() == {"functions": 1}
    assert [message for message in logged if NAME in message and "not ours" in message]


async def test_an_owner_replaces_them_while_it_serves(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.decide(redis, "one", "AAPL")
        await lie(redis)

        async def is_replaced() -> bool:
            return await Log(redis).repairs() == {"functions": 1}

        await until(is_replaced)
        await running.decide(redis, "two", "AAPL")
    prices = [json.loads(entry.pieces["snapshot"])["sections"]["price"] for entry in running.entries if entry.ticks]
    assert [json.loads(price)["price"]["last"] for price in prices] == [100.0, 100.0]
    await running.until_trouble("not ours")
