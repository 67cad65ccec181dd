"""docs/threat-model.md lists every alteration below as noticed or not; each is made on a real trail and verified."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from llmctx.trail.proof.key import SigningKey
from tests.conftest import ROOT
from tests.integration import alterations as made
from tests.integration.alterations import LAST, LATEST, LIST, LOG, MAP, STREAM, Act, Altered, command, file, rewritten
from tests.integration.forged import FORGED
from tests.integration.program import Program
from tests.integration.test_prove import make_trail
from tests.unit.audit.exports import vkey

PAGE = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
NOT_NOTICED = ""


class Saved(NamedTuple):
    """The trail before it is altered."""

    keys: dict[bytes, bytes]
    folder: Path
    key: str


def other_key(raw: bytes) -> bytes:
    return SigningKey.new(SigningKey.read(raw.decode()).key.name).text.encode()


def leaf_changed(raw: bytes) -> bytes:
    return raw.replace(b'"attempts":1', b'"attempts":2', 1)


LIVE: dict[str, tuple[Act, str]] = {
    # the log
    "change a record": (rewritten(made.reworded), "leaf-hash"),
    "change a record's evidence": (rewritten(made.other_evidence), "evidence-digest of messages"),
    "drop a record": (command("XDEL", LOG, "3-1"), "contiguity"),
    "drop a record and close the gap": (rewritten(made.dropped), "contiguity"),
    "swap two records": (rewritten(made.swapped), "leaf-hash"),
    "insert a record": (rewritten(made.inserted), "leaf-hash"),
    "remove the newest record": (command("XDEL", LOG, f"{LAST}-1"), "tail"),
    "empty the log": (command("XTRIM", LOG, "MAXLEN", 0), "tail"),
    "put another type in place of the log": (made.both(command("DEL", LOG), command("SET", LOG, "x")), "tail"),
    "append an entry that is no record": (command("XADD", LOG, "*", "a", "b"), "contiguity"),
    "append a second entry at an index": (command("XADD", LOG, f"{LAST}-2", "record", "x"), "contiguity"),
    "remove a record's proof": (made.with_proof(None), "writer-proof"),
    "change a record's proof": (made.with_proof(b"x" * 68), "writer-proof"),
    "append a well-formed false record": (made.append_false_record, "writer-proof"),
    "append a notice again": (made.append_notice_again, "writer-proof"),
    # the map and the lists
    "remove a tick from the map": (command("HDEL", MAP, "t1"), "tick-map"),
    "plant a tick in the map": (command("HSET", MAP, "planted", 2), "tick-map"),
    "plant a tick in the map with something else than an index": (command("HSET", MAP, "planted", "x"), "tick-map"),
    "move a tick in the map": (command("HSET", MAP, "t1", 3), "tick-map"),
    "put something else than an index into the map": (command("HSET", MAP, "t1", "x"), "tick-map"),
    "put another type in place of the map": (made.both(command("DEL", MAP), command("SET", MAP, "x")), "tick-map"),
    "remove the map": (command("DEL", MAP), "tick-map"),
    "remove a record from a symbol's list": (command("RPOP", LIST), "symbol-index"),
    "remove a symbol's list": (command("DEL", LIST), "symbol-index"),
    "put another type in place of a symbol's list": (
        made.both(command("DEL", LIST), command("SET", LIST, "x")),
        "symbol-index",
    ),
    "add a record to a symbol's list": (command("RPUSH", LIST, 2), "symbol-index"),
    "add something else than an index to a symbol's list": (command("RPUSH", LIST, "x"), "symbol-index"),
    "make a list for another symbol": (command("RPUSH", "audit:{0}:symbol:EVIL", 1), "symbol-index"),
    # what is said to be archived
    "say that records are archived": (command("HSET", "audit:{0}:base", "size", 5), "base"),
    "cut old records off under a genuine checkpoint": (made.cut_off, "base"),
    "keep a record that was never archived": (command("HSET", "audit:{0}:kept", "3 record", "x"), "kept"),
    # blobs
    "change a template": (made.blob_named("prompt", "template_sha256", "x"), "blob-digest of template_sha256"),
    "delete a template": (made.blob_named("prompt", "template_sha256", None), "blob-digest of template_sha256"),
    "change a schema": (made.blob_named("request", "schema_sha256", "x"), "blob-digest of schema_sha256"),
    "put another type in place of a template": (
        made.blob_named("prompt", "template_sha256", ["x"]),
        "blob-digest of template_sha256",
    ),
    "put another type in place of the kept records": (command("SET", "audit:{0}:kept", "x"), "kept"),
    "put another type in place of what is archived": (command("SET", "audit:{0}:base", "x"), "base"),
    # what others said
    "plant an id among those of effects and people": (command("HSET", "audit:{0}:effects", "planted", 2), "id-map"),
    "list a dictionary that is not there": (
        command("HSET", "audit:{0}:dictionaries", "0" * 16, f"5 {'0' * 64}"),
        NOT_NOTICED,
    ),
    # checkpoints
    "replace the checkpoint by something else": (command("SET", made.CHECKPOINT, "x"), "note-grammar"),
    "put another type in place of the checkpoint": (
        made.both(command("DEL", made.CHECKPOINT), command("RPUSH", made.CHECKPOINT, "x")),
        "note-grammar",
    ),
    "sign a checkpoint with another key": (made.sign_with_another_key, "signature"),
    "delete the checkpoint": (command("DEL", made.CHECKPOINT), NOT_NOTICED),
    "put back an older checkpoint": (made.put_back_older_checkpoint, NOT_NOTICED),
    # what is published
    "publish a false decision": (command("XADD", STREAM, "*", "decision", "{}"), "published"),
    "publish a false decision at the next index": (
        command("XADD", STREAM, f"{LAST + 1}-1", "decision", "{}"),
        "published",
    ),
    "change a decision that was published": (made.change_published, "published"),
    "forge a symbol's latest decision": (made.forge_latest, "published"),
    "put back an older latest decision": (made.put_back_older_latest, "published"),
    "forge the latest decision of another symbol": (command("COPY", LATEST, f"{LATEST}X"), "published"),
    "put another type in place of the published decisions": (
        made.both(command("DEL", STREAM), command("SET", STREAM, "x")),
        "published",
    ),
    "delete a published decision": (made.delete_decision, f"warning: not published any more: {STREAM}"),
    "delete a symbol's latest decision": (command("DEL", LATEST), f"warning: not published any more: {LATEST}"),
    # functions
    "replace a function": (made.replace_join, "functions"),
    "load a function under another library's name": (made.load_join_elsewhere, "functions"),
    # the instance
    "change the instance": (command("HSET", "audit:instance", "id", "f" * 32), "exit 3"),
    "delete the instance": (command("DEL", "audit:instance"), "exit 3"),
    "change the number of partitions": (command("HSET", "audit:instance", "partitions", 2), "exit 3"),
    "empty the server": (command("FLUSHALL"), "exit 3"),
    # mere writes of live keys
    "write a false price or position": (command("SET", "stocks:price:AAPL", "{}"), NOT_NOTICED),
    "raise a tick": (command("XADD", "ticks:{0}", "*", "id", "x", "symbol", "AAPL"), NOT_NOTICED),
    "move the ticks' consumer group, or read in its name": (
        command("XGROUP", "SETID", "ticks:{0}", "deciders", "18446744073709551615-1"),
        NOT_NOTICED,
    ),
    "raise a tick with the last possible id": (
        command("XADD", "ticks:{0}", "18446744073709551615-18446744073709551615", "id", "x", "symbol", "AAPL"),
        NOT_NOTICED,
    ),
    "report an effect with the last possible id": (
        command("XADD", "effects:{0}", "18446744073709551615-18446744073709551615", "effect", "x"),
        NOT_NOTICED,
    ),
    "delete a tick that waits": (command("DEL", "ticks:{0}"), NOT_NOTICED),
    "count attempts for a tick": (command("HSET", "ticks:{0}:attempts", "x", 5), NOT_NOTICED),
    "change the durable size": (command("SET", "audit:{0}:durable", 0), NOT_NOTICED),
    "reserve room in the limits of several positions, or give it back": (
        command("HSET", "controls:reserved", "x", "{}"),
        NOT_NOTICED,
    ),
    "change what was used of the daily budget": (command("HSET", "budget:day", "all calls", 0), NOT_NOTICED),
    "change what was used of an endpoint's limits of a minute": (
        command("HSET", "limits:llm:main", "1", "1 1"),
        NOT_NOTICED,
    ),
    "set or remove a key that halts": (command("SET", "controls:halt", "x"), NOT_NOTICED),
    "take the lease": (command("HSET", "audit:{0}:lease", "owner", "x"), NOT_NOTICED),
    "write a newer record format into the lease": (command("HSET", "audit:{0}:lease", "format", "99"), NOT_NOTICED),
    "set a lifetime on a key of the trail": (command("EXPIRE", LOG, 3600), NOT_NOTICED),
    "reset the count of repairs": (command("DEL", "audit:{0}:repairs"), NOT_NOTICED),
    # the state directory
    "change a leaf hash in the anchor": (
        file(lambda on: on.anchor / "leaves", lambda raw: raw[:32] + b"x" * 32 + raw[64:]),
        "leaf-hash",
    ),
    "cut the anchor's leaf hashes": (file(lambda on: on.anchor / "leaves", lambda raw: raw[:64]), "tail"),
    "change a checkpoint in the anchor": (
        file(lambda on: on.anchor / "checkpoints", lambda raw: raw.replace(b"time 1", b"time 2", 1)),
        "signature",
    ),
    "delete the anchor": (file(lambda on: on.anchor, lambda _: None), "warning: this state directory has no anchor"),
    "replace the public key": (
        file(lambda on: on.folder / f"var/keys/{on.anchor.parent.name}.pub", lambda _: vkey().encode() + b"\n"),
        "origin",
    ),
    "replace the private key": (
        file(lambda on: on.folder / f"var/keys/{on.anchor.parent.name}", other_key),
        "warning: The instance key",
    ),
    "change a segment of the spool": (file(lambda on: on.segment, lambda raw: raw[:-9] + b"x" * 9), NOT_NOTICED),
    "delete the spool": (file(lambda on: on.folder / "var/spool", lambda _: None), NOT_NOTICED),
}
"""What is done to the server or the state directory, and the rule that `llmctx verify` names."""
EXPORT: dict[str, tuple[Act, str]] = {
    "change a leaf of an export": (file(lambda on: on.export / "0/leaves.jsonl", leaf_changed), "leaf-hash"),
    "change evidence of an export": (
        file(lambda on: on.export / "0/evidence.jsonl", lambda raw: raw.replace(b"AAPL", b"AAPX", 1)),
        "evidence-digest of",
    ),
    "drop the last record of an export": (
        file(lambda on: on.export / "0/leaves.jsonl", lambda raw: raw[: raw[:-1].rindex(b"\n") + 1]),
        "lines",
    ),
    "change a blob of an export": (
        file(lambda on: next((on.export / "blobs").iterdir()), lambda raw: raw + b" "),
        "blob-digest",
    ),
    "change a checkpoint of an export": (
        file(lambda on: on.export / "0/checkpoints", lambda raw: raw.replace(b"time 1", b"time 2", 1)),
        "signature",
    ),
    "remove the checkpoints of an export": (file(lambda on: on.export / "0/checkpoints", lambda _: b""), "uncovered"),
    "replace the key of an export": (
        file(lambda on: on.export / "trail.pub", lambda _: vkey().encode() + b"\n"),
        "key",
    ),
    "change the origin of an export": (
        file(lambda on: on.export / "manifest.json", lambda raw: raw.replace(b"llmctx/", b"llmctx/x")),
        "origin",
    ),
}
"""What is done to an export, and the rule that `llmctx verify DIR --key` names."""
ALL = LIVE | EXPORT


_saved: list[Saved] = []


@pytest.fixture
async def altered(
    valkey: Redis, valkey_url: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, short_pauses: None
) -> tuple[Altered, Program, str]:
    """The trail, made once and restored for each test, and the program on it."""
    del short_pauses
    if not _saved:
        program = await make_trail(valkey, valkey_url, Program(valkey_url, tmp_path_factory.mktemp("trail")))
        assert (await program("export", "export")).code == 0
        dump = {name: await valkey.dump(name) async for name in valkey.scan_iter()}
        _saved.append(Saved(dump, program.folder, (await program("key")).out.strip()))  # type: ignore[arg-type]
        await valkey.flushall()
    (saved,) = _saved
    for name, raw in saved.keys.items():
        await valkey.restore(name, 0, raw)
    shutil.copytree(saved.folder, tmp_path, dirs_exist_ok=True)
    return Altered(valkey, tmp_path), Program(valkey_url, tmp_path), saved.key


async def outcome(program: Program, *arguments: str) -> str:
    """The rule that verify names, `exit 3`, or its warnings."""
    ended = await program("verify", *arguments, "--json")
    if ended.code == 3:
        return "exit 3"
    report = ended.lines[0]
    assert ended.code == (0 if report["fault"] is None else 1)
    if report["fault"]:
        return str(report["fault"]["rule"])
    return "".join(f"warning: {text}" for text in report["warnings"] if "not covered by a checkpoint yet" not in text)


def fits(found: str, wanted: str) -> bool:
    return found == wanted if wanted == NOT_NOTICED else found.startswith(wanted)


async def test_the_trail_itself_verifies(altered: tuple[Altered, Program, str]) -> None:
    _, program, key = altered
    assert await outcome(program) == await outcome(program, "export", "--key", key) == NOT_NOTICED


@pytest.mark.parametrize("name", LIVE)
async def test_an_alteration_is_named_as_the_page_says(altered: tuple[Altered, Program, str], name: str) -> None:
    on, program, _ = altered
    act, wanted = LIVE[name]
    await act(on)
    found = await outcome(program)
    assert fits(found, wanted), found


@pytest.mark.parametrize("kind", FORGED)
async def test_a_forged_entry_of_any_kind_is_named(altered: tuple[Altered, Program, str], kind: str) -> None:
    on, program, _ = altered
    await FORGED[kind](on)
    assert await outcome(program) == {"enrolment": "enrolment", "lost": "incident"}.get(kind, "writer-proof")


@pytest.mark.parametrize("name", EXPORT)
async def test_an_altered_export_is_named_as_the_page_says(altered: tuple[Altered, Program, str], name: str) -> None:
    on, program, key = altered
    act, wanted = EXPORT[name]
    await act(on)
    found = await outcome(program, "export", "--key", key)
    assert fits(found, wanted), found


def rows(heading: str) -> dict[str, str]:
    """First and second column of the table under a heading of the page."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", section, re.MULTILINE)
    return {name: said for name, said in found if name not in ("alteration", "---")}


def test_the_page_lists_every_alteration_that_verify_names() -> None:
    noticed = {name: wanted for name, (_, wanted) in ALL.items() if wanted != NOT_NOTICED}
    listed = rows("What `verify` names")
    assert listed.keys() == noticed.keys()
    for name, wanted in noticed.items():
        rule = (
            "a warning" if wanted.startswith("warning") else "exit code 3" if wanted == "exit 3" else wanted.split()[0]
        )
        assert rule in listed[name], name


def test_the_page_lists_by_name_what_verify_does_not_name() -> None:
    assert rows("What `verify` does not name").keys() == {name for name, (_, wanted) in ALL.items() if not wanted}


def test_there_are_enough_of_them() -> None:
    assert len([name for name, (_, wanted) in ALL.items() if wanted != NOT_NOTICED]) >= 25
