"""A record is not durable, and so not published, before as many replicas have it as are asked for."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import Popen

import pytest

from llmctx.connection import connect
from llmctx.errors import TrailError
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.trail.log.replicas import Replicas
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from tests.conftest import SERVERS, binary_of, start_server
from tests.faults.conftest import Server
from tests.integration.conftest import draft
from tests.integration.program import until


@pytest.fixture
async def replica(server: Server, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Popen[bytes]]:
    """A replica of the server, in step with it."""
    (tmp_path / "replica").mkdir()
    kind = request.node.callspec.params["server"]
    options = ("--replicaof", "127.0.0.1", str(server.port))
    client = connect(server.url)
    await client.config_set("repl-diskless-sync-delay", 0)
    process, _ = start_server(binary_of(kind), tmp_path / "replica", *options)

    async def is_online() -> bool:
        return bool((await client.info("replication")).get("slave0", {}).get("state") == "online")

    await until(is_online)
    await client.aclose()
    yield process
    process.kill()
    process.wait(60)


async def test_what_the_replica_has_not_is_not_durable(
    server: Server, replica: Popen[bytes], tmp_path: Path, logged: list[str]
) -> None:
    redis = connect(server.url)
    instance, _ = await bind_instance(redis, tmp_path)
    async with Owner(TrailHome(redis, server.url, instance, tmp_path, replicas=1)) as owner:
        await owner.settle(draft("one"))
        durable = await Log(redis).durable()
        assert durable == await Log(redis).size()
        replica.send_signal(signal.SIGSTOP)
        settling = asyncio.create_task(owner.settle(draft("two")))
        await until(lambda: [line for line in logged if line.startswith("0 of 1 replicas have the newest records")])
        assert (await Log(redis).size(), await Log(redis).durable()) == (durable + 1, durable)
        assert not settling.done()
        replica.send_signal(signal.SIGCONT)
        await settling
        assert await Log(redis).durable() == durable + 1
    await redis.aclose()


@pytest.mark.parametrize("server", SERVERS[:1], indirect=True)
async def test_without_replicas_each_wait_says_how_many_have_it(server: Server) -> None:
    redis = connect(server.url)
    await Replicas(redis, "replicated", 0).have(1)
    for _ in range(2):
        with pytest.raises(TrailError, match="0 of 2 replicas have the newest records"):
            await Replicas(redis, "replicated", 2).have(1)
    await redis.aclose()
