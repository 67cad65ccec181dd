"""Named alterations of a small real trail, each with what `llmctx verify` says of it; docs/threat-model.md lists them."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection.streams import read_stream
from llmctx.context import reader
from llmctx.functions import execute
from llmctx.schema import keys
from llmctx.trail.log.base import Base
from llmctx.trail.log.entry import restored
from llmctx.trail.log.packing import reference_of
from llmctx.trail.proof.merkle import CompactRange
from llmctx.trail.proof.notes import split_notes
from tests.unit.audit.exports import note
from tests.unit.makers import stored

LOG, MAP, LIST = "audit:{0}:log", "audit:{0}:ticks", "audit:{0}:symbol:AAPL"
CHECKPOINT, STREAM, LATEST = "audit:{0}:checkpoint", keys.decisions(0), keys.latest(0, "AAPL")
LAST = 6
"""The index of the trail's last record."""


class Altered(NamedTuple):
    """What an alteration is made on."""

    redis: Redis
    folder: Path
    """The program's folder: var (the state directory), export, receipt.json."""

    @property
    def anchor(self) -> Path:
        return next((self.folder / "var/anchor").glob("*/0"))

    @property
    def export(self) -> Path:
        return self.folder / "export"

    @property
    def segment(self) -> Path:
        return next(path for path in sorted((self.folder / "var/spool").rglob("*")) if path.is_file())


Act = Callable[[Altered], Awaitable[object]]


def command(*words: str | bytes | int) -> Act:
    """One Redis command."""
    return lambda on: execute(on.redis, *words)


def rewritten(change: Callable[[dict[int, dict[str, Any]], dict[int, dict[str, bytes]]], None]) -> Act:
    """The whole log written anew, after a change of its leaves and pieces by index."""

    async def act(on: Altered) -> None:
        entries = [restored(found.fields, found.number, 0) for found in await read_stream(on.redis, LOG)]
        assert all(reference_of(entry.packed) is None for entry in entries)
        leaves = {entry.index: json.loads(entry.leaf) for entry in entries}
        pieces = {entry.index: dict(entry.pieces) for entry in entries}
        proofs = {entry.index: entry.proof for entry in entries}
        change(leaves, pieces)
        await on.redis.delete(LOG)
        for index, leaf in sorted(leaves.items()):
            fields = stored(canonical.dumps(leaf), pieces[index]) | {b"proof": proofs.get(index, b"none")}
            await on.redis.xadd(LOG, fields, id=f"{index}-1")  # type: ignore[arg-type]

    return act


def file(path: Callable[[Altered], Path], change: Callable[[bytes], bytes | None]) -> Act:
    """A file with other bytes; None removes it, and a folder with it."""

    async def act(on: Altered) -> None:
        found = path(on)
        await asyncio.sleep(0)
        if found.is_dir():
            shutil.rmtree(found)
        elif (raw := change(found.read_bytes())) is None:
            found.unlink()
        else:
            assert raw != found.read_bytes()
            found.write_bytes(raw)

    return act


def both(*acts: Act) -> Act:
    async def act(on: Altered) -> None:
        for each in acts:
            await each(on)

    return act


async def append_false_record(on: Altered) -> None:
    """A well-formed skipped record, with map and list to fit."""
    leaf = {
        "v": 1, "kind": "skipped", "tick": "false", "symbol": "AAPL", "cause": "x", "recorded_at_ms": 1, "worker": "w",
        "attempts": 1, "code": "t", "verdict": {"action": "none", "reason": "no price"},
    }  # fmt: skip
    leaf["recorded_at_ms"] = int((await on.redis.time())[0]) * 1000
    await on.redis.xadd(LOG, stored(canonical.dumps(leaf), {}), id=f"{LAST + 1}-1")  # type: ignore[arg-type]
    await on.redis.hset(MAP, "false", LAST + 1)
    await on.redis.rpush(LIST, LAST + 1)


async def append_notice_again(on: Altered) -> None:
    """The notice that fixed the clock, with its proof."""
    entries = await read_stream(on.redis, LOG)
    found = next(each for each in entries[1:] if restored(each.fields, each.number, 0).record["kind"] == "notice")
    await on.redis.xadd(LOG, found.fields, id=f"{LAST + 1}-1")  # type: ignore[arg-type]


def with_proof(proof: bytes | None) -> Act:
    """Record 3 with another proof, or with none."""

    async def act(on: Altered) -> None:
        found = await read_stream(on.redis, LOG)
        await on.redis.delete(LOG)
        for each in found:
            record = {b"record": each.fields[b"record"]}
            fields = each.fields if each.number != 3 else record if proof is None else record | {b"proof": proof}
            await on.redis.xadd(LOG, fields, id=each.id)  # type: ignore[arg-type]

    return act


async def forge_latest(on: Altered) -> None:
    document = json.loads(await on.redis.get(LATEST) or b"")
    await on.redis.set(LATEST, json.dumps(document | {"action": "exit"}))


async def put_back_older_latest(on: Altered) -> None:
    oldest = (await read_stream(on.redis, STREAM))[0]
    await on.redis.set(LATEST, oldest.fields[b"decision"])


async def change_published(on: Altered) -> None:
    """The stream anew under the same ids, with another action in the first decision."""
    entries = await read_stream(on.redis, STREAM)
    await on.redis.delete(STREAM)
    for number, entry in enumerate(entries):
        document = json.loads(entry.fields[b"decision"]) | ({} if number else {"action": "exit"})
        await on.redis.xadd(STREAM, {"decision": json.dumps(document)}, id=entry.id)


async def delete_decision(on: Altered) -> None:
    await on.redis.xdel(STREAM, (await read_stream(on.redis, STREAM))[1].id)


async def replace_join(on: Altered) -> None:
    code = reader._JOIN._library.replace("  return answer", "  answer[3] = '{}'\n  return answer")
    await execute(on.redis, "FUNCTION", "LOAD", "REPLACE", code)


async def load_join_elsewhere(on: Altered) -> None:
    await on.redis.function_flush()
    code = reader._JOIN._library.replace(f"#!lua name={reader._JOIN.name}", "#!lua name=helpful", 1)
    await execute(on.redis, "FUNCTION", "LOAD", code)


def blob_named(section: str, field: str, value: str | list[str] | None) -> Act:
    """The blob that the first decision names, with another text, another type, or gone."""

    async def act(on: Altered) -> None:
        entries = [restored(found.fields, found.number, 0) for found in await read_stream(on.redis, LOG)]
        digest = next(entry.record[section][field] for entry in entries if section in entry.record)
        name = f"audit:{{0}}:blob:{digest}"
        await on.redis.delete(name)
        if value is not None:
            await (on.redis.set(name, value) if isinstance(value, str) else on.redis.rpush(name, *value))

    return act


async def sign_with_another_key(on: Altered) -> None:
    origin = next(line for line in (on.anchor / "checkpoints").read_text(encoding="utf-8").splitlines())
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    await on.redis.set(CHECKPOINT, note(LAST + 1, b"r" * 32, 1, private=other, origin=origin, name=origin[:-2]))


async def cut_off(on: Altered) -> None:
    """Everything below the newest checkpoint, with a base that has all that anybody can know."""
    leaves, notes = (on.anchor / "leaves").read_bytes(), split_notes((on.anchor / "checkpoints").read_bytes())[0]
    tree = CompactRange(leaves[at : at + 32] for at in range(0, len(leaves), 32))
    base = Base(tree.size, notes[-1], tree.subtrees, (), "/mnt/archive", "00" * 32, LAST)
    await on.redis.hset("audit:{0}:base", mapping=base.fields)  # type: ignore[arg-type]
    await on.redis.xtrim(LOG, minid=f"{tree.size}-0", approximate=False)
    await on.redis.delete(*[name async for name in on.redis.scan_iter("audit:{0}:symbol:*")])


async def put_back_older_checkpoint(on: Altered) -> None:
    notes, _ = split_notes((on.anchor / "checkpoints").read_bytes())
    await on.redis.set(CHECKPOINT, notes[0])


def dropped(leaves: dict[int, dict[str, Any]], pieces: dict[int, dict[str, bytes]]) -> None:
    del leaves[3], pieces[3]


def swapped(leaves: dict[int, dict[str, Any]], pieces: dict[int, dict[str, bytes]]) -> None:
    leaves[2], leaves[3], pieces[2], pieces[3] = leaves[3], leaves[2], pieces[3], pieces[2]


def inserted(leaves: dict[int, dict[str, Any]], pieces: dict[int, dict[str, bytes]]) -> None:
    for index in range(LAST, 1, -1):
        leaves[index + 1], pieces[index + 1] = leaves[index], pieces[index]
    leaves[2], pieces[2] = leaves[0] | {"worker": "another"}, {}


def reworded(leaves: dict[int, dict[str, Any]], _: dict[int, dict[str, bytes]]) -> None:
    leaves[3]["worker"] = "another"


def other_evidence(_: dict[int, dict[str, Any]], pieces: dict[int, dict[str, bytes]]) -> None:
    index = next(index for index, found in pieces.items() if "messages" in found)
    pieces[index]["messages"] += b" "
