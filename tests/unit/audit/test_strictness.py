"""Both verifiers are equally strict: one table of what is found, where, and by which rule."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

from . import exports
from .exports import (
    ORIGIN,
    START_MS,
    STEP_MS,
    Check,
    Found,
    Made,
    Record,
    Verifier,
    bare,
    canonical,
    good,
    leaf_hash,
    lossy,
    made,
    note,
    receipt,
    record,
    tree_root,
    vkey,
)
from .test_verifiers import _alone

DEEP = 200


def signed(of: Made, index: int, more: str, time_ms: int | None = None) -> None:
    """Sign a checkpoint again, with a further line."""
    size = (3, 5, 7)[index]
    time_ms = START_MS + size * STEP_MS if time_ms is None else time_ms
    of.notes[index] = note(size, tree_root(of.hashes[:size]), time_ms, *more.split("|"))


# receipts held outside


def held(folder: Path, name: str, document: object) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize("changed", [3, 5])
def test_of_several_receipts_at_one_index_each_must_be_found(verify: Verifier, tmp_path: Path, changed: int) -> None:
    records = good()
    records[changed] = record(changed, worker="fork:1")
    fork, right = receipt(made(records), 3, 7), receipt(made(), 3, 7)
    paths = (held(tmp_path, "fork", fork), held(tmp_path, "good", right))
    folder = made().write(tmp_path / "e")
    for order in (paths, paths[::-1]):
        assert verify(folder, None, order) == Found(3 if changed == 3 else 6, "receipt")


BAD_RECEIPTS: list[tuple[dict[str, Any], Found]] = [
    ({"proof": ["00" * 32] * 3}, Found(3, "inclusion")),
    ({"checkpoint": note(7, tree_root(made().hashes), 1, name="other")}, Found(3, "signature")),
    ({"checkpoint": note(7, tree_root(made().hashes), 1, "late-since 1", "late-since 1")}, Found(3, "note-grammar")),
    ({"checkpoint": note(7, tree_root(made().hashes), 1, "partitions 2")}, Found(3, "partitions")),
    ({"checkpoint": note(7, tree_root(made().hashes), None)}, Found(3, "note-grammar")),
    ({"checkpoint": note(5, tree_root(made().hashes[:5]), 1)}, Found(0, "receipt-form")),
    ({"checkpoint": 5}, Found(0, "receipt-form")),
    ({"origin": f"{ORIGIN}/00"}, Found(0, "receipt-form")),
    ({"size": True}, Found(0, "receipt-form")),
    ({"proof": {}}, Found(0, "receipt-form")),
    ({"index": True}, Found(0, "receipt-form")),
]


@pytest.mark.parametrize(("changes", "found"), BAD_RECEIPTS)
def test_a_receipt_is_good_alone_before_it_is_held_against_a_trail(
    check: Check, tmp_path: Path, changes: dict[str, Any], found: Found
) -> None:
    path = held(tmp_path, "held", receipt(made(), 3, 7) | changes)
    assert check(made(), None, (path,)) == found


@pytest.mark.parametrize("address", ["-1", "-1:3", "+3", " 3", "03", "0:03", "3:", ":3", "\u0663", "3\n", ""])
def test_an_address_has_one_form(verify: Verifier, tmp_path: Path, address: str) -> None:
    path = held(tmp_path, "noted", {"address": address, "leaf_hash": made().hashes[3].hex()})
    assert _alone(verify, path) == "receipt-form"


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.decode().encode("utf-16"),
        lambda raw: raw.replace(b'"index": 3', b'"index": 4, "index": 3'),
        lambda raw: raw.replace(b'"index": 3', b'"index": 3, "more": NaN'),
        lambda raw: raw.replace(b'"index": 3', b'"index": 3, "more": "\\ud800"'),
        lambda raw: raw.replace(b'"index": 3', b'"index": 3, "more": ' + b"[" * DEEP + b"]" * DEEP),
        lambda raw: raw.replace(b'"index": 3', b'"index": 3, "more": ' + b"[" * 100_000),
    ],
)
def test_a_receipt_in_another_json_is_refused(
    verify: Verifier, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path = held(tmp_path, "receipt", receipt(made(), 3, 7))
    path.write_bytes(change(path.read_bytes()))
    assert _alone(verify, path) == "receipt-form"


def test_a_receipt_of_a_record_of_another_form_is_found(verify: Verifier, tmp_path: Path) -> None:
    records = good()
    leaf = json.loads(records[3].leaf)
    del leaf["worker"]
    records[3] = records[3]._replace(leaf=canonical(leaf))
    assert _alone(verify, held(tmp_path, "receipt", receipt(made(records), 3, 7))) == "record-form"


# records

FORMS: list[dict[str, Any]] = [
    {"attempts": 0},
    {"recorded_at_ms": -1},
    {"as_of_ms": -1},
    {"incident": {"what": "differs"}},
    {"verdict": {"action": "hold"}},
    {"prompt": {"sha256": "0" * 64}},
    {"snapshot": {"sha256": "AB" * 32, "sections": {}}},
    {"request": {"schema_sha256": "x" * 400}},
    {"decision": {}},
    {"completion": {}},
    {"completion": {"outcome": "answered", "answer_from": "tool call"}},
]


@pytest.mark.parametrize("changes", FORMS)
def test_what_the_schema_demands_of_a_record_is_demanded(check: Check, changes: dict[str, Any]) -> None:
    records = good()
    records[2] = record(2, **changes)
    assert check(made(records)) == Found(2, "record-form")


STANDING = {"address": "1", "leaf_hash": "0" * 64, "action": "hold"}


@pytest.mark.parametrize(
    ("changes", "ok"),
    [
        ({"kind": "unasked", "standing": STANDING}, True), ({"kind": "unasked"}, False), ({"standing": STANDING}, False),
        ({"kind": "unasked", "standing": STANDING | {"leaf_hash": "0"}}, False),
        ({"kind": "unasked", "standing": {"address": "1", "leaf_hash": "0" * 64}}, False),
    ],
)  # fmt: skip
def test_an_unasked_tick_alone_names_the_decision_that_stands(check: Check, changes: dict[str, Any], ok: bool) -> None:
    records = good()
    records[2] = record(2, **changes)
    assert check(made(records)) == (Found() if ok else Found(2, "record-form"))


@pytest.mark.parametrize("name", ["snapshot", "prompt", "request", "completion", "decision"])
def test_a_decision_has_all_its_parts(check: Check, name: str) -> None:
    records = good()
    leaf = json.loads(records[2].leaf)
    del leaf[name]
    records[2] = records[2]._replace(leaf=canonical(leaf))
    assert check(made(records)) == Found(2, "record-form")


@pytest.mark.parametrize("said", [{"first": "2"}, {"first": None}, {"first": True}, {"first": 4}])
def test_a_gap_is_explained_by_a_good_incident_alone(check: Check, said: dict[str, object]) -> None:
    assert check(lossy(said=said)) == Found(2, "contiguity")


def test_true_is_no_index_of_an_incident(check: Check) -> None:
    found = check(lossy(1, 1, {"first": True, "last": True}))
    assert found == Found(1, "contiguity")


@pytest.mark.parametrize("deep", [DEEP - 1, DEEP])
def test_a_leaf_nests_two_hundred_deep_and_no_deeper(check: Check, deep: int) -> None:
    records = good()
    more: Any = "[" * deep + "]" * deep
    records[2] = record(2, x=json.loads(more))
    found = check(made(records))
    assert found == (Found() if deep < DEEP else Found(2, "canonical-form"))


def test_base64_of_what_is_text_is_refused(check: Check) -> None:
    of = made()
    text = of.records[4].pieces["messages"].encode()
    of.records[4].pieces["messages"] = {"base64": base64.b64encode(text).decode()}
    assert check(of) == Found(4, "evidence-form")


def test_blobs_come_after_the_leaf_hash(verify: Verifier, folder: Path) -> None:
    file = folder / "0" / "leaf-hashes"
    file.write_text(file.read_text().replace(made().hashes[1].hex(), "00" * 32), encoding="utf-8")
    for blob in (folder / "blobs").iterdir():
        blob.unlink()
    assert verify(folder) == Found(1, "leaf-hash")


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_no_file_among_the_blobs_is_found(verify: Verifier, folder: Path, kind: str) -> None:
    path = folder / "blobs" / ("0" * 64)
    path.mkdir() if kind == "folder" else path.symlink_to("nowhere")
    assert verify(folder) == Found(0, "blob-digest")


# the files beside leaves and evidence

LINES: list[tuple[str, list[str], Found]] = [
    ("lost.jsonl", ["[]"], Found(0, "lost-hash")),
    ("lost.jsonl", ["2 3 {}"], Found(3, "lost-hash")),
    ("lost.jsonl", ["2", '{"index":3,"leaf_hash":"AB"}'], Found(3, "lost-hash")),
    ("lost.jsonl", ["2", '{"index":"3","leaf_hash":"' + "0" * 64 + '"}'], Found(3, "lost-hash")),
    ("lost.jsonl", ["3", "2"], Found(4, "lost-hash")),
    ("lost.jsonl", ["2", "2"], Found(3, "lost-hash")),
    ("lost.jsonl", ["2", '{"index": 3,"leaf_hash":"' + "0" * 64 + '"}'], Found(3, "lost-hash")),
    ("found.jsonl", ["3", "2"], Found(4, "evidence-form")),
    ("found.jsonl", ["2", "2"], Found(3, "evidence-form")),
    ("found.jsonl", ["2", "{}"], Found(3, "evidence-form")),
    ("found.jsonl", ['{"index":true,"leaf":"{}","pieces":{}}'], Found(0, "evidence-form")),
    ("found.jsonl", ['{"index":2,"leaf":"{}","more":1,"pieces":{}}'], Found(0, "evidence-form")),
    ("leaf-hashes", [], Found(0, "leaf-hash")),
    ("leaf-hashes", ["x"], Found(0, "leaf-hash")),
    ("leaf-hashes", [hashed.hex() for hashed in lossy().hashes[:6]], Found(6, "leaf-hash")),
    ("leaf-hashes", [hashed.hex() for hashed in lossy().hashes] + ["0" * 64], Found(7, "leaf-hash")),
]


def line_of(name: str, said: str) -> str:
    if not said.isdigit():
        return said.removeprefix("2 3 ")
    index = int(said)
    if name == "lost.jsonl":
        return canonical({"index": index, "leaf_hash": lossy().hashes[index].hex()})
    return canonical({"index": index, "leaf": good()[index].leaf, "pieces": good()[index].pieces})


@pytest.mark.parametrize(("name", "lines", "found"), LINES)
def test_a_line_of_another_form_is_found_one_above_the_line_before(
    verify: Verifier, lossy_folder: Path, name: str, lines: list[str], found: Found
) -> None:
    lines = ["2", lines[0]] if lines and lines[0].startswith("2 3 ") else lines
    (lossy_folder / "0" / name).write_text("".join(f"{line_of(name, line)}\n" for line in lines), encoding="utf-8")
    assert verify(lossy_folder) == found


@pytest.mark.parametrize("name", ["lost.jsonl", "leaf-hashes"])
def test_a_last_line_without_its_end_is_found(verify: Verifier, lossy_folder: Path, name: str) -> None:
    raw = (lossy_folder / "0" / name).read_bytes()
    (lossy_folder / "0" / name).write_bytes(raw[:-1])
    assert verify(lossy_folder) == Found(raw.count(b"\n") - 1, "lines")


def test_a_leaf_without_its_line_of_evidence_is_found(verify: Verifier, folder: Path) -> None:
    file = folder / "0" / "evidence.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:5]))
    assert verify(folder) == Found(5, "lines")


def test_blobs_of_what_was_found_again_are_checked_too(verify: Verifier, tmp_path: Path) -> None:
    lost = record(3, request={"schema_sha256": hashlib.sha256(b"schema").hexdigest()})
    of = lossy()
    of.hashes[3] = leaf_hash(lost.leaf)
    notes = exports.notes_of(of.hashes)
    folder = of._replace(notes=notes).write(tmp_path / "e")
    line = canonical({"index": 3, "leaf": lost.leaf, "pieces": lost.pieces})
    (folder / "0" / "found.jsonl").write_text(line + "\n", encoding="utf-8")
    assert verify(folder) == Found(3, "blob-digest")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"first": 0', '"first": false'),
        ('"partition": 0', '"partition": false'),
        ('"size": 7', '"size": 7.0'),
        ("{", '{"partitions": [], '),
        ("{", '{"more": NaN, '),
        ("{", '{"more": "\\ud800", '),
        ("{", '{"more": ' + "[" * DEEP + "]" * DEEP + ", "),
        ("{", '{"more": ' + "[" * 100_000 + ", "),
        ("{", "\ufeff{"),
    ],
)
def test_a_manifest_in_another_json_or_type_is_found(verify: Verifier, folder: Path, old: str, new: str) -> None:
    file = folder / "manifest.json"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert verify(folder) == Found(0, "manifest")


def test_unknown_names_in_a_manifest_are_passed_over(verify: Verifier, folder: Path) -> None:
    file = folder / "manifest.json"
    file.write_text(file.read_text(encoding="utf-8").replace("{", '{"more": [1.5], ', 1), encoding="utf-8")
    assert verify(folder) == Found()


# checkpoints


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("\N{EM DASH} ", "- "),
        lambda text: text.replace("time ", "tide "),
        lambda text: text.replace("llmctx", "llm\x07ctx", 1),
    ],
)
def test_damage_in_the_checkpoints_has_the_size_of_the_last_good_one(
    check: Check, index: int, damage: Callable[[str], str]
) -> None:
    of = made()
    of.notes[index] = damage(of.notes[index])
    assert check(of) == Found((0, 3, 5)[index], "note-grammar")


def test_bytes_that_are_no_utf8_are_damage_of_their_own_note(verify: Verifier, folder: Path) -> None:
    file = folder / "0" / "checkpoints"
    before, _, last = file.read_bytes().rpartition(b"llmctx/house/0\n")
    file.write_bytes(before + b"llmctx/h\xffuse/0\n" + last)
    assert verify(folder) == Found(5, "note-grammar")


def test_checkpoints_say_how_many_partitions_there_are(check: Check) -> None:
    of = made()
    for index in range(3):
        signed(of, index, "partitions 1")
    assert check(of) == Found()
    signed(of, 2, "partitions 2")
    assert check(of) == Found(5, "partitions")


@pytest.mark.parametrize("more", ["partitions 0", "partitions 1025", "partitions 1|partitions 1", "partitions x"])
def test_how_many_partitions_is_said_once_with_a_number_up_to_1024(check: Check, more: str) -> None:
    of = made()
    signed(of, 1, more)
    assert check(of) == Found(3, "note-grammar")


def test_a_partition_without_checkpoints_is_warned_of(check: Check) -> None:
    found = check(Made({}, [], []))
    assert (found.rule, len(found.warnings)) == (None, 1)


# what they print


def runs(arguments: list[str], folder: Path) -> list[subprocess.CompletedProcess[str]]:
    """Both programs, as an auditor starts them, where the output takes ASCII alone."""
    alone = [sys.executable, str(ROOT / "audit" / "verify.py")]
    programs = (alone, [str(Path(sys.executable).parent / "llmctx"), "verify"])
    environment = {"PYTHONIOENCODING": "ascii", "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    return [
        subprocess.run([*program, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=folder)
        for program in programs
    ]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_fault_beyond_ascii_is_told_to_any_terminal(tmp_path: Path, more: list[str]) -> None:
    records = good()
    records[2] = record(2, cause=["\u00e9\u2028"])
    folder = made(records).write(tmp_path / "e")
    for ended in runs([str(folder), "--key", vkey(), *more], tmp_path):
        assert (ended.returncode, "record-form" in ended.stdout) == (1, True), ended
        assert "Traceback" not in ended.stderr


def test_a_fault_names_its_partition(tmp_path: Path) -> None:
    records = good()
    records[2] = bare(2, attempts=0)
    folder = made(records).write(tmp_path / "e")
    for ended in runs([str(folder), "--key", vkey(), "--json"], tmp_path):
        document = json.loads(ended.stdout)
        assert document.get("partition", document["fault"].get("partition")) == 0


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda found: found._replace(leaf="no JSON"), "canonical-form"),
        (
            lambda found: found._replace(leaf='{"fields":[["a","b"]],"kind":"unreadable","v":1}', pieces={}),
            "record-form",
        ),
        (lambda found: found._replace(pieces={}), "evidence-pieces"),
    ],
)
def test_after_a_record_that_cannot_be_read_the_check_goes_on(
    check: Check, change: Callable[[Record], Record], rule: str
) -> None:
    records = good()
    records[2], records[4] = change(records[2]), change(records[4])
    found = check(made(records))
    assert (found.at, found.rule, found.further) == (2, rule, (4,))


def test_what_ends_the_check_after_a_record_that_cannot_be_read_is_named_too(check: Check) -> None:
    records = good()
    records[2] = records[2]._replace(leaf="no JSON")
    records[5] = record(5, tick="tick-1")
    found = check(made(records))
    assert (found.at, found.further) == (2, (5,))
