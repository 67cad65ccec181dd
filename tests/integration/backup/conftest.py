"""Trails to back up, a server to restore into, and what is compared between the two."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.ops.server import EmbeddedServer
from tests.conftest import debian_redis
from tests.integration.conftest import ByRules, serving
from tests.integration.program import Ended, Program
from tests.integration.test_prove import proven, sign, trail  # noqa: F401  fixtures


async def keep(made: Program, *options: str) -> Ended:
    return await made("backup", "--to", "kept", "--json", *options)


async def record(redis: Redis, made: Program, *ticks: str) -> None:
    """More decisions, signed."""
    async with serving(redis, made.environment["LLMCTX_REDIS_URL"], made.folder / "var", ByRules()) as running:
        for tick in ticks:
            await running.decide(redis, tick, "AAPL")
    await sign(redis, made.folder / "var")


async def everything(redis: Redis) -> dict[bytes, Any]:
    """Every key's content, as the server writes it, apart from the lease and what counts reads."""
    names = [name async for name in redis.scan_iter()]
    return {name: await redis.dump(name) for name in names if not name.endswith((b":lease", b":durable"))}


@pytest.fixture
async def empty(redis_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[tuple[Redis, str]]:
    """Another server of the same kind, with nothing in it."""
    folder = tmp_path / "other"
    folder.mkdir()
    with EmbeddedServer(folder) if redis_url == valkey_url else debian_redis(folder) as server:
        url = server.url if isinstance(server, EmbeddedServer) else server
        client = connect(url)
        yield client, url
        await client.aclose()
