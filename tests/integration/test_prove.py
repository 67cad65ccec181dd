"""A trail made by a service, proven: exported and checked by both programs, held against its anchor, given as receipts."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection import server_ms
from llmctx.connection.streams import read_stream
from llmctx.trail.log.entry import restored
from llmctx.trail.log.instance import bind_instance, read_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof import merkle
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.key import load_key
from llmctx.trail.proof.notary_service import cover_now
from tests.conftest import ROOT, present
from tests.integration.conftest import ByRules, Prepare, hold, serving, signed_fields
from tests.integration.program import Ended, Program
from tests.integration.test_cli import LOG

SIZE = 7
CHECKPOINT = "audit:{0}:checkpoint"


async def sign(redis: Redis, state_dir: Path) -> None:
    """Declare all durable, as the spool does, and sign it."""
    instance = present(await read_instance(redis))
    for partition in range(instance.partitions):
        await redis.set(f"audit:{{{partition}}}:durable", await Log(redis, partition).size())
    await cover_now(redis, instance, state_dir, load_key(state_dir, instance.id))


async def anchor_of(redis: Redis, state_dir: Path) -> Anchor:
    instance = present(await read_instance(redis))
    return Anchor(anchor_directory(state_dir, instance.id, 0))


async def make_trail(redis: Redis, url: str, made: Program) -> Program:
    await hold(redis, "AAPL", "MSFT")
    async with serving(redis, url, made.folder / "var", ByRules()) as running:
        for n, symbol in enumerate(("AAPL", "MSFT", "NONE", "AAPL", "MSFT"), start=1):
            await running.decide(redis, f"t{n}", symbol)
    await sign(redis, made.folder / "var")
    return made


@pytest.fixture
async def trail(redis: Redis, redis_url: str, prepare: Prepare) -> Program:
    """Seven records, decisions among them, all signed, on each server in turn."""
    return await prepare(redis, redis_url, make_trail)


@pytest.fixture
async def proven(valkey: Redis, valkey_url: str, prepare: Prepare) -> Program:
    """The same on Valkey alone."""
    return await prepare(valkey, valkey_url, make_trail)


async def audit(made: Program, *arguments: str) -> Ended:
    """What audit/verify.py ends with, started as an auditor does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(ROOT / "audit" / "verify.py"), *arguments, cwd=made.folder, env={},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return await made.ended(process)


async def vkey(made: Program) -> str:
    return (await made("key")).out.strip()


async def test_an_export_is_verified_by_both_programs(trail: Program) -> None:
    exported = await trail("export", "export")
    assert (exported.code, exported.err) == (0, "")
    key = await vkey(trail)
    alone, own = await asyncio.gather(
        audit(trail, "export", "--key", key, "--json"), trail("verify", "export", "--key", key, "--json")
    )
    assert (alone.code, own.code) == (0, 0), alone.err + own.err
    (part,) = alone.document["partitions"]
    assert (alone.document["verdict"], part["records"], part["ticks"], part["warnings"]) == ("verified", SIZE, 5, [])
    assert (own.document["verdict"], own.document["records"], own.document["rebuilt"]) == ("verified", SIZE, 4)
    assert own.document["warnings"] == []


async def test_an_export_has_the_files_of_the_evidence_room(proven: Program, valkey: Redis) -> None:
    await proven("export", "export")
    folder = proven.folder / "export"
    instance = present(await read_instance(valkey))
    origin = f"llmctx/{instance.id}"
    assert json.loads((folder / "manifest.json").read_bytes()) == {
        "format": "llmctx-export/1",
        "origin": origin,
        "partitions": [{"partition": 0, "origin": f"{origin}/0", "first": 0, "size": SIZE}],
    }
    entries = [entry async for entry in Log(valkey).read()]
    assert (folder / "0" / "leaves.jsonl").read_bytes() == b"".join(entry.leaf + b"\n" for entry in entries)
    evidence = [json.loads(line) for line in (folder / "0" / "evidence.jsonl").read_bytes().split(b"\n")[:-1]]
    assert [line["index"] for line in evidence] == list(range(SIZE))
    assert evidence[1]["pieces"] == {name: raw.decode() for name, raw in entries[1].pieces.items()}
    schema = Draft7Validator(json.loads((ROOT / "audit" / "record.schema.json").read_bytes())).validate
    for entry in entries:
        schema(json.loads(entry.leaf))
    assert (folder / "trail.pub").read_text(encoding="utf-8") == await vkey(proven) + "\n"
    blobs = {path.name: path.read_bytes() for path in (folder / "blobs").iterdir()}
    assert blobs
    assert {canonical.sha256(blob) for blob in blobs.values()} == set(blobs)


async def test_what_is_recorded_since_is_covered_before_it_is_exported(proven: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    redis_url = proven.environment["LLMCTX_REDIS_URL"]
    async with serving(valkey, redis_url, proven.folder / "var", ByRules()) as running:
        await running.decide(valkey, "t6", "AAPL")
    await valkey.set("audit:{0}:durable", SIZE + 1)
    exported = await proven("export", "export", "--json")
    assert exported.document == {"partition": 0, "size": SIZE + 1, "lost": 0, "uncovered": 0, "unreadable": []}
    assert (await proven("verify", "--json")).document["covered"] == SIZE + 1


async def test_what_is_not_covered_is_left_out_and_told(proven: Program, valkey: Redis) -> None:
    instance = present(await read_instance(valkey))
    (proven.folder / "var" / "keys" / instance.id).unlink()
    newest = (await read_stream(valkey, LOG))[-1]
    await valkey.xadd(LOG, newest.fields, id=f"{SIZE}-1")  # type: ignore[arg-type]
    exported = await proven("export", "export")
    assert exported.code == 0
    assert "1 records of partition 0 are not covered yet and were left out" in exported.err
    assert (await audit(proven, "export", "--key", await public(proven))).code == 0


async def public(made: Program) -> str:
    (file,) = (path for path in (made.folder / "var" / "keys").glob("*.pub") if "writer" not in path.name)
    return file.read_text(encoding="utf-8").strip()


async def test_an_export_overwrites_nothing(proven: Program) -> None:
    (proven.folder / "export").mkdir()
    (proven.folder / "export" / "mine").touch()
    ended = await proven("export", "export")
    assert (ended.code, "not empty" in ended.err) == (2, True)


async def test_a_trail_that_was_never_signed_cannot_be_exported(dumb: Program, valkey: Redis) -> None:
    await make_unsigned(valkey, dumb)
    for file in (dumb.folder / "var" / "keys").iterdir():
        file.unlink()
    ended = await dumb("export", "export")
    assert (ended.code, "llmctx notary" in ended.err) == (3, True)
    verified = await dumb("verify", "--json")
    assert (verified.code, verified.document["verdict"]) == (0, "verified")
    assert "no checkpoint was checked" in verified.document["warnings"][0]


async def make_unsigned(redis: Redis, made: Program) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, made.environment["LLMCTX_REDIS_URL"], made.folder / "var", ByRules()) as running:
        await running.decide(redis, "t1", "AAPL")


@pytest.fixture
async def dumb(valkey_url: str, tmp_path: Path, short_pauses: None) -> Program:  # noqa: ARG001
    return Program(valkey_url, tmp_path)


async def test_verify_without_a_key_of_ones_own_says_what_that_is_worth(proven: Program) -> None:
    await proven("export", "export")
    ended = await proven("verify", "export")
    assert ended.code == 0
    assert "the key came with the export" in ended.out


async def test_another_key_or_origin_than_expected_is_a_fault(proven: Program) -> None:
    await proven("export", "export")
    key = await vkey(proven)
    other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    for end in (await proven("verify", "export", "--key", other), await audit(proven, "export", "--key", other)):
        assert (end.code, "breaks key" in end.out) == (1, True)
    elsewhere = ("export", "--key", key, "--origin", "llmctx/elsewhere")
    for end in (await proven("verify", *elsewhere), await audit(proven, *elsewhere)):
        assert (end.code, "breaks origin" in end.out) == (1, True)


async def test_what_is_no_key_or_no_export_is_misuse(proven: Program) -> None:
    (proven.folder / "empty").mkdir()
    for arguments in (["verify", "empty"], ["verify", "nowhere"], ["verify", "--key", "nonsense"]):
        assert (await proven(*arguments)).code == 2
    for arguments in (["empty", "--key", await vkey(proven)], ["empty", "--key", "nonsense"], ["--key", "x"]):
        assert (await audit(proven, *arguments)).code == 2


# receipts


async def test_a_receipt_is_checked_alone_by_both_programs(trail: Program) -> None:
    key = await vkey(trail)
    given = await trail("receipt", "4")
    assert given.code == 0
    (trail.folder / "receipt.json").write_text(given.out, encoding="utf-8")
    alone = ("--receipt", "receipt.json", "--key", key)
    for ended in (await audit(trail, *alone), await trail("verify", *alone)):
        assert (ended.code, "verified" in ended.out) == (0, True), ended
    held = ("--receipt-held", "receipt.json")
    await trail("export", "export")
    assert (await audit(trail, "export", "--key", key, *held)).code == 0
    assert (await trail("verify", *held)).code == 0
    altered = json.loads(given.out)
    altered["leaf"] = altered["leaf"].replace("t3", "t4")
    (trail.folder / "receipt.json").write_text(json.dumps(altered), encoding="utf-8")
    for ended in (await audit(trail, *alone), await trail("verify", *alone)):
        assert (ended.code, "record 4 breaks inclusion" in ended.out) == (1, True), ended
    for ended in (await audit(trail, "export", "--key", key, *held), await trail("verify", *held)):
        assert ended.code == 1, ended


async def test_a_receipt_of_a_partition_that_is_not_there_is_found_by_both(proven: Program) -> None:
    await proven("export", "export")
    held = {"address": "7:1", "leaf_hash": "00" * 32}
    (proven.folder / "noted.json").write_text(json.dumps(held), encoding="utf-8")
    options = ("export", "--key", await vkey(proven), "--receipt-held", "noted.json")
    for ended in (await proven("verify", *options), await audit(proven, *options)):
        assert (ended.code, "breaks receipt: expected a partition 7" in ended.out) == (1, True), ended


async def test_a_receipt_of_no_record_is_misuse_and_of_one_not_covered_is_told(proven: Program, valkey: Redis) -> None:
    assert (await proven("receipt", "99")).code == 2
    newest = (await read_stream(valkey, LOG))[-1]
    await valkey.xadd(LOG, newest.fields, id=f"{SIZE}-1")  # type: ignore[arg-type]
    ended = await proven("receipt", str(SIZE))
    assert (ended.code, "not covered by a checkpoint yet" in ended.err) == (3, True)


# tampering with Redis, with the anchor as outside evidence


async def rewrite(
    made: Program, redis: Redis, change: Callable[[int, dict[str, Any]], None], drop: tuple[int, ...] = ()
) -> None:
    """Write the whole stream again with the writer key, with leaves changed and records dropped."""
    found = await read_stream(redis, LOG)
    await redis.delete(LOG)
    for old in found:
        entry = restored(old.fields, old.number, 0)
        leaf = json.loads(entry.leaf)
        change(old.number, leaf)
        if old.number not in drop:
            fields = signed_fields(made.folder / "var", canonical.dumps(leaf), entry.pieces)
            await redis.xadd(LOG, fields, id=old.id)  # type: ignore[arg-type]


async def fault_of(made: Program, *arguments: str) -> tuple[int, str]:
    ended = await made("verify", "--json", *arguments)
    assert ended.code == 1, ended.out + ended.err
    return ended.document["fault"]["at"], ended.document["fault"]["rule"]


async def test_another_word_in_a_leaf_in_redis_is_found_at_its_index(proven: Program, valkey: Redis) -> None:
    for index in reversed(range(SIZE)):  # each before the ones that are altered already
        await rewrite(proven, valkey, lambda at, leaf: leaf.update(worker="another:1") if at == index else None)  # noqa: B023
        assert await fault_of(proven) == (index, "leaf-hash")


async def test_a_dropped_tail_in_redis_is_found(proven: Program, valkey: Redis) -> None:
    await valkey.xdel(LOG, f"{SIZE - 1}-1")
    await valkey.hdel("audit:{0}:ticks", "t5")
    assert await fault_of(proven) == (SIZE - 1, "tail")


async def test_an_emptied_redis_is_found(proven: Program, valkey: Redis) -> None:
    await valkey.delete(LOG, "audit:{0}:ticks", CHECKPOINT)
    assert await fault_of(proven) == (0, "tail")


async def test_two_swapped_records_in_redis_are_found(proven: Program, valkey: Redis) -> None:
    found = await read_stream(valkey, LOG)
    await valkey.delete(LOG)
    for at, n in enumerate([0, 1, 2, 5, 4, 3, 6]):
        await valkey.xadd(LOG, found[n].fields, id=f"{at}-1")  # type: ignore[arg-type]
    await valkey.hset("audit:{0}:ticks", mapping={"t2": 5, "t4": 3})
    assert await fault_of(proven) == (3, "leaf-hash")


async def test_a_forged_checkpoint_in_redis_is_found(proven: Program, valkey: Redis) -> None:
    note = await valkey.get(CHECKPOINT)
    assert isinstance(note, bytes)
    await valkey.set(CHECKPOINT, note.replace(b"\n7\n", b"\n6\n"))
    assert (await fault_of(proven))[1] == "signature"


async def test_another_history_of_the_same_size_is_found_by_the_anchor_and_by_a_receipt(
    proven: Program, valkey: Redis
) -> None:
    given = await proven("receipt", "5")
    (proven.folder / "receipt.json").write_text(given.out, encoding="utf-8")
    state_dir = proven.folder / "var"
    await rewrite(proven, valkey, lambda at, leaf: leaf.update(worker="another:1") if at == 0 else None)
    assert await fault_of(proven) == (0, "leaf-hash")
    # whoever has the key and the state directory signs it all again: the receipt still tells
    shutil.rmtree(state_dir / "anchor")
    await valkey.delete(CHECKPOINT)
    await sign(valkey, state_dir)
    assert (await proven("verify")).code == 0
    assert await fault_of(proven, "--receipts", "receipt.json") == (SIZE - 1, "receipt")


async def test_losses_that_an_incident_names_leave_the_trail_intact(proven: Program, valkey: Redis) -> None:
    state_dir = proven.folder / "var"
    lost = {3, 4, 5, 6}
    await valkey.xdel(LOG, *(f"{index}-1" for index in lost))
    await valkey.hdel("audit:{0}:ticks", "t2", "t3", "t4", "t5")
    leaf = {
        "v": 1, "kind": "incident", "recorded_at_ms": await server_ms(valkey), "worker": "w", "attempts": 1, "code": "t",
        "verdict": {"action": "none", "reason": "lost"}, "incident": {"what": "lost", "first": 3, "last": 6},
    }  # fmt: skip
    await valkey.xadd(LOG, signed_fields(state_dir, canonical.dumps(leaf), {}), id="7-1")  # type: ignore[arg-type]
    await sign(valkey, state_dir)
    in_redis = await proven("verify", "--json")
    assert (in_redis.code, in_redis.document["verdict"]) == (0, "intact, with losses")
    assert (in_redis.document["losses"], in_redis.document["incidents"]) == ([[3, 6]], [7])
    assert (await anchor_of(valkey, state_dir)).hashes(7, 8) == [merkle.leaf_hash(canonical.dumps(leaf))]
    key = await vkey(proven)
    assert (await proven("export", "export")).code == 0
    for ended in (await proven("verify", "export", "--key", key), await audit(proven, "export", "--key", key)):
        assert (ended.code, "intact, with losses" in ended.out) == (0, True), ended
        assert re.search(r"records 3 to 6", ended.out)


# what stands in Redis beside the log, and what is outside

Change = Callable[[Redis], Any]
TICKS, SYMBOL, INSTANCE = "audit:{0}:ticks", "audit:{0}:symbol:AAPL", "audit:instance"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda redis: redis.rpush(SYMBOL, 2), (SIZE, "symbol-index")),
        (lambda redis: redis.rpop(SYMBOL), (5, "symbol-index")),
        (lambda redis: redis.lset(SYMBOL, 0, "01"), (1, "symbol-index")),
        (lambda redis: redis.rpush("audit:{0}:symbol:GHOST", 1), (SIZE, "symbol-index")),
        (lambda redis: redis.delete(SYMBOL), (1, "symbol-index")),
        (lambda redis: redis.hset(TICKS, "t1", "9" * 5000), (1, "tick-map")),
        (lambda redis: redis.hset(TICKS, "t1", "01"), (1, "tick-map")),
        (lambda redis: redis.hset(TICKS, "t1", "\u0661"), (1, "tick-map")),
    ],
)
async def test_maps_and_lists_say_just_what_the_records_say(
    proven: Program, valkey: Redis, change: Change, found: tuple[int, str]
) -> None:
    await change(valkey)
    assert await fault_of(proven) == found


@pytest.mark.parametrize("change", ["sequence", "field"])
async def test_a_log_entry_stands_at_its_index_with_one_field(proven: Program, valkey: Redis, change: str) -> None:
    entries = await read_stream(valkey, LOG)
    await valkey.delete(LOG)
    for old in entries:
        fields = old.fields | ({b"more": b"x"} if change == "field" and old.number == 3 else {})
        at = f"{old.number}-2" if change == "sequence" and old.number == 3 else old.id
        await valkey.xadd(LOG, fields, id=at)  # type: ignore[arg-type]
    assert await fault_of(proven) == (3, "record-form")


@pytest.mark.parametrize(
    "fields", [{"partitions": "x"}, {"partitions": "0"}, {"partitions": "1025"}, {"partitions": None}, {"id": b"\xff"}]
)
async def test_an_instance_that_cannot_be_read_is_told(
    proven: Program, valkey: Redis, fields: dict[str, str | bytes | None]
) -> None:
    for name, value in fields.items():
        await (valkey.hdel(INSTANCE, name) if value is None else valkey.hset(INSTANCE, name, value))
    ended = await proven("verify")
    assert (ended.code, "Traceback" in ended.err, "audit:instance" in ended.err) == (3, False, True)


@pytest.mark.parametrize(("name", "value"), [("id", "0" * 32), ("partitions", "2")])
async def test_another_instance_than_that_of_the_state_directory_is_told(
    proven: Program, valkey: Redis, name: str, value: str
) -> None:
    await valkey.hset(INSTANCE, name, value)
    ended = await proven("verify")
    assert (ended.code, "instance.json" in ended.err) == (3, True)


async def test_a_key_that_was_given_is_the_one_of_the_instance_in_redis(proven: Program, valkey: Redis) -> None:
    key = await vkey(proven)
    shutil.rmtree(proven.folder / "var")
    assert (await proven("verify", "--key", key)).code == 0
    await valkey.hset(INSTANCE, "partitions", "2")
    faults = [line["fault"] for line in (await proven("verify", "--key", key, "--json")).lines]
    assert (faults[0]["at"], faults[0]["rule"]) == (0, "partitions")
    await valkey.hset(INSTANCE, mapping={"partitions": "1", "id": "0" * 32})
    assert await fault_of(proven, "--key", key) == (0, "origin")


async def test_with_a_key_given_a_log_that_nothing_covers_is_a_fault(proven: Program, valkey: Redis) -> None:
    key = await vkey(proven)
    await valkey.delete(CHECKPOINT)
    shutil.rmtree(proven.folder / "var" / "anchor")
    without = await proven("verify", "--json")
    assert (without.code, "no anchor" in without.document["warnings"][1]) == (0, True)
    assert await fault_of(proven, "--key", key) == (0, "uncovered")


async def test_a_receipt_that_proves_nothing_is_not_held_against_redis(proven: Program) -> None:
    given = json.loads((await proven("receipt", "3")).out)
    given["proof"] = ["00" * 32] * len(given["proof"])
    (proven.folder / "receipt.json").write_text(json.dumps(given), encoding="utf-8")
    assert await fault_of(proven, "--receipt-held", "receipt.json") == (3, "inclusion")


async def test_leaf_hashes_that_the_anchor_lost_are_found(proven: Program, valkey: Redis) -> None:
    anchor = await anchor_of(valkey, proven.folder / "var")
    os.truncate(anchor.directory / "leaves", 4 * merkle.HASH_BYTES)
    assert await fault_of(proven) == (4, "tail")


async def test_an_anchor_older_than_the_checkpoint_in_redis_is_warned_of(proven: Program, valkey: Redis) -> None:
    state_dir = proven.folder / "var"
    anchor = await anchor_of(valkey, state_dir)
    before = (anchor.directory / "checkpoints").read_bytes()
    newest = (await read_stream(valkey, LOG))[0]
    leaf = canonical.loads(restored(newest.fields, 0, 0).leaf) | {"recorded_at_ms": await server_ms(valkey)}
    del leaf["enrolment"]
    await valkey.xadd(LOG, signed_fields(state_dir, canonical.dumps(leaf), {}), id=f"{SIZE}-1")  # type: ignore[arg-type]
    await sign(valkey, state_dir)
    assert "newer than the anchor's" not in str((await proven("verify", "--json")).document["warnings"])
    (anchor.directory / "checkpoints").write_bytes(before)
    verified = await proven("verify", "--json")
    assert (verified.code, "newer than the anchor's" in verified.document["warnings"][0]) == (0, True)


async def test_every_checkpoint_says_how_many_partitions_there_are(proven: Program, valkey: Redis) -> None:
    notes = (await anchor_of(valkey, proven.folder / "var")).checkpoints()
    assert notes
    assert all("\npartitions 1\n" in told for told in notes)


async def test_a_partition_that_vanished_from_an_export_is_found_by_both(valkey: Redis, dumb: Program) -> None:
    state_dir = dumb.folder / "var"
    await bind_instance(valkey, state_dir, partitions=2)
    await make_unsigned(valkey, dumb)
    await sign(valkey, state_dir)
    await dumb("export", "export")
    key = await vkey(dumb)
    file = dumb.folder / "export" / "manifest.json"
    manifest = json.loads(file.read_bytes())
    filled = max(manifest["partitions"], key=lambda part: part["size"])["partition"]
    assert (await audit(dumb, "export", "--key", key)).code == 0
    if filled == 0:
        del manifest["partitions"][1]
    else:
        manifest["partitions"].append(manifest["partitions"][0] | {"partition": 2, "origin": f"{manifest['origin']}/2"})
        shutil.copytree(dumb.folder / "export" / "0", dumb.folder / "export" / "2")
    file.write_text(json.dumps(manifest), encoding="utf-8")
    for ended in (await audit(dumb, "export", "--key", key), await dumb("verify", "export", "--key", key)):
        assert (ended.code, "breaks partitions" in ended.out) == (1, True), ended


# the command that signs


async def test_the_notary_makes_its_key_signs_and_ends_with_0(dumb: Program, valkey: Redis) -> None:
    await make_unsigned(valkey, dumb)
    await valkey.set("audit:{0}:durable", 3)
    process = await dumb.start("notary", "--json")
    assert process.stdout is not None
    line = json.loads(await asyncio.wait_for(process.stdout.readline(), 120))
    assert line["size"] == 3
    assert (await dumb.stop(process)).code == 0
    verified = await dumb("verify", "--json")
    assert (verified.document["covered"], verified.document["warnings"]) == (3, [])
    status = (await dumb("status", "--json")).document
    assert status["key"] == await vkey(dumb)
    assert status["partitions"][0]["checkpoint"].startswith("over 3 at ")


async def test_the_notary_refuses_to_sign_what_contradicts_its_anchor(proven: Program, valkey: Redis) -> None:
    await rewrite(proven, valkey, lambda at, leaf: leaf.update(worker="another:1") if at == 2 else None)
    ended = await proven("notary")
    assert (ended.code, "A fork at index 2" in ended.err) == (1, True)


async def test_key_shows_makes_and_never_overwrites(dumb: Program, valkey: Redis) -> None:
    assert (await dumb("key")).code == 3
    await make_unsigned(valkey, dumb)
    assert (await dumb("key")).code == 0  # the key is made with the trail
    for file in (dumb.folder / "var" / "keys").iterdir():
        file.unlink()
    assert (await dumb("key")).code == 3
    made = await dumb("key", "--make")
    assert made.code == 0
    assert re.fullmatch(r"llmctx/[0-9a-f]{32}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}\n", made.out)
    shown = (await dumb("key", "--json")).document
    assert shown["vkey"] == made.out.strip()
    assert (await dumb("key", "--make")).code == 2
    (dumb.folder / shown["file"]).chmod(0o644)
    ended = await dumb("key")
    assert (ended.code, "chmod 600" in ended.err) == (2, True)
