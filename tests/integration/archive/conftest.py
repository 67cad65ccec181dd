"""Trails to archive, and what is asked of an archive."""

from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest
from redis.asyncio import Redis

from llmctx.trail.archive.manifest import Manifest
from llmctx.trail.archive.place import open_place
from llmctx.trail.archive.plan import Limits, Plan
from llmctx.trail.archive.segment import SegmentWriter, Trail
from llmctx.trail.log.instance import read_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.key import load_key
from llmctx.trail.proof.merkle import CompactRange
from tests.integration.conftest import ByRules, Prepare, hold, serving
from tests.integration.program import Program
from tests.integration.test_prove import SIZE, anchor_of, sign

EVERYTHING = Limits(2**53, 2**53)
SIGNED_FIRST = SIZE - 2
"""How many records the first checkpoint covers; the second one covers all."""


PLACE = "s3://readings/prod"
"""A place in the bucket of `object_store`."""


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of an S3 server that has the bucket `readings`, set for this process too."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  slow to import, and every worker imports this module

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    urlopen(Request(f"http://{host}:{port}/readings", method="PUT")).close()
    yield environment
    server.stop()


async def settle(redis: Redis, made: Program, **ticks: str) -> None:
    """Decide ticks about symbols, and sign what was recorded."""
    async with serving(redis, made.environment["LLMCTX_REDIS_URL"], made.folder / "var", ByRules()) as running:
        for tick, symbol in ticks.items():
            await running.decide(redis, tick, symbol)
    await sign(redis, made.folder / "var")


async def make_trail(redis: Redis, _: str, made: Program) -> None:
    await hold(redis, "AAPL", "MSFT")
    await settle(redis, made, t1="AAPL", t2="MSFT", t3="NONE")
    await settle(redis, made, t4="AAPL", t5="MSFT")


@pytest.fixture
async def proven(valkey: Redis, valkey_url: str, prepare: Prepare) -> Program:
    """Seven records, decisions among them, signed by two checkpoints, on Valkey."""
    return await prepare(valkey, valkey_url, make_trail)


@pytest.fixture
async def trail(redis: Redis, redis_url: str, prepare: Prepare) -> Program:
    """The same on each server in turn."""
    return await prepare(redis, redis_url, make_trail)


async def write_segment(redis: Redis, made: Program, where: str, limits: Limits = EVERYTHING) -> Manifest:
    """The first segment of partition 0, written to a place without a word to the trail."""
    instance = await read_instance(redis)
    assert instance is not None
    state_dir = made.folder / "var"
    anchor, key = await anchor_of(redis, state_dir), load_key(state_dir, instance.id).key
    plan = Plan(anchor.checkpoints())
    cut = plan.next(0, limits)
    assert cut is not None
    writer = SegmentWriter(Trail(redis, Log(redis), anchor, instance.id, 1, [key]), open_place(where), plan)
    return (await writer.write(cut, CompactRange(), ())).manifest
