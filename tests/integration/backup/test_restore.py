"""A restore brings back server and state directory and what is newer, and names what is missing."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.errors import BackupError
from llmctx.ops.backup.load import load_snapshot
from llmctx.trail.log.lease import Lease
from llmctx.trail.log.log import Log
from tests.integration.backup.conftest import everything, keep, record
from tests.integration.conftest import ByRules, serving
from tests.integration.program import Program
from tests.integration.test_prove import SIZE

SHORT_LEASE = """
import asyncio
from llmctx.ops.backup import restore
from llmctx.trail.log.lease import Lease
from llmctx.trail.spool import recovery
Lease.__init__.__kwdefaults__["length_ms"] = 400
restore._RENEW_S = 0.05
async def later(self, spool, real=recovery.Recovery._compare, sleep=asyncio.sleep):
    await sleep(1.5)
    return await real(self, spool)
recovery.Recovery._compare = later
"""
"""What a command runs first so that a lease ends long before a refill does, unless it is renewed."""


async def test_a_backup_restores_server_and_state_directory_and_the_trail_goes_on(
    redis: Redis,
    trail: Program,
    empty: tuple[Redis, str],
) -> None:
    await redis.set("stocks:price:AAPL", "{}", ex=5000)
    done = await keep(trail)
    assert done.code == 0, done.err
    found = done.document
    assert (found["verdict"], found["fault"], found["records"], found["method"]) == ("good", None, [SIZE], "BGSAVE")
    folder = trail.folder / found["backup"]
    stored = {path.relative_to(folder).as_posix() for path in folder.rglob("*.zst")}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert stored == {f"{file['name']}.zst" for file in manifest["files"]}
    assert sum(path.stat().st_size for path in folder.rglob("*.zst")) == found["stored_bytes"]
    assert {Path(name).suffixes[-2] for name in stored if "/keys/" in name} == {".pub", ".writers"}
    assert not [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]
    assert [path.name for path in (trail.folder / "kept").iterdir() if path.name != ".lock"] == [folder.name]

    before = await everything(redis)
    var = trail.folder / "var"
    private = var / "keys" / manifest["instance"]
    signing = private.read_bytes()
    shutil.rmtree(var)
    client, trail.environment["LLMCTX_REDIS_URL"] = empty
    restored = await trail("restore", "kept", "--json")
    assert restored.code == 0, restored.err
    document = restored.document
    assert document["partitions"] == [{"partition": 0, "records": SIZE, "refilled": 0, "missing": None, "fault": None}]
    assert (document["verdict"], document["replaced_keys"]) == ("restored", 0)
    assert "private key" in restored.err
    assert await everything(client) == before
    assert 0 < await client.ttl("stocks:price:AAPL") <= 5000
    private.write_bytes(signing)
    private.chmod(0o600)
    await record(client, trail, "later")
    verified = await trail("verify", "--json")
    assert (verified.code, verified.document["records"]) == (0, SIZE + 2)  # one enrols the new writer key


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
    assert (part["records"], part["refilled"], part["missing"]) == (SIZE + 3, 3, None)
    assert "forgotten" not in restored.err  # the server forgot nothing: the snapshot is older
    assert (await trail("verify", "--json")).document["records"] == SIZE + 3
    trails = [
        {name: raw for name, raw in keys.items() if name.startswith(b"audit:{0}:log")}
        for keys in (newest, await everything(client))
    ]
    assert trails[0] == trails[1]


async def test_a_refill_that_takes_longer_than_a_lease_lasts_is_completed(valkey: Redis, proven: Program) -> None:
    assert (await keep(proven)).code == 0
    await record(valkey, proven, "x1", "x2", "x3")
    restored = await proven.ended(await proven.start("restore", "kept", "--over", "--json", before=SHORT_LEASE))
    assert restored.code == 0, restored.err
    assert [part["refilled"] for part in restored.document["partitions"]] == [3]


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
    assert (restored.document["verdict"], part["missing"], part["fault"]) == ("incomplete", [SIZE, SIZE + 2], None)
    assert (await Log(valkey).size(), part["records"]) == (SIZE, SIZE)
    assert f"records {SIZE} to {SIZE + 2}" in (await proven("restore", "kept", "--over")).out


async def test_a_snapshot_older_than_the_spool_is_refused_with_the_first_gap(valkey: Redis, proven: Program) -> None:
    assert (await keep(proven)).code == 0
    segments = []
    for tick in ("x1", "x2"):
        await record(valkey, proven, tick)
        segments.append(max((proven.folder / "var/spool").rglob("*.seg")))
    segments[0].unlink()
    restored = await proven("restore", "kept", "--over", "--json")
    assert restored.code == 3
    assert f"has record {SIZE + 1} but not record {SIZE}" in restored.err
    assert await Log(valkey).size() == SIZE


async def test_a_folder_of_an_embedded_server_is_made_for_it(proven: Program) -> None:
    assert (await keep(proven)).code == 0
    restored = await proven("restore", "kept", "--redis-url", "embedded:made", "--json")
    assert (restored.code, restored.document["verdict"]) == (0, "restored"), restored.err
    assert (await proven("verify", "--redis-url", "embedded:made")).code == 0


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


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_state_directory_is_restored_whole_after_a_kill(valkey: Redis, proven: Program, times: int) -> None:
    assert (await keep(proven)).code == 0
    await valkey.flushall()
    shutil.rmtree(proven.folder / "var")
    armed = f"from llmctx import killpoint; killpoint.arm('unpacked', {times})"
    process = await proven.start("restore", "kept", before=armed)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert (await proven("restore", "kept", "--json")).code == 0
    found = (await proven("verify", "--json")).document
    assert (found["records"], found["covered"]) == (SIZE, SIZE)
    assert list((proven.folder / "var").rglob("*.new")) == []


async def test_a_restore_that_is_killed_says_so_and_is_done_again(valkey: Redis, proven: Program) -> None:
    assert (await keep(proven)).code == 0
    await valkey.flushall()
    temporary = proven.folder / "tmp"
    temporary.mkdir()
    proven.environment["TMPDIR"] = str(temporary)
    process = await proven.start("restore", "kept", before="from llmctx import killpoint; killpoint.arm('offered')")
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert list(temporary.iterdir()) == []  # nothing would ever remove a snapshot there
    cut_off = await proven("restore", "kept", "--json")
    assert (cut_off.code, "REPLICAOF NO ONE" in cut_off.err) == (3, True)
    await valkey.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
    assert (await proven("restore", "kept", "--over", "--json")).code == 0
    assert (await proven("verify", "--json")).document["records"] == SIZE


async def test_a_snapshot_that_the_server_cannot_read_is_named_and_leaves_a_primary(
    redis: Redis, tmp_path: Path
) -> None:
    newer = tmp_path / "dump.rdb"
    newer.write_bytes(b"REDIS9999" + bytes(100))
    with newer.open("rb") as file, pytest.raises(BackupError, match="could not read the snapshot"):
        await load_snapshot(redis, file)
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
        await running.decide(redis, "t", "NONE")
