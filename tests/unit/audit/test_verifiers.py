"""Both verifiers find and name the same faults: audit/verify.py, and the one of llmctx."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from llmctx.replay.verify import trusted_of
from llmctx.trail.log.leaf_schema import FaultError
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.receipt import read_receipt, verify_receipt
from tests.conftest import ROOT

from . import exports
from .exports import (
    BOTH,
    ORIGIN,
    START_MS,
    STEP_MS,
    Check,
    Found,
    Made,
    Verifier,
    bare,
    by_audit,
    by_llmctx,
    good,
    leaf_hash,
    lossy,
    made,
    note,
    notes_of,
    receipt,
    record,
    tree_root,
    vkey,
)

OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made().write(tmp_path_factory.mktemp("exports") / "untouched")


@pytest.mark.parametrize("known", [True, False])
def test_a_good_export_is_verified(check: Check, known: bool) -> None:
    assert check(made(known=known)) == Found()


@pytest.mark.parametrize("sizes", [(7,), (1, 2, 3, 4, 5, 6, 7), (0, 7, 7, 7)])
def test_checkpoints_may_stand_at_any_sizes(check: Check, sizes: tuple[int, ...]) -> None:
    assert check(made(sizes=sizes)) == Found()


# tampering with records


@given(data=st.data())
def test_a_flipped_bit_anywhere_in_leaves_or_evidence_is_found_by_both(
    untouched: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = data.draw(st.sampled_from(["leaves.jsonl", "evidence.jsonl"]))
    raw = bytearray((untouched / "0" / name).read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path_factory.mktemp("flipped") / "e"
    shutil.copytree(untouched, folder)
    (folder / "0" / name).write_bytes(raw)
    index = bytes((untouched / "0" / name).read_bytes()).count(b"\n", 0, at)
    for verify in BOTH:
        found = verify(folder)
        assert found.rule is not None
        assert found.at is not None
        assert index <= found.at <= index + 1, (verify, found)
    shutil.rmtree(folder)


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("known", [True, False])
def test_another_word_in_a_leaf_is_found_by_hash_and_without_hashes_by_the_next_root(
    check: Check, index: int, known: bool
) -> None:
    of = made(known=known)
    of.records[index] = of.records[index]._replace(leaf=of.records[index].leaf.replace("host:1", "host:2"))
    at, rule = (index, "leaf-hash") if known else ({0: 0, 1: 0, 2: 0, 3: 3, 4: 3, 5: 5, 6: 5}[index], "root")
    assert check(of) == Found(at, rule)


@pytest.mark.parametrize("piece", ["snapshot", "messages"])
def test_another_word_in_the_evidence_is_found(check: Check, piece: str) -> None:
    of = made()
    of.records[4].pieces[piece] += " "
    assert check(of) == Found(4, "evidence-digest")


@pytest.mark.parametrize(
    ("pieces", "rule"),
    [
        ({"completion": None}, "evidence-pieces"),
        ({"other": "x"}, "evidence-pieces"),
        ({"completion": {"base64": "//4EBA="}}, "evidence-form"),
        ({"completion": {"base64": "//4EBB=="}}, "evidence-form"),
        ({"completion": {"base16": "FF"}}, "evidence-form"),
        ({"completion": 5}, "evidence-form"),
    ],
)
def test_evidence_of_another_form_is_found(check: Check, pieces: dict[str, object], rule: str) -> None:
    of = made()
    changed = {name: value for name, value in (of.records[4].pieces | pieces).items() if value is not None}
    of.records[4] = of.records[4]._replace(pieces=changed)
    assert check(of) == Found(4, rule)


def test_two_leaves_swapped_are_found_at_the_first(check: Check) -> None:
    of = made()
    of.records[2], of.records[5] = of.records[5], of.records[2]
    assert check(of) == Found(2, "leaf-hash")


def test_two_leaves_swapped_without_their_evidence_are_found_at_the_first(
    verify: Verifier, untouched: Path, tmp_path: Path
) -> None:
    shutil.copytree(untouched, tmp_path / "e")
    file = tmp_path / "e" / "0" / "leaves.jsonl"
    lines = file.read_bytes().split(b"\n")
    lines[2], lines[5] = lines[5], lines[2]
    file.write_bytes(b"\n".join(lines))
    assert verify(tmp_path / "e") == Found(2, "evidence-digest")


@pytest.mark.parametrize("index", range(6))
def test_a_record_dropped_in_the_middle_is_found(verify: Verifier, folder: Path, index: int) -> None:
    for name in ("leaves.jsonl", "evidence.jsonl"):
        lines = (folder / "0" / name).read_bytes().split(b"\n")
        del lines[index]
        (folder / "0" / name).write_bytes(b"\n".join(lines))
    assert verify(folder) == Found(index, "contiguity")


def test_a_record_dropped_and_the_others_renumbered_is_found(verify: Verifier, tmp_path: Path) -> None:
    of = made()
    records = [of.records[index] for index in (0, 1, 3, 4, 5, 6)]
    of = of._replace(records=dict(enumerate(records)), size=6)
    folder = of.write(tmp_path / "e")
    (folder / "0" / "lost.jsonl").unlink()
    assert verify(folder) == Found(2, "leaf-hash")


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_dropped_tail_is_found(verify: Verifier, tmp_path: Path, count: int) -> None:
    of = made()
    for index in range(7 - count, 7):
        del of.records[index]
    folder = of._replace(size=7 - count).write(tmp_path / "e")
    (folder / "0" / "lost.jsonl").unlink()
    assert verify(folder) == Found(7 - count, "tail")


def test_a_tail_dropped_with_its_checkpoints_is_found_by_a_receipt_held_outside(
    verify: Verifier, tmp_path: Path
) -> None:
    held = tmp_path / "receipt.json"
    held.write_text(json.dumps(receipt(made(), 6, 7)), encoding="utf-8")
    of = made(good()[:5], (3, 5))
    folder = of.write(tmp_path / "e")
    assert verify(folder) == Found()
    assert verify(folder, None, (held,)) == Found(5, "receipt")


@pytest.mark.parametrize("index", [0, 3, 6])
def test_an_inserted_record_is_found(check: Check, index: int) -> None:
    of = made()
    records = list(of.records.values())
    records.insert(index, record(9, tick="inserted"))
    of = of._replace(records=dict(enumerate(records)), size=8)
    found = check(of)
    assert found == Found(index, "leaf-hash")


def test_a_record_added_at_the_end_is_found(check: Check) -> None:
    of = made()
    of.records[7] = record(7)
    of = of._replace(hashes=[*of.hashes, leaf_hash(of.records[7].leaf)])
    assert check(of) == Found(7, "uncovered")


def test_a_last_line_without_its_end_is_found(verify: Verifier, folder: Path) -> None:
    file = folder / "0" / "leaves.jsonl"
    file.write_bytes(file.read_bytes()[:-1])
    assert verify(folder) == Found(6, "lines")


@pytest.mark.parametrize("name", ["leaves.jsonl", "evidence.jsonl", "checkpoints"])
def test_a_missing_file_is_found(verify: Verifier, folder: Path, name: str) -> None:
    (folder / "0" / name).unlink()
    assert verify(folder) == Found(0, "lines")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda leaf: leaf.replace('"v":1', '"v":1.0'), "canonical-form"),
        (lambda leaf: leaf.replace('"v":1', '"v":1,"v":1'), "canonical-form"),
        (lambda leaf: leaf.replace('"v":1', '"v":1,"w":9007199254740992'), "canonical-form"),
        (lambda leaf: leaf.replace('"v":1', '"v":1,"w":NaN'), "canonical-form"),
        (lambda leaf: leaf.replace('"v":1', '"v":1,"w":-0'), "canonical-form"),
        (lambda leaf: leaf.replace('"v":1', '"v":1,"w":"\\ud800"'), "canonical-form"),
        (lambda leaf: leaf.replace('"v":1', '"v":1,"é":1'), "canonical-form"),
        (lambda leaf: leaf.replace(",", ", ", 1), "canonical-form"),
        (lambda leaf: leaf.replace("hold", "h\\u006fld"), "canonical-form"),
        (lambda _: "[" * 100_000, "canonical-form"),
        (lambda leaf: leaf.replace('"v":1', '"v":2'), "record-form"),
        (lambda leaf: leaf.replace('"v":1', '"v":true'), "record-form"),
        (lambda leaf: leaf.replace('"kind":"decision"', '"kind":"other"'), "record-form"),
        (lambda leaf: leaf.replace('"attempts":1', '"attempts":"1"'), "record-form"),
        (lambda leaf: leaf.replace('"worker":"host:1"', '"worker":1'), "record-form"),
        (lambda _: "[]", "record-form"),
        (lambda leaf: leaf.replace('"tick":"tick-2"', '"tick":"tick-1"'), "one-record-per-tick"),
        (lambda leaf: leaf.replace('"tick":"tick-2"', '"tick":5'), "one-record-per-tick"),
        (lambda leaf: leaf.replace(',"tick":"tick-2"', ""), "one-record-per-tick"),
        (lambda leaf: leaf.replace('"kind":"decision"', '"kind":"notice"'), "one-record-per-tick"),
    ],
)
def test_a_leaf_of_another_form_is_found_even_where_it_was_signed(
    check: Check, change: Callable[[str], str], rule: str
) -> None:
    records = good()
    leaf = change(records[2].leaf)
    assert leaf != records[2].leaf
    records[2] = records[2]._replace(leaf=leaf)
    assert check(made(records)) == Found(2, rule)


# checkpoints


ROOT_5, TIME_5 = tree_root(made().hashes[:5]), START_MS + 5 * STEP_MS
NOTES: dict[str, tuple[int, str, Found]] = {
    "of another origin": (1, note(5, ROOT_5, TIME_5, origin="llmctx/other/0"), Found(3, "origin")),
    "of another partition": (1, note(5, ROOT_5, TIME_5, origin="llmctx/house/1"), Found(3, "origin")),
    "of another key": (1, note(5, ROOT_5, TIME_5, private=OTHER, name=ORIGIN), Found(3, "signature")),
    "of another key and name": (1, note(5, ROOT_5, TIME_5, private=OTHER, name="llmctx/other"), Found(3, "signature")),
    "over other leaves": (1, note(5, tree_root(made().hashes[:4]), TIME_5), Found(3, "root")),
    "without a time": (0, note(3, tree_root(made().hashes[:3]), None), Found(0, "note-grammar")),
}


@pytest.mark.parametrize("name", NOTES)
def test_another_checkpoint_in_the_place_of_a_good_one_is_found(check: Check, name: str) -> None:
    number, text, found = NOTES[name]
    of = made()
    of.notes[number] = text
    assert check(of) == found


def test_an_export_with_another_key_than_the_one_given_is_found(check: Check) -> None:
    assert check(made(), vkey(OTHER)) == Found(0, "key")


def test_a_fork_of_equal_size_is_found(check: Check) -> None:
    of = made()
    of.notes.insert(2, note(5, tree_root(of.hashes[1:6]), START_MS + 5 * STEP_MS))
    assert check(of) == Found(5, "checkpoint-fork")


def test_a_fork_is_found_by_a_receipt_held_outside(check: Check, tmp_path: Path) -> None:
    other = good()
    other[4] = record(4, worker="host:2")
    for index, at in ((2, 4), (4, 4)):
        held = tmp_path / f"{index}.json"
        held.write_text(json.dumps(receipt(made(other), index, 5)), encoding="utf-8")
        assert check(made(), None, (held,)) == Found(at, "receipt")


def test_a_receipt_of_the_trail_changes_nothing(check: Check, tmp_path: Path) -> None:
    held = tmp_path / "receipt.json"
    held.write_text(json.dumps(receipt(made(), 2, 6)), encoding="utf-8")
    noted = tmp_path / "noted.json"
    noted.write_text(json.dumps({"address": "3", "leaf_hash": made().hashes[3].hex()}), encoding="utf-8")
    assert check(made(), None, (held, noted)) == Found()


def test_what_was_noted_of_a_decision_finds_another_one_in_its_place(check: Check, tmp_path: Path) -> None:
    noted = tmp_path / "noted.json"
    noted.write_text(json.dumps({"address": "0:3", "leaf_hash": made().hashes[2].hex()}), encoding="utf-8")
    assert check(made(), None, (noted,)) == Found(3, "receipt")


def test_sizes_that_fall_are_found(check: Check) -> None:
    of = made(sizes=(3, 7, 5, 7))
    assert check(of) == Found(7, "checkpoint-order")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"\n7\n", b"\n07\n"),
        lambda raw: raw.replace(b"\n\n", b"\n"),
        lambda raw: raw + b"\n",
        lambda raw: raw[:-1],
        lambda raw: raw + b"more",
        lambda raw: b"\n" + raw,
        lambda raw: raw.replace(b"time ", b"tide "),
        lambda raw: raw.replace(b"llmctx", b"llm\x00tx", 1),
        lambda raw: raw.replace(b"llmctx", b"\xff", 1),
    ],
)
def test_checkpoints_of_another_grammar_are_found(
    verify: Verifier, folder: Path, change: Callable[[bytes], bytes]
) -> None:
    file = folder / "0" / "checkpoints"
    file.write_bytes(change(file.read_bytes()))
    assert verify(folder).rule == "note-grammar"


@given(data=st.data())
def test_a_flipped_bit_anywhere_in_the_checkpoints_is_found_by_both(
    untouched: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = bytearray((untouched / "0" / "checkpoints").read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path_factory.mktemp("flipped") / "e"
    shutil.copytree(untouched, folder)
    (folder / "0" / "checkpoints").write_bytes(raw)
    for verify in BOTH:
        assert verify(folder).rule in ("note-grammar", "signature", "origin", "checkpoint-order")
    shutil.rmtree(folder)


# time


def signed_at(*checkpoints: tuple[int, int, str]) -> Made:
    of = made()
    notes = [
        note(size, tree_root(of.hashes[:size]), ms, *more.split("|")[: bool(more)]) for size, ms, more in checkpoints
    ]
    return of._replace(notes=notes)


HOUR_MS = 3_600_000
END = START_MS + HOUR_MS
SIGNED: dict[str, tuple[list[tuple[int, int, str]], int]] = {
    "again and late": ([(7, END, "")], 0),
    "again and late, the end alone": ([(3, START_MS + 3000, ""), (7, END, "")], 3),
    "before its records": ([(3, START_MS - HOUR_MS, ""), (7, START_MS + 7000, "")], 0),
    "late, since after its first record": (
        [(3, START_MS + 3000, ""), (7, END, f"late-since {START_MS + 4 * STEP_MS}")], 3,
    ),
    "late, though others were made meanwhile": (
        [(3, START_MS + 3000, ""), (3, START_MS + HOUR_MS // 2, ""), (7, END, f"late-since {START_MS + 3 * STEP_MS}")], 3,
    ),
}  # fmt: skip
"""When checkpoints are signed: size, time and a further line of each; and the first record that is too old or too new."""


@pytest.mark.parametrize("when", SIGNED)
def test_what_was_signed_at_another_time_is_found(check: Check, when: str) -> None:
    checkpoints, at = SIGNED[when]
    assert check(signed_at(*checkpoints)) == Found(at, "late-signing")


def test_a_checkpoint_that_says_that_it_is_late_is_warned_of(check: Check) -> None:
    late = START_MS + HOUR_MS
    of = signed_at((3, START_MS + 3000, ""), (7, late, f"late-since {START_MS + 3 * STEP_MS}"))
    found = check(of)
    assert (found.rule, len(found.warnings)) == (None, 2)
    assert found.warnings[0].startswith("gaps between checkpoints: 1, ")
    assert found.warnings[1] == "4 records were signed late, as their checkpoints declare"


def test_a_clock_that_was_set_back_is_warned_of(check: Check) -> None:
    of = signed_at((3, START_MS + 9000, ""), (7, START_MS + 7000, ""))
    found = check(of)
    assert found.rule is None
    assert "clock was set back" in found.warnings[0]


# losses


@pytest.mark.parametrize(("first", "last"), [(2, 3), (0, 0), (0, 5), (5, 5)])
def test_losses_that_are_accounted_for_leave_a_trail_intact(check: Check, first: int, last: int) -> None:
    found = check(lossy(first, last))
    assert (found.rule, found.losses) == (None, ((first, last),))


@pytest.mark.parametrize("said", [{"first": 1}, {"last": 4}, {"last": 2}])
def test_an_incident_that_names_another_range_is_found(check: Check, said: dict[str, object]) -> None:
    assert check(lossy(said=said)) == Found(2, "incident")


def test_a_gap_that_no_incident_names_is_found(check: Check) -> None:
    of = made()
    del of.records[2]
    assert check(of) == Found(2, "contiguity")


def test_an_incident_about_something_else_explains_no_gap(check: Check) -> None:
    assert check(lossy(said={"what": "differs"})) == Found(2, "contiguity")


def test_an_incident_that_declares_lost_what_is_there_is_found(check: Check) -> None:
    records = good()
    records[4] = bare(4, "incident", incident={"what": "lost", "first": 2, "last": 3})
    assert check(made(records)) == Found(4, "incident")


def test_another_leaf_hash_of_a_lost_record_is_found_by_the_root(verify: Verifier, lossy_folder: Path) -> None:
    file = lossy_folder / "0" / "lost.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace(lossy().hashes[3].hex(), "00" * 32), encoding="utf-8")
    assert verify(lossy_folder) == Found(3, "root")


def test_a_lost_record_without_its_leaf_hash_is_found(verify: Verifier, lossy_folder: Path) -> None:
    (lossy_folder / "0" / "lost.jsonl").unlink()
    assert verify(lossy_folder).at == 2


def test_lost_records_at_the_end_are_found(check: Check) -> None:
    of = made()
    del of.records[6]
    assert check(of) == Found(6, "tail")


def test_bytes_that_were_found_again_are_held_against_their_leaf_hash(verify: Verifier, lossy_folder: Path) -> None:
    file = lossy_folder / "0" / "found.jsonl"
    lost = good()[3]
    line = {"index": 3, "leaf": lost.leaf, "pieces": lost.pieces}
    file.write_text(exports.canonical(line) + "\n", encoding="utf-8")
    assert verify(lossy_folder).losses == ((2, 3),)
    line["leaf"] = lost.leaf.replace("host:1", "host:2")
    file.write_text(exports.canonical(line) + "\n", encoding="utf-8")
    assert verify(lossy_folder) == Found(3, "lost-hash")


@pytest.mark.parametrize(
    "line", ['{"index":"3","leaf":"{}","pieces":{}}', '{"index":3,"leaf":5,"pieces":{}}', "[]", "{}"]
)
def test_what_was_found_again_in_another_form_is_named(verify: Verifier, lossy_folder: Path, line: str) -> None:
    (lossy_folder / "0" / "found.jsonl").write_text(line + "\n", encoding="utf-8")
    assert verify(lossy_folder) == Found(0, "evidence-form")


def test_other_incidents_are_no_fault(check: Check) -> None:
    records = good()
    records[4] = bare(4, "incident", incident={"what": "differs"})
    records[5] = bare(5, "incident")
    assert check(made(records)) == Found()


# the rest of an export


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("llmctx-export/1", "llmctx-export/2", "manifest"),
        ('"size": 7', '"size": 8', "manifest"),
        ('"first": 0', '"first": 1', "manifest"),
        ('"partition": 0', '"partition": 1', "manifest"),
        ("{", "", "manifest"),
        ('"partitions"', '"parts"', "manifest"),
    ],
)
def test_another_manifest_is_found(verify: Verifier, folder: Path, old: str, new: str, rule: str) -> None:
    file = folder / "manifest.json"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert verify(folder).rule == rule


def test_blobs_are_held_against_their_digests(verify: Verifier, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"template").hexdigest()
    records = good()
    prompt = json.loads(records[2].leaf)["prompt"] | {"template_sha256": digest}
    records[2] = record(2, prompt=prompt)
    folder = made(records).write(tmp_path / "e")
    assert verify(folder) == Found(2, "blob-digest")
    (folder / "blobs" / digest).write_bytes(b"template")
    assert verify(folder) == Found()
    (folder / "blobs" / digest).write_bytes(b"other")
    assert verify(folder) == Found(0, "blob-digest")


# receipts


def test_a_receipt_proves_its_record_alone_and_no_other_one(verify: Verifier, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"

    def check(document: dict[str, object]) -> str | None:
        file.write_text(json.dumps(document), encoding="utf-8")
        return _alone(verify, file)

    for size in range(1, 8):
        for index in range(size):
            good_one = receipt(made(), index, size)
            assert check(good_one) is None
            assert check(good_one | {"leaf": good_one["leaf"].replace("host:1", "host:2")}) == "inclusion"
            assert check(good_one | {"index": size}) == "inclusion"
            if size > 1:
                assert check(good_one | {"index": (index + 1) % size}) == "inclusion"
                assert check(good_one | {"proof": good_one["proof"][:-1]}) == "inclusion"
                assert check(good_one | {"proof": [*good_one["proof"], "00" * 32]}) == "inclusion"
    signed = receipt(made(), 2, 5)
    other = note(5, tree_root(made().hashes[:5]), START_MS, private=OTHER)
    assert check(signed | {"checkpoint": other}) == "signature"
    elsewhere = note(5, tree_root(made().hashes[:5]), START_MS, origin="llmctx/other/0")
    assert check(signed | {"checkpoint": elsewhere, "origin": "llmctx/other/0"}) == "origin"


def test_the_verifier_of_the_evidence_room_imports_nothing_of_llmctx() -> None:
    text = (ROOT / "audit" / "verify.py").read_text(encoding="utf-8")
    assert not [line for line in text.split("\n") if line.lstrip().startswith(("import llmctx", "from llmctx"))]


def test_both_are_what_is_checked_here() -> None:
    assert set(BOTH) == {by_audit, by_llmctx}
    assert notes_of(made().hashes) == made().notes


@pytest.mark.parametrize("value", [5, {}, [], True])
@pytest.mark.parametrize(
    ("name", "field", "rule"),
    [
        ("prompt", "template_sha256", "record-form"),
        ("request", "schema_sha256", "record-form"),
        ("snapshot", "sha256", "record-form"),
    ],
)
def test_a_digest_that_is_no_text_is_found(check: Check, name: str, field: str, rule: str, value: object) -> None:
    records = good()
    told = json.loads(records[2].leaf).get(name, {}) | {field: value}
    records[2] = record(2, **{name: told})
    assert check(made(records)) == Found(2, rule)


@given(data=st.data())
def test_a_flipped_bit_anywhere_in_a_receipt_is_found_by_both(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = json.dumps(receipt(made(), 3, 6), ensure_ascii=False).encode()
    raw = bytearray(whole)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file = tmp_path_factory.mktemp("flipped") / "receipt.json"
    for content, good_one in ((whole, True), (bytes(raw), False)):
        file.write_bytes(content)
        assert (_alone(by_audit, file) is None) == good_one
        assert (_alone(by_llmctx, file) is None) == good_one


def _alone(verify: Verifier, file: Path) -> str | None:
    """The rule that a receipt breaks by itself."""
    if verify is by_audit:
        try:
            held = exports.ALONE.Receipt(file)
            if not held.is_proof:
                return "no proof"
            held.check([exports.ALONE.Key(vkey())], f"{ORIGIN}/{held.partition}")
        except exports.ALONE.Fault as fault:
            return str(fault.fields["rule"])
        return None
    try:
        read = read_receipt(file.read_bytes())
    except FaultError as broken:
        return broken.fault.rule
    found = verify_receipt(read, trusted_of(Key.read(vkey()), None, read.partition))
    return None if found is None else found.rule


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"format": "llmctx-receipt/2"}, "receipt-form"),
        ({"index": "2"}, "receipt-form"),
        ({"index": -1}, "receipt-form"),
        ({"index": None}, "receipt-form"),
        ({"size": 6}, "receipt-form"),
        ({"leaf": 5}, "receipt-form"),
        ({"proof": "none"}, "receipt-form"),
        ({"proof": ["AB"]}, "receipt-form"),
        ({"checkpoint": "none"}, "note-grammar"),
    ],
)
def test_a_receipt_of_another_form_is_named(
    verify: Verifier, tmp_path: Path, changes: dict[str, object], rule: str
) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt(made(), 2, 5) | changes), encoding="utf-8")
    assert _alone(verify, file) == rule


def test_without_cryptography_the_verifier_exits_with_2_and_says_what_to_install(untouched: Path) -> None:
    words = [sys.executable, "-I", "-S", str(ROOT / "audit" / "verify.py"), str(untouched), "--key", vkey()]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "pip install cryptography" in ended.stderr
    assert "Traceback" not in ended.stderr
