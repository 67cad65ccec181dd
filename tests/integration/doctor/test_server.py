"""The doctor finds what is wrong with a server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.functions import execute
from llmctx.ops.doctor.subject import Places
from llmctx.schema.mapping.rule import SectionRule
from llmctx.schema.mapping.sections import Sections
from llmctx.trail.log import log
from tests.integration.conftest import hold
from tests.integration.doctor.conftest import Configure, examined, record


async def test_a_server_with_our_settings_is_green(redis: Redis, redis_url: str, places: Places) -> None:
    await redis.set("x", 1)
    found = await examined(redis_url, places)
    sound = [
        "server", "role", "exposure", "connections", "persistence", "eviction", "memory", "evictions", "clock_skew",
    ]  # fmt: skip
    sound += [
        f"config {name}"
        for name in ["maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "bind", "protected-mode"]
    ]
    assert {name: found[name].level for name in sound} == dict.fromkeys(sound, "green")
    assert found["instance"].level == "amber"  # there is no trail
    assert "leases" not in found


@pytest.mark.parametrize(
    ("setting", "value", "check", "level"),
    [
        ("maxmemory-policy", "allkeys-lru", "eviction", "red"),
        ("maxmemory-policy", "noeviction", "eviction", "amber"),
        ("maxmemory", "0", "memory", "red"),
        ("appendonly", "no", "persistence", "red"),
        ("appendfsync", "no", "config appendfsync", "amber"),
        ("protected-mode", "no", "config protected-mode", "amber"),
        ("bind", "127.0.0.1 ::1", "config bind", "amber"),
    ],
)
async def test_a_setting_that_differs_is_found(
    redis_url: str, configure: Configure, places: Places, setting: str, value: str, check: str, level: str
) -> None:
    await configure(setting, value)
    found = await examined(redis_url, places)
    assert found[check].level == level
    assert found[f"config {setting}"].level == "amber"


async def test_a_redis_conf_of_ones_own_says_what_should_be(
    redis_url: str, configure: Configure, places: Places, tmp_path: Path
) -> None:
    await configure("maxmemory", str(3 * 1024**3))
    (tmp_path / "own.conf").write_text("# ours\nmaxmemory 3gb\nport 1\nhz 77\n")
    found = await examined(redis_url, places._replace(redis_conf=tmp_path / "own.conf"))
    assert found["config maxmemory"].level == "green"
    assert (found["config hz"].level, found["config hz"].what) == ("amber", "10, but own.conf says 77")
    assert "config port" not in found


async def test_a_server_open_to_everybody_is_found(redis_url: str, configure: Configure, places: Places) -> None:
    await configure("bind", "0.0.0.0")
    assert (await examined(redis_url, places))["exposure"].level == "amber"
    await configure("protected-mode", "no")
    assert (await examined(redis_url, places))["exposure"].level == "red"


async def test_where_config_is_forbidden_nothing_is_called_green(redis: Redis, redis_url: str, places: Places) -> None:
    await redis.acl_setuser("limited", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"], commands=["+@all", "-config"])  # fmt: skip
    try:
        found = await examined(redis_url.replace("//", "//limited:pw@"), places)
    finally:
        await redis.acl_deluser("limited")
    asked = [finding for name, finding in found.items() if name.startswith("config ") or name == "exposure"]
    assert len(asked) == 7
    assert all(finding.level == "amber" and finding.what.startswith("unknown: ") for finding in asked)
    assert found["persistence"].level == "green"  # INFO tells it


async def test_a_replica_is_found(redis: Redis, redis_url: str, places: Places) -> None:
    await execute(redis, "REPLICAOF", "127.0.0.1", "1")
    try:
        assert (await examined(redis_url, places))["role"].level == "red"
    finally:
        await execute(redis, "REPLICAOF", "NO", "ONE")


async def test_a_primary_that_lacks_replicas_is_found(redis_url: str, configure: Configure, places: Places) -> None:
    await configure("min-replicas-to-write", "1")
    assert (await examined(redis_url, places))["role"].level == "red"


async def test_too_few_connections_are_found(
    redis: Redis, redis_url: str, configure: Configure, places: Places
) -> None:
    others = [await asyncio.open_connection("127.0.0.1", _port(redis_url)) for _ in range(30)]
    used = (await redis.info("clients"))["connected_clients"]
    await configure("maxclients", str(used + 5))
    assert (await examined(redis_url, places))["connections"].level == "amber"
    for _, writer in others:
        writer.close()


async def test_positions_that_expire_and_live_keys_that_do_not_are_found(
    redis: Redis, redis_url: str, places: Places
) -> None:
    await hold(redis, "AAPL")
    found = await examined(redis_url, places)
    assert (found["lifetimes"].level, found["live_values"].level) == ("amber", "green")
    await redis.expire("positions:active:AAPL", 1000)
    await redis.set("stocks:price:AAPL", "{}", ex=1000)
    found = await examined(redis_url, places)
    assert (found["lifetimes"].level, found["live_values"].level) == ("red", "amber")


async def test_of_keys_of_ones_own_only_positions_that_expire_are_found(
    redis: Redis, redis_url: str, places: Places
) -> None:
    mapped = {"position": SectionRule(key="bot:{symbol}"), "price": SectionRule(key="px:{symbol_lower}")}
    places = places._replace(sections=Sections(mapped))
    await redis.mset({"bot:AAPL": "x", "px:aapl": "1", "stocks:price:AAPL": "x"})
    found = await examined(redis_url, places)
    assert (found["lifetimes"].level, found["live_values"].level) == ("green", "amber")
    assert "2 are malformed" in found["live_values"].what
    await redis.expire("bot:AAPL", 1000)
    found = await examined(redis_url, places)
    assert (found["lifetimes"].level, "bot:AAPL" in found["lifetimes"].what) == ("red", True)


async def test_a_server_that_was_full_before_a_worker_came_is_full(
    redis: Redis, redis_url: str, configure: Configure, places: Places
) -> None:
    await execute(redis, "FUNCTION", "FLUSH")
    await configure("maxmemory", "100kb")
    assert (await examined(redis_url, places))["memory"].level == "red"


async def test_full_memory_and_evictions_are_found(
    redis: Redis, redis_url: str, configure: Configure, places: Places
) -> None:
    await record(redis, places.state_dir)
    await redis.mset({f"stocks:price:{number}": "x" * 1000 for number in range(500)})
    for number in range(500):
        await redis.expire(f"stocks:price:{number}", 1000)
    used = (await redis.info("memory"))["used_memory"]
    await configure("maxmemory", str(used - 200_000))
    await redis.set("one", "more", ex=1000)
    found = await examined(redis_url, places)
    assert found["memory"].level == "red"
    assert found["evictions"].level == "amber"


async def test_a_command_that_held_the_server_up_is_found(
    redis: Redis, redis_url: str, configure: Configure, places: Places
) -> None:
    await configure("slowlog-log-slower-than", "10000")
    await redis.eval("for i = 1, 30000000 do end", 0)
    stalls = (await examined(redis_url, places))["stalls"]
    assert (stalls.level, "EVAL took" in stalls.what.upper().replace("TOOK", "took")) == ("amber", True)
    await redis.slowlog_reset()
    await configure("slowlog-log-slower-than", "-1")
    assert (await examined(redis_url, places))["stalls"].what == "unknown: the slow log is off"


async def test_missing_keys_are_found(redis: Redis, redis_url: str, configure: Configure, places: Places) -> None:
    await configure("hz", "20")  # the statistics are reset at the end
    await redis.config_resetstat()
    await redis.mget([f"stocks:price:{number}" for number in range(2000)])
    assert (await examined(redis_url, places))["hits"].level == "amber"


async def test_functions_that_are_not_ours_are_found(redis: Redis, redis_url: str, places: Places) -> None:
    name = log._APPEND.name
    false = f"#!lua name={name}\nredis.register_function('{name}', function() return 'x' end)"
    await execute(redis, "FUNCTION", "LOAD", false)
    found = await examined(redis_url, places)
    assert (found["functions"].level, name in found["functions"].what) == ("red", True)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].removesuffix("/0"))


@asynccontextmanager
async def ahead(port: int, seconds: int) -> AsyncIterator[int]:
    """The port of a proxy in front of a server, whose replies to TIME are ahead of the server's clock."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        while command := await reader.read(65536):
            back.write(command)
            reply = await there.read(2**20)
            if command == b"*1\r\n$4\r\nTIME\r\n":
                words = reply.split(b"\r\n")
                words[2] = str(int(words[2]) + seconds).encode()
                reply = b"\r\n".join(words)
            writer.write(reply)
        back.close()
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_clocks_that_are_apart_are_found(valkey: Redis, valkey_url: str, places: Places) -> None:
    assert await valkey.dbsize() == 0
    async with ahead(_port(valkey_url), 3) as port:
        skew = (await examined(f"redis://127.0.0.1:{port}/0", places))["clock_skew"]
    assert (skew.level, skew.what.startswith(("29", "30"))) == ("red", True)
