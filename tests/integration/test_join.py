"""A second state directory writes to a trail only once the instance key has granted it."""

import json
import shutil
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.errors import InstanceError, JoinError, KeyFileError, NotJoinedError
from llmctx.llm.standin import Standin
from llmctx.replay.verify import Expected, verify_partition
from llmctx.trail.log import appended
from llmctx.trail.log.entry import PROOF
from llmctx.trail.log.instance import Instance, bind_instance, join_instance, read_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.join import accept, approve, make_request
from llmctx.trail.proof.key import load_or_make_key
from llmctx.trail.proof.notary_service import cover_now
from llmctx.trail.proof.roster import Roster
from llmctx.trail.proof.writer import load_or_make_writer
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from tests.integration.conftest import ByRules, decided, hold, leaves, serving
from tests.integration.program import Program
from tests.unit.makers import stored


async def decided_in(redis: Redis, url: str, state_dir: Path, tick: str) -> Instance:
    """One tick settled by a service with this state directory."""
    await hold(redis, "AAPL")
    async with serving(redis, url, state_dir, ByRules()) as running:
        await running.decide(redis, tick, "AAPL")
    instance = await read_instance(redis)
    assert instance is not None
    return instance


@pytest.mark.usefixtures("short_pauses")
async def test_a_directory_that_has_joined_writes_signed_records_and_both_go_on(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    instance = await decided_in(redis, redis_url, old, "t1")
    signing = load_or_make_key(old, instance.id)
    await cover_now(redis, instance, old, signing)
    grant = json.dumps(approve(old, make_request(new, instance)))
    assert accept(new, instance, grant, await Log(redis).checkpoint()) == signing.key
    await decided_in(redis, redis_url, new, "t2")
    await decided_in(redis, redis_url, old, "t3")
    await decided_in(redis, redis_url, new, "t4")
    await cover_now(redis, instance, old, signing)
    for state_dir in (old, new):
        report = await verify_partition(Log(redis), instance, state_dir, Expected(signing.key))
        assert report.fault is None
    assert [index for index, leaf in enumerate(await leaves(redis)) if "enrolment" in leaf] == [0, 3]
    assert not (new / "keys" / instance.id).exists(), "the instance key stays where it is"


async def test_without_a_grant_nothing_is_written(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    instance = await decided_in(redis, redis_url, tmp_path / "old", "t1")
    size = await Log(redis).size()
    with pytest.raises(InstanceError, match="has not joined"):
        await bind_instance(redis, tmp_path / "new")
    join_instance(tmp_path / "new", instance)  # its instance file alone is no grant
    (tmp_path / "new" / "keys").mkdir()
    for name in (f"{instance.id}.pub", f"{instance.id}.writers"):
        (tmp_path / "new" / "keys" / name).write_bytes((tmp_path / "old" / "keys" / name).read_bytes())
    with pytest.raises(NotJoinedError, match="may not write to this trail"):
        async with Owner(TrailHome(redis, redis_url, instance, tmp_path / "new")):
            pass
    assert await Log(redis).size() == size


async def test_a_grant_for_another_directory_or_by_another_key_is_refused(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    old, new, other = tmp_path / "old", tmp_path / "new", tmp_path / "other"
    instance = await decided_in(redis, redis_url, old, "t1")
    await cover_now(redis, instance, old, load_or_make_key(old, instance.id))
    checkpoint = await Log(redis).checkpoint()
    for_other = json.dumps(approve(old, make_request(other, instance)))
    join_instance(other, instance)
    load_or_make_key(other, instance.id)  # an insider's own key
    by_other = approve(other, make_request(new, instance))
    genuine = approve(old, make_request(new, instance))
    for grant in (
        for_other, "{}", "[]", "no grant", json.dumps(by_other),
        json.dumps(genuine | {"signature": by_other["signature"]}), json.dumps(genuine | {"instance": "another"}),
    ):  # fmt: skip
        with pytest.raises(JoinError):
            accept(new, instance, grant, checkpoint)
    assert not (new / "instance.json").exists()
    with pytest.raises(JoinError, match="malformed"):
        approve(old, "no request")
    with pytest.raises(JoinError, match="not the ID of a writer key"):
        approve(old, make_request(new, instance), "the stolen one")


@pytest.mark.usefixtures("short_pauses")
async def test_the_command_asks_grants_and_accepts(
    valkey: Redis, valkey_url: str, standin: Standin, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    here, there = Program(valkey_url, tmp_path, standin.base_url), Program(valkey_url, tmp_path / "b", standin.base_url)
    await hold(valkey, "AAPL")
    assert (await here("decide", "AAPL")).code == 0
    refused = await there("decide", "AAPL")
    assert (refused.code, "`llmctx join` says how" in " ".join(refused.err.split())) == (3, True)
    asked = await there("join")
    granted = await here("join", "--approve", asked.out.strip())
    assert granted.code == 0, granted.err
    (tmp_path / "b" / "grant").write_text(granted.out)
    accepted = await there("join", "--grant", "grant")
    assert accepted.code == 0, accepted.err
    assert (await there("decide", "AAPL")).code == 0
    async with there.running(valkey) as process:
        assert (await there("decide", "AAPL")).code == 0
        ended = await there.stop(process)
    assert (ended.code, "no checkpoint is signed here" in ended.err) == (0, True)
    assert "`llmctx notary` where the private key is" in (await there("notary")).err
    assert (await here("key")).out == (await there("key")).out
    made = await there("key", "--make")
    assert (made.code, "restore it from your copy" in " ".join(made.err.split())) == (3, True)
    for directory in (here, there):
        assert (await directory("verify", "--strict")).code == 0


@pytest.mark.usefixtures("short_pauses")
async def test_a_lost_writer_key_is_replaced_by_one_that_the_instance_key_enrols(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    instance = await decided_in(redis, redis_url, tmp_path, "t1")
    for name in (f"{instance.id}-writer", f"{instance.id}-writer.pub"):
        (tmp_path / "keys" / name).unlink()
    await decided_in(redis, redis_url, tmp_path, "t2")
    signing = load_or_make_key(tmp_path, instance.id)
    await cover_now(redis, instance, tmp_path, signing)
    report = await verify_partition(Log(redis), instance, tmp_path, Expected(signing.key))
    assert report.fault is None
    assert len([leaf for leaf in await leaves(redis) if "enrolment" in leaf]) == 2


@pytest.mark.usefixtures("short_pauses")
async def test_a_stolen_writer_key_is_retired_and_what_it_signs_is_taken_out(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    instance = await decided_in(redis, redis_url, tmp_path, "t1")
    stolen = load_or_make_writer(tmp_path, instance.id)
    for name in (f"{instance.id}-writer", f"{instance.id}-writer.pub"):
        (tmp_path / "keys" / name).unlink()
    grant = json.dumps(approve(tmp_path, make_request(tmp_path, instance), stolen.key.id.hex()))
    signing = load_or_make_key(tmp_path, instance.id)
    await cover_now(redis, instance, tmp_path, signing)
    accept(tmp_path, instance, grant, await Log(redis).checkpoint())
    await decided_in(redis, redis_url, tmp_path, "t2")
    made = await decided(redis, "AAPL", "stolen")
    at = await Log(redis).size()
    fields = stored(made.leaf, made.pieces) | {PROOF: stolen.prove(0, made.leaf)}
    await redis.xadd("audit:{0}:log", fields, id=f"{at}-1")  # type: ignore[arg-type]
    await decided_in(redis, redis_url, tmp_path, "t3")
    await cover_now(redis, instance, tmp_path, signing)
    report = await verify_partition(Log(redis), instance, tmp_path, Expected(signing.key))
    assert (report.fault, report.incidents) == (None, (at,))


@pytest.mark.usefixtures("short_pauses")
async def test_a_copy_of_a_state_directory_whose_key_was_retired_is_refused(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    old, new, copy = tmp_path / "old", tmp_path / "new", tmp_path / "copy"
    instance = await decided_in(redis, redis_url, old, "t1")
    signing = load_or_make_key(old, instance.id)

    async def join(retires: str = "") -> None:
        grant = json.dumps(approve(old, make_request(new, instance), retires))
        accept(new, instance, grant, await Log(redis).checkpoint())

    await cover_now(redis, instance, old, signing)
    await join()
    await decided_in(redis, redis_url, new, "t2")
    await cover_now(redis, instance, old, signing)
    shutil.copytree(new, copy)
    stolen = load_or_make_writer(copy, instance.id)
    for name in (f"{instance.id}-writer", f"{instance.id}-writer.pub"):
        (new / "keys" / name).unlink()
    await join(stolen.key.id.hex())
    await decided_in(redis, redis_url, new, "t3")
    made = await decided(redis, "AAPL", "stolen")
    at = await Log(redis).size()
    fields = stored(made.leaf, made.pieces) | {PROOF: stolen.prove(0, made.leaf)}
    await redis.xadd("audit:{0}:log", fields, id=f"{at}-1")  # type: ignore[arg-type]
    await redis.set("audit:{0}:durable", at + 1)
    appended._notes.clear()  # as in another process
    await cover_now(redis, instance, old, signing)
    report = await verify_partition(Log(redis), instance, old, Expected(signing.key))
    assert report.covered == at, "the notary meets the retirement and the stolen record in one pass"
    faults = [Roster(old, instance.id, 0).check(entry) async for entry in Log(redis).read()]
    assert [fault is None for fault in faults] == [True] * at + [False], "what came before the retirement stays good"
    for _ in range(2):
        with pytest.raises(KeyFileError, match="was retired, so nobody accepts what it signs"):
            async with Owner(TrailHome(redis, "", instance, copy)):
                pass
    appended._notes.clear()
    await decided_in(redis, redis_url, old, "t4")
    await cover_now(redis, instance, old, signing)
    report = await verify_partition(Log(redis), instance, old, Expected(signing.key))
    assert (report.fault, report.incidents, report.ticks) == (None, (at,), 4)
