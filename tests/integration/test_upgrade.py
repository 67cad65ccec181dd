"""From a released version to this one and back, with the released program itself."""

import asyncio
import sys
import tarfile
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.errors import NewerFormatError
from llmctx.llm.standin import Standin
from llmctx.trail.log.lease import RECORD_FORMAT, Lease, lease_key, read_holder
from llmctx.version import VERSION
from tests.conftest import ASSETS, present
from tests.integration.conftest import hold, leaves, raise_tick
from tests.integration.program import Program, until

RELEASES = ASSETS / "releases"
"""Of each release the package as its wheel has it."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """llmctx 0.1.0, unpacked."""
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(RELEASES / "llmctx-0.1.0.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
async def old(
    on_each: Program, redis: Redis, redis_url: str, standin: Standin, tmp_path: Path, release: Path
) -> Program:
    """llmctx 0.1.0, with the state directory of `on_each`."""
    assert on_each.folder == tmp_path
    await hold(redis, "AAPL")
    start = f"import sys; sys.path.insert(0, {str(release)!r}); from llmctx.cli import main; main()"
    return Program(redis_url, tmp_path, standin.base_url, command=(sys.executable, "-c", start))


async def decided_by(redis: Redis, program: Program, tick: str) -> str:
    """Which version settled a tick that was raised while a program ran."""
    async with program.running(redis) as process:
        await raise_tick(redis, tick, "AAPL")
        await until(lambda: redis.hexists("audit:{0}:ticks", tick))
        ended = await program.stop(process)
        assert ended.code == 0, ended.err
    (record,) = [leaf for leaf in await leaves(redis) if leaf.get("tick") == tick]
    return str(record["code"]).split()[1]


async def heard(process: asyncio.subprocess.Process, text: str) -> str:
    """What a program has said on standard error up to a text, in one line."""
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(240):
        while text not in said:
            line = await process.stderr.readline()
            assert line, f"it ended after {said!r}"
            said = " ".join([*said.split(), *line.decode().split()])
    return said


async def lease_calls(redis: Redis) -> int:
    """How often a program that may not take its turn has asked for the lease: it calls no other function."""
    return int((await redis.info("commandstats"))["cmdstat_fcall"]["calls"])


async def refused(redis: Redis, program: Program, because: str) -> None:
    """A program may not take its turn, says why once, and leaves the tick where it is."""
    before = len(await leaves(redis))
    await raise_tick(redis, "not-mine", "AAPL")
    process = await program.start("run")
    await heard(process, because)
    tried = await lease_calls(redis)

    async def tried_again() -> bool:
        return await lease_calls(redis) >= tried + 2

    await until(tried_again)
    ended = await program.stop(process)
    assert because not in " ".join(ended.err.split())
    assert await redis.hexists("audit:{0}:ticks", "not-mine") == 0
    assert len(await leaves(redis)) == before


async def test_the_release_is_the_release(old: Program) -> None:
    assert (await old("--version")).out == "llmctx 0.1.0\n"


@pytest.mark.more
async def test_this_version_takes_over_and_its_log_verifies(old: Program, on_each: Program, redis: Redis) -> None:
    assert await decided_by(redis, old, "t1") == "0.1.0"
    assert await decided_by(redis, on_each, "t2") == VERSION
    verified = await on_each("verify", "--strict", "--json")
    assert (verified.code, verified.document["ticks"]) == (0, 2), verified.out


@pytest.mark.more
async def test_a_rolling_upgrade_waits_for_the_older_worker_and_goes_on(
    old: Program, on_each: Program, redis: Redis
) -> None:
    async with old.running(redis) as first:
        holder = present(await read_holder(redis, 0))
        assert (holder.format, holder.version, holder.is_newer) == (1, "0.1.0", False)
        second = await on_each.start("run")
        await heard(second, f"partition 0 is held by {holder.label}; waiting for it")
        await raise_tick(redis, "t1", "AAPL")
        await until(lambda: redis.hexists("audit:{0}:ticks", "t1"))
        assert (await old.stop(first)).code == 0
    await raise_tick(redis, "t2", "AAPL")
    await until(lambda: redis.hexists("audit:{0}:ticks", "t2"))
    assert (await on_each.stop(second)).code == 0
    codes = {str(leaf.get("tick")): str(leaf["code"]).split()[1] for leaf in await leaves(redis)}
    assert (codes["t1"], codes["t2"]) == ("0.1.0", VERSION)


@pytest.mark.more
@pytest.mark.parametrize("killed", [False, True])
async def test_the_older_version_may_not_take_its_turn_after_this_one(
    old: Program, on_each: Program, redis: Redis, killed: bool
) -> None:
    async with on_each.running(redis) as process:
        await raise_tick(redis, "t1", "AAPL")
        await until(lambda: redis.hexists("audit:{0}:ticks", "t1"))
        if not killed:
            assert (await on_each.stop(process)).code == 0
    if killed:
        await redis.hset(lease_key(0), "ends_ms", 1)  # its ten seconds are over
    label = f"llmctx {VERSION} in record format {RECORD_FORMAT}, which an older version cannot continue"
    await refused(redis, old, f"partition 0 is held by {label}; waiting for it")
    assert await decided_by(redis, on_each, "t2") == VERSION


@pytest.mark.more
async def test_the_older_version_cannot_read_signed_records_so_there_is_no_way_back(
    old: Program, on_each: Program, redis: Redis
) -> None:
    assert await decided_by(redis, on_each, "t1") == VERSION
    await redis.delete(lease_key(0))  # as if its format had never been there
    before = len(await leaves(redis))
    process = await old.start("run")
    await heard(process, "with fields [b'proof', b'record'], not at INDEX-1 with one field")
    await old.stop(process)
    assert len(await leaves(redis)) == before
    assert (await old("verify")).code == 1
    assert await decided_by(redis, on_each, "t3") == VERSION


@pytest.fixture
async def newer(on_each: Program, redis: Redis) -> Redis:
    """The server of `on_each`, whose partition a later version has written and left."""
    assert on_each.folder.exists()
    await hold(redis, "AAPL")
    lease = Lease(redis, 0)
    await lease.take()
    await lease.give_up()
    await redis.hset(lease_key(0), mapping={"format": RECORD_FORMAT + 1, "version": "9.0.0"})
    return redis


async def test_this_version_is_refused_after_a_newer_one_and_told_why(newer: Redis, on_each: Program) -> None:
    told = f"continued by llmctx 9.0.0 in record format {RECORD_FORMAT + 1}; this version writes format {RECORD_FORMAT}"
    await refused(newer, on_each, told)
    decided = await on_each("decide", "AAPL")
    assert decided.code == 3
    assert told in decided.err
    assert "Run llmctx 9.0.0 or newer." in decided.err
    assert f"HSET audit:{{0}}:lease format {RECORD_FORMAT}" in decided.err


async def test_a_format_that_no_version_wrote_is_put_back_by_the_command_that_the_refusal_names(
    newer: Redis, on_each: Program
) -> None:
    await newer.hset(lease_key(0), "format", str(RECORD_FORMAT))
    assert (await on_each("decide", "AAPL", "--prompt", "position")).code != 3


async def test_a_newer_format_is_a_holder_that_has_ended(newer: Redis) -> None:
    holder = present(await Lease(newer, 0).take())
    assert (holder.is_newer, holder.version) == (True, "9.0.0")
    assert isinstance(holder.refusal(0), NewerFormatError)
    assert await read_holder(newer, 0) is None
