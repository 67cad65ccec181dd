"""A backup proves itself before it counts, and a restore brings back the server, the state directory and what is newer."""

import json
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.errors import BackupError
from llmctx.ops.backup.load import load_snapshot
from llmctx.ops.backup.snapshot import TOOLS
from llmctx.ops.server import EmbeddedServer
from llmctx.trail.log.lease import Lease
from llmctx.trail.log.log import Log
from tests.conftest import debian_redis
from tests.integration.conftest import ByRules, raise_tick, serving
from tests.integration.program import Ended, Program
from tests.integration.test_prove import make_trail, sign


@pytest.fixture
async def trail(redis: Redis, redis_url: str, tmp_path: Path, short_pauses: None) -> Program:  # noqa: ARG001
    """Six records, decisions among them, all signed, on each server in turn."""
    return await make_trail(redis, redis_url, Program(redis_url, tmp_path))


@pytest.fixture
async def proven(valkey: Redis, valkey_url: str, tmp_path: Path, short_pauses: None) -> Program:  # noqa: ARG001
    """The same on Valkey alone."""
    return await make_trail(valkey, valkey_url, Program(valkey_url, tmp_path))


async def keep(made: Program, *options: str) -> Ended:
    return await made("backup", "--to", "kept", "--json", *options)


async def record(redis: Redis, made: Program, *ticks: str) -> None:
    """More decisions, signed."""
    async with serving(redis, made.environment["LLMCTX_REDIS_URL"], made.folder / "var", ByRules()) as running:
        for tick in ticks:
            await raise_tick(redis, tick, "AAPL")
            await running.until_settled(tick)
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


async def test_a_backup_restores_server_and_state_directory_and_the_trail_goes_on(
    redis: Redis,
    trail: Program,
    empty: tuple[Redis, str],
) -> None:
    await redis.set("stocks:price:AAPL", "{}", ex=5000)
    done = await keep(trail)
    assert done.code == 0, done.err
    found = done.document
    assert (found["verdict"], found["fault"], found["records"], found["method"]) == ("good", None, [6], "BGSAVE")
    folder = trail.folder / found["backup"]
    stored = {path.relative_to(folder).as_posix() for path in folder.rglob("*.zst")}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert stored == {f"{file['name']}.zst" for file in manifest["files"]}
    assert sum(path.stat().st_size for path in folder.rglob("*.zst")) == found["stored_bytes"]
    assert not [name for name in stored if "/keys/" in name and not name.endswith(".pub.zst")]
    assert not [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]
    assert [path.name for path in (trail.folder / "kept").iterdir() if path.name != ".lock"] == [folder.name]

    before = await everything(redis)
    var = trail.folder / "var"
    private = next(path for path in (var / "keys").iterdir() if path.suffix == "").read_bytes()
    shutil.rmtree(var)
    client, trail.environment["LLMCTX_REDIS_URL"] = empty
    restored = await trail("restore", "kept", "--json")
    assert restored.code == 0, restored.err
    document = restored.document
    assert document["partitions"] == [{"partition": 0, "records": 6, "refilled": 0, "missing": None, "fault": None}]
    assert (document["verdict"], document["replaced_keys"]) == ("restored", 0)
    assert "private key" in restored.err
    assert await everything(client) == before
    assert 0 < await client.ttl("stocks:price:AAPL") <= 5000
    key = next((var / "keys").glob("*.pub")).with_suffix("")
    key.write_bytes(private)
    key.chmod(0o600)
    await record(client, trail, "later")
    assert (await trail("verify", "--json")).document["records"] == 7


async def test_what_is_newer_than_the_snapshot_comes_from_the_spool(
    redis: Redis,
    trail: Program,
    empty: tuple[Redis, str],
) -> None:
    assert (await keep(trail)).code == 0
    await record(redis, trail, "x1", "x2", "x3")
    newest = await everything(redis)
    client, trail.environment["LLMCTX_REDIS_URL"] = empty
    restored = await trail("restore", "kept", "--json")
    assert restored.code == 0, restored.err
    [part] = restored.document["partitions"]
    assert (part["records"], part["refilled"], part["missing"]) == (9, 3, None)
    assert (await trail("verify", "--json")).document["records"] == 9
    trails = [
        {name: raw for name, raw in keys.items() if name.startswith(b"audit:{0}:log")}
        for keys in (newest, await everything(client))
    ]
    assert trails[0] == trails[1]


async def test_what_nobody_holds_any_more_is_named(
    valkey: Redis,
    proven: Program,
) -> None:
    assert (await keep(proven)).code == 0
    await record(valkey, proven, "x1", "x2", "x3")
    shutil.rmtree(proven.folder / "var" / "spool")
    restored = await proven("restore", "kept", "--over", "--json")
    assert restored.code == 1
    [part] = restored.document["partitions"]
    assert (restored.document["verdict"], part["missing"], part["fault"]) == ("incomplete", [6, 8], None)
    assert (await Log(valkey).size(), part["records"]) == (6, 6)
    assert "records 6 to 8" in (await proven("restore", "kept", "--over")).out


async def test_live_data_is_replaced_only_if_asked_and_never_under_a_worker(
    valkey: Redis,
    proven: Program,
) -> None:
    assert (await keep(proven)).code == 0
    await valkey.set("stocks:price:NEW", "{}")
    before = await everything(valkey)
    refused = await proven("restore", "kept", "--json")
    assert refused.code == 2
    assert "--over" in json.loads(refused.err.splitlines()[-1])["what_to_do"]
    lease = Lease(valkey, 0)
    assert await lease.take() is None
    held = await proven("restore", "kept", "--over", "--json")
    assert (held.code, await everything(valkey)) == (3, before)
    await lease.give_up()
    twice = [await proven("restore", "kept", "--over", "--json") for _ in range(2)]
    assert [ended.code for ended in twice] == [0, 0]
    assert twice[0].document["replaced_keys"] == len(before) + 2
    assert await valkey.exists("stocks:price:NEW") == 0
    assert (await valkey.info("replication"))["role"] == "master"


async def test_an_altered_trail_makes_a_bad_backup_that_replaces_no_good_one(
    valkey: Redis,
    proven: Program,
) -> None:
    good = (await keep(proven)).document["backup"]
    await valkey.xdel("audit:{0}:log", "3-1")
    bad = await keep(proven, "--keep-daily", "1")
    assert bad.code == 1
    assert bad.document["verdict"] == "bad"
    assert bad.document["backup"].endswith(".bad")
    assert "record 3" in bad.document["fault"]
    assert bad.document["removed"] == []
    assert (proven.folder / good / "manifest.json").exists()
    assert (await proven("restore", bad.document["backup"], "--over", "--json")).code == 1
    assert (await proven("restore", "kept", "--over", "--json")).document["backup"] == good


@pytest.mark.parametrize("name", ["dump.rdb.zst", "leaves.zst", "manifest.json"])
async def test_a_damaged_backup_is_refused_before_anything_is_replaced(
    valkey: Redis,
    proven: Program,
    name: str,
) -> None:
    folder = proven.folder / (await keep(proven)).document["backup"]
    path = next(folder.rglob(name))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 1]) + raw[len(raw) // 2 + 1 :])
    before = await everything(valkey)
    shutil.rmtree(proven.folder / "var")
    refused = await proven("restore", "kept", "--over", "--json")
    assert refused.code == 1
    assert await everything(valkey) == before


@pytest.mark.parametrize("point", ["packed", "proven"])
async def test_a_backup_that_is_killed_leaves_none_and_the_next_one_tidies_up(proven: Program, point: str) -> None:
    armed = f"from llmctx import killpoint; killpoint.arm({point!r})"
    process = await proven.start("backup", "--to", "kept", before=armed)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert (await proven("restore", "kept", "--over", "--json")).code == 2
    assert (await keep(proven)).code == 0
    assert [path for path in (proven.folder / "kept").iterdir() if path.name.startswith(".partial")] == []


async def test_older_backups_are_rotated_out_after_a_good_one(proven: Program) -> None:
    first = (await keep(proven)).document["backup"]
    second = (await keep(proven)).document
    assert second["removed"] == []
    third = (await keep(proven, "--keep-daily", "3", "--keep-weekly", "2")).document
    assert third["removed"] == [first, second["backup"]]
    assert [path.name for path in (proven.folder / "kept").glob("2*")] == [Path(third["backup"]).name]


async def test_two_backups_at_once_do_not_disturb_each_other(proven: Program) -> None:
    ended = await proven.all("backup --to kept --json", "backup --to kept --json")
    assert sorted(each.code for each in ended) in ([0, 0], [0, 3])
    assert len([*(proven.folder / "kept").glob("2*")]) == [each.code for each in ended].count(0)


async def test_a_server_whose_files_cannot_be_read_is_fetched_with_its_own_tool(
    redis: Redis,
    trail: Program,
    redis_url: str,
) -> None:
    await redis.execute_command("ACL", "SETUSER", "saver", "on", ">se/cret", "~*", "&*", "+@all", "-config")  # type: ignore[no-untyped-call]
    trail.environment["LLMCTX_REDIS_URL"] = redis_url.replace("//", "//saver:se%2Fcret@")
    done = await keep(trail)
    await redis.execute_command("ACL", "DELUSER", "saver")  # type: ignore[no-untyped-call]
    if any(shutil.which(tool, path=trail.environment["PATH"]) for tool in TOOLS):
        assert (done.code, done.document["records"]) == (0, [6])
        assert done.document["method"] in TOOLS
    else:
        assert (done.code, "redis-tools" in done.err) == (3, True)


async def test_a_snapshot_that_the_server_cannot_read_is_named_and_leaves_a_primary(
    redis: Redis, tmp_path: Path
) -> None:
    newer = tmp_path / "dump.rdb"
    newer.write_bytes(b"REDIS9999" + bytes(100))
    with pytest.raises(BackupError, match="could not read the snapshot"):
        await load_snapshot(redis, newer)
    assert (await redis.info("replication"))["role"] == "master"
    assert await redis.set("x", "1")


async def test_a_state_directory_of_another_trail_is_refused(valkey: Redis, proven: Program, valkey_url: str) -> None:
    assert (await keep(proven)).code == 0
    await valkey.flushall()
    other = Program(valkey_url, proven.folder / "elsewhere")
    other.folder.mkdir()
    await record_nothing(valkey, other)
    await valkey.flushall()
    refused = await other("restore", "../kept", "--json")
    assert (refused.code, await valkey.dbsize()) == (3, 0)
    assert "instance" in refused.err


async def record_nothing(redis: Redis, made: Program) -> None:
    async with serving(redis, made.environment["LLMCTX_REDIS_URL"], made.folder / "var", ByRules()) as running:
        await raise_tick(redis, "t", "NONE")
        await running.until_settled("t")
