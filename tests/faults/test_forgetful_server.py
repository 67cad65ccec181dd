"""SIGKILL of the server, and what it forgets by that: refilled from the spool, byte for byte, at its own index."""

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.connection.streams import read_stream
from llmctx.errors import ForkError, InstanceError, LeaseError, TrailError
from llmctx.trail.log.instance import Instance, bind_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.join import accept, approve, make_request
from llmctx.trail.proof.merkle import leaf_hash
from llmctx.trail.spool.comparison import put_back
from llmctx.trail.spool.spool import spool_directory
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from tests.faults.conftest import Server, check_oracle, end_lease
from tests.integration.conftest import decided, held_lease, hold, signed_fields

LOG = "audit:{0}:log"


async def settle(redis: Redis, owner: Owner, *ticks: str) -> None:
    for tick in ticks:
        await owner.settle(await decided(redis, "AAPL", tick))


async def forget(redis: Redis, first: int) -> None:
    """What a lost tail of the AOF takes with it."""
    for entry in await read_stream(redis, LOG, f"{first}-0"):
        await redis.xdel(LOG, entry.id)
    left = await read_stream(redis, LOG)
    await redis.delete(LOG, "audit:{0}:symbol:AAPL", "audit:{0}:durable", "decisions:{0}")
    tick_map = await Log(redis).tick_map()
    await redis.hdel("audit:{0}:ticks", *[tick for tick, index in tick_map.items() if index >= first])
    for entry in left:
        await redis.xadd(LOG, entry.fields, id=entry.id)  # type: ignore[arg-type]
        if entry.number:
            await redis.rpush("audit:{0}:symbol:AAPL", entry.number)


async def prepared(client: Redis, tmp_path: Path) -> Instance:
    await hold(client, "AAPL")
    instance, _ = await bind_instance(client, tmp_path / "state")
    return instance


async def test_a_new_owner_refills_what_redis_forgot(client: Redis, tmp_path: Path) -> None:
    instance = await prepared(client, tmp_path)
    ticks = [f"t{n}" for n in range(12)]
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, *ticks)
    before = await read_stream(client, LOG)
    await forget(client, 5)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, "after")
    assert (await read_stream(client, LOG))[: len(before)] == before
    await check_oracle(client, [*ticks, "after"])
    assert [entry.index async for entry in Log(client).read_back_of("AAPL")] == list(range(13, 0, -1))


async def test_a_running_owner_refills_before_it_appends(client: Redis, tmp_path: Path) -> None:
    instance = await prepared(client, tmp_path)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, "a", "b", "c")
        before = await read_stream(client, LOG)
        await forget(client, 2)
        await settle(client, owner, "d")
    assert (await read_stream(client, LOG))[:4] == before
    await check_oracle(client, ["a", "b", "c", "d"])


async def test_a_hole_is_filled_in_tick_map_and_symbol_list_too(client: Redis, tmp_path: Path) -> None:
    instance = await prepared(client, tmp_path)
    ticks = [f"t{n}" for n in range(6)]
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, *ticks)
    newest = (await read_stream(client, LOG))[-1]
    await forget(client, 3)
    await client.xadd(LOG, newest.fields, id=newest.id)  # type: ignore[arg-type]
    await client.hset("audit:{0}:ticks", "t5", str(newest.number))
    await client.rpush("audit:{0}:symbol:AAPL", "no index", newest.number)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")):
        pass
    assert await client.lrange("audit:{0}:symbol:AAPL", 0, -1) == [b"1", b"2", b"3", b"4", b"5", b"no index", b"6"]
    await client.lrem("audit:{0}:symbol:AAPL", 1, "no index")
    await check_oracle(client, ticks)


async def test_nothing_is_put_back_behind_what_another_server_lacks(client: Redis, tmp_path: Path) -> None:
    instance = await prepared(client, tmp_path)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, "a", "b", "c")
    entries = [entry async for entry in Log(client).read()]
    await forget(client, 2)
    lease = await held_lease(client)
    with pytest.raises(TrailError, match="Record 3 could not be put back: BEHIND 2"):
        await put_back(client, Log(client), entries[3], lease.owner, after=2)
    assert await Log(client).size() == 2


@pytest.mark.parametrize("cut", [1, 60, 700])
async def test_an_aof_cut_inside_a_unit_and_two_restarts_lose_nothing(
    server: Server, client: Redis, tmp_path: Path, cut: int
) -> None:
    instance = await prepared(client, tmp_path)
    ticks = [f"t{n}" for n in range(6)]
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, *ticks)
        before = await read_stream(client, LOG)
        server.kill()
        with server.aof.open("r+b") as file:
            file.truncate(file.seek(0, 2) - cut)
        server.start()
        server.kill()
        server.start()
        await settle(client, owner, "after")
    assert (await read_stream(client, LOG))[: len(before)] == before
    await check_oracle(client, [*ticks, "after"])


async def test_an_aof_with_half_a_command_behind_it_loses_nothing(
    server: Server, client: Redis, tmp_path: Path
) -> None:
    instance = await prepared(client, tmp_path)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, "a", "b")
        server.kill()
        with server.aof.open("ab") as file:
            file.write(b"*3\r\n$4\r\nXADD\r\n$9\r\naudit:{0")
        server.start()
        await settle(client, owner, "c")
    await check_oracle(client, ["a", "b", "c"])


async def test_a_server_killed_under_load_loses_nothing(server: Server, client: Redis, tmp_path: Path) -> None:
    instance = await prepared(client, tmp_path)
    ticks = [f"t{n}" for n in range(40)]
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        for n, tick in enumerate(ticks):
            made = await decided(client, "AAPL", tick)
            if n in (10, 25):
                server.kill()
                server.start()
            await owner.settle(made)
    await check_oracle(client, ticks)


async def anchor(client: Redis, instance: Instance, tmp_path: Path) -> Anchor:
    made = Anchor(anchor_directory(tmp_path / "state", instance.id, 0))
    made.append(0, [leaf_hash(entry.leaf) async for entry in Log(client).read()])
    return made


def drop_spool(instance: Instance, tmp_path: Path) -> None:
    for path in spool_directory(tmp_path / "state", instance.id, 0).glob("*.seg"):
        path.unlink()


async def test_what_nobody_has_any_more_is_named_by_an_incident_behind_it(client: Redis, tmp_path: Path) -> None:
    instance = await prepared(client, tmp_path)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, "a", "b", "c", "d")
    await anchor(client, instance, tmp_path)
    await forget(client, 3)
    drop_spool(instance, tmp_path)
    for tick in ("e", "f"):
        async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
            await settle(client, owner, tick)
    records = {entry.index: entry.record async for entry in Log(client).read()}
    assert sorted(records) == [0, 1, 2, 5, 6, 7]
    assert records[5]["incident"] == {"what": "lost", "first": 3, "last": 4}
    await forget(client, 2)  # and what came behind the loss is refilled across it
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")):
        pass
    assert [entry.index async for entry in Log(client).read()] == [0, 1, 2, 5, 6, 7]


@pytest.mark.parametrize("where", ["spool", "anchor"])
async def test_another_leaf_than_spool_or_anchor_is_a_fork_and_nothing_is_written(
    client: Redis, tmp_path: Path, where: str
) -> None:
    instance = await prepared(client, tmp_path)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, "a", "b")
    if where == "anchor":
        await anchor(client, instance, tmp_path)
        drop_spool(instance, tmp_path)
    entry = await Log(client).entry(2)
    assert entry is not None
    other = entry.leaf.replace(b'"kind":"decision"', b'"kind":"failed"')
    await client.delete(LOG)
    for index in range(3):
        fields = signed_fields(tmp_path / "state", other, entry.pieces)  # whoever forks the trail has the writer key
        await client.xadd(LOG, fields, id=f"{index}-1")  # type: ignore[arg-type]
    with pytest.raises(ForkError, match=f"at index 0: the {where} of partition 0") as error:
        async with Owner(TrailHome(client, "", instance, tmp_path / "state")):
            pass
    assert error.value.exit_code == 1
    assert await Log(client).size() == 3


async def test_a_joined_state_directory_copies_the_log_into_its_spool_first(client: Redis, tmp_path: Path) -> None:
    instance = await prepared(client, tmp_path)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, "a", "b")
    grant = json.dumps(approve(tmp_path / "state", make_request(tmp_path / "other", instance)))
    accept(tmp_path / "other", instance, grant, None)
    async with Owner(TrailHome(client, "", instance, tmp_path / "other")):
        pass
    await forget(client, 1)
    async with Owner(TrailHome(client, "", instance, tmp_path / "other")) as owner:
        await settle(client, owner, "c")
    await check_oracle(client, ["a", "b", "c"])


async def test_an_emptied_server_is_not_written_to(server: Server, client: Redis, tmp_path: Path) -> None:
    instance = await prepared(client, tmp_path)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as owner:
        await settle(client, owner, "a")
        made = await decided(client, "AAPL", "b")
        server.kill()
        for path in server.directory.rglob("*.*"):
            path.unlink()
        server.start()
        with pytest.raises(InstanceError, match="restore"):
            await owner.settle(made)
    fresh = connect(server.url)
    assert await fresh.dbsize() == 0
    await fresh.aclose()


async def test_a_worker_that_wakes_up_late_writes_neither_to_the_log_nor_to_the_spool(
    client: Redis, tmp_path: Path
) -> None:
    instance = await prepared(client, tmp_path)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as sleeper:
        await settle(client, sleeper, "a")
        await end_lease(client)
        async with Owner(TrailHome(client, "", instance, tmp_path / "state")) as other:
            await settle(client, other, "b")
            made = await decided(client, "AAPL", "late")
            with pytest.raises(LeaseError, match=r"not ours|begun a segment"):
                await sleeper.settle(made)
            await settle(client, other, "c")
    await forget(client, 1)
    async with Owner(TrailHome(client, "", instance, tmp_path / "state")):
        pass
    await check_oracle(client, ["a", "b", "c"])
