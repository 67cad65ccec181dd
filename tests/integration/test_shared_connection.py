"""Function calls share one connection: every caller gets its own reply, whatever happens to the others."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, ReadOnlyError, ResponseError, TimeoutError  # noqa: A004

from llmctx.connection import RedisClient, connect
from llmctx.connection.shared import MAX_BATCH
from llmctx.functions import ServerFunction, execute
from tests.conftest import free_port
from tests.faults.test_disk_and_wire import proxied

CALLS = 1000


@pytest.fixture
async def client(redis: Redis, redis_url: str) -> AsyncIterator[RedisClient]:
    """A client of ours for a server whose keys and functions are empty before the test."""
    assert await redis.dbsize() == 0
    made = connect(redis_url)
    yield made
    await made.aclose()


@pytest.fixture
def echo(tmp_path: Path) -> ServerFunction:
    file = tmp_path / "echo.lua"
    file.write_text("local function run(keys, args) return args[1] end", encoding="utf-8")
    return ServerFunction(file, read_only=True)


@pytest.fixture
def add(tmp_path: Path) -> ServerFunction:
    """Adds a member to a set: calling it again changes nothing, as with every function of ours that writes."""
    file = tmp_path / "add.lua"
    file.write_text("local function run(keys, args) redis.call('SADD', keys[1], args[1]) return args[1] end")
    return ServerFunction(file)


async def _connections_of(redis: Redis, command: str) -> set[str]:
    return {str(row["id"]) for row in await redis.client_list() if row["cmd"] == command}


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


async def test_a_thousand_calls_at_once_get_their_own_replies(client: RedisClient, echo: ServerFunction) -> None:
    answers = await asyncio.gather(*(echo(client, [], [str(number)]) for number in range(CALLS)))
    assert answers == [str(number).encode() for number in range(CALLS)]
    assert CALLS > MAX_BATCH


async def test_calls_share_one_connection(client: RedisClient, redis: Redis, echo: ServerFunction) -> None:
    await asyncio.gather(*(echo(client, [], [str(number)]) for number in range(100)))
    assert len(await _connections_of(redis, "fcall_ro")) == 1


async def test_a_cancelled_call_leaves_its_reply_to_nobody(client: RedisClient, echo: ServerFunction) -> None:
    await echo(client, [], ["loads the function"])
    calls = [asyncio.create_task(echo(client, [], [str(number)])) for number in range(CALLS)]
    for turn in range(CALLS // 2):
        if turn % 25 == 0:
            await asyncio.sleep(0)
        calls[turn * 2].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[1::2] == [str(number).encode() for number in range(1, CALLS, 2)]
    assert any(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    assert await echo(client, [], ["afterwards"]) == b"afterwards"


async def test_an_error_of_one_call_is_not_the_others(
    client: RedisClient, echo: ServerFunction, tmp_path: Path
) -> None:
    (tmp_path / "bad.lua").write_text("local function run() return redis.error_reply('LEASE held') end")
    bad = ServerFunction(tmp_path / "bad.lua")
    answers = await asyncio.gather(
        *(bad(client, [], []) if number % 3 == 0 else echo(client, [], [str(number)]) for number in range(30)),
        return_exceptions=True,
    )
    for number, answer in enumerate(answers):
        if number % 3 == 0:
            assert isinstance(answer, ResponseError)
        else:
            assert answer == str(number).encode()


async def test_lost_functions_are_loaded_again_for_every_call(
    client: RedisClient, redis: Redis, echo: ServerFunction
) -> None:
    await echo(client, [], ["first"])
    await redis.function_flush()
    answers = await asyncio.gather(*(echo(client, [], [str(number)]) for number in range(50)))
    assert answers == [str(number).encode() for number in range(50)]


async def test_a_connection_that_is_cut_is_made_again(redis: Redis, redis_url: str, add: ServerFunction) -> None:
    await add(redis, ["set"], ["loads the function"])
    async with proxied(_port_of(redis_url), b"FCALL", 3) as (proxy, client, _):
        for start in range(0, 200, 20):
            answers = await asyncio.gather(*(add(client, ["set"], [str(start + number)]) for number in range(20)))
            assert answers == [str(start + number).encode() for number in range(20)]
        assert proxy.lost > 0
        await client.aclose()
        await asyncio.sleep(0.1)  # the proxy sees it
    assert await redis.scard("set") == 201


async def test_a_killed_connection_is_made_again(client: RedisClient, redis: Redis, echo: ServerFunction) -> None:
    await echo(client, [], ["first"])
    (before,) = await _connections_of(redis, "fcall_ro")
    await redis.client_kill_filter(_id=before)
    assert await echo(client, [], ["second"]) == b"second"
    assert await _connections_of(redis, "fcall_ro") != {before}


async def test_without_retries_a_lost_reply_is_an_error(redis_url: str, redis: Redis, add: ServerFunction) -> None:
    await add(redis, ["set"], ["loads the function"])
    async with proxied(_port_of(redis_url), b"FCALL", 1) as (proxy, _, url):
        once = connect(url, retries=0)
        with pytest.raises(ConnectionError):
            await add(once, ["set"], ["sent once"])
        await once.aclose()
        assert proxy.lost == 1
    assert await redis.sismember("set", "sent once")


async def test_a_read_only_server_is_connected_anew(client: RedisClient, redis: Redis, add: ServerFunction) -> None:
    await add(client, ["set"], ["loads the function"])
    (before,) = await _connections_of(redis, "fcall")
    await execute(redis, "REPLICAOF", "127.0.0.1", free_port())
    try:
        with pytest.raises(ReadOnlyError):
            await add(client, ["set"], ["refused"])
    finally:
        await execute(redis, "REPLICAOF", "NO", "ONE")
    assert await add(client, ["set"], ["taken"]) == b"taken"
    assert before not in await _connections_of(redis, "fcall")


async def test_a_read_only_server_is_connected_anew_after_a_transaction(client: RedisClient, redis: Redis) -> None:
    before = await client.client_id()
    commands = client.pipeline(transaction=True)
    commands.set("key", "refused")
    await execute(redis, "REPLICAOF", "127.0.0.1", free_port())
    try:
        with pytest.raises(ReadOnlyError):
            await commands.execute()
    finally:
        await execute(redis, "REPLICAOF", "NO", "ONE")
    assert await client.client_id() != before


@pytest.mark.parametrize("command", [("SET", "key", "x"), ("FCALL", "f", 0)])
async def test_a_write_that_a_demoted_server_refused_goes_to_the_new_one(command: tuple[str | int, ...]) -> None:
    refused: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(65536):
            is_write = any(asked.endswith(f"{word}\r\n".encode()) for word in ("x", "0"))
            if is_write and not refused:  # as a proxy does that keeps connections to the old primary
                refused.append(asked)
                writer.write(b"-READONLY You can't write against a read only replica.\r\n")
            else:
                writer.write(b"+OK\r\n" * (asked.count(b"\r\n*") + 1))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    client = connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", retries=0)
    assert await client.execute_command(*command) in (True, b"OK")
    assert len(refused) == 1
    await client.aclose()
    server.close()


async def test_a_silent_server_is_a_timeout_for_every_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmctx.connection.client.SOCKET_TIMEOUT_S", 0.3)

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(65536):
            if b"FCALL" not in asked:
                writer.write(b"+OK\r\n" * asked.count(b"\r\n*"))
                writer.write(b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    client = connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", retries=0)
    answers = await asyncio.gather(
        *(client.execute_command("FCALL", "f", 0) for _ in range(10)), return_exceptions=True
    )
    await client.aclose()
    server.close()
    assert [type(answer) for answer in answers] == [TimeoutError] * 10


async def test_closing_ends_calls_in_flight(redis_url: str, redis: Redis, echo: ServerFunction) -> None:
    await echo(redis, [], ["loads the function"])
    client = connect(redis_url, retries=0)
    calls = [asyncio.create_task(echo(client, [], [str(number)])) for number in range(10)]
    await asyncio.sleep(0)
    await client.aclose()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, ConnectionError | bytes) for answer in answers)


async def test_no_server_is_a_connection_error() -> None:
    client = connect(f"redis://127.0.0.1:{free_port()}/0", retries=0)
    with pytest.raises(ConnectionError):
        await client.execute_command("FCALL", "f", 0)
    await client.aclose()
