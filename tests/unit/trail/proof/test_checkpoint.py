import base64
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import CheckpointError
from llmctx.trail.proof.checkpoint import Checkpoint, Key, note_of, open_note, origin_of, read_note
from llmctx.trail.proof.notes import join_notes, split_notes

# golang.org/x/mod/sumdb/note, example_test.go: the reference implementation of signed notes. Its text is no
# checkpoint, so the signature alone is checked against it.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEY = Key("llmctx/house", PRIVATE.public_key().public_bytes_raw())
CHECKPOINT = Checkpoint.at(origin_of("house", 0), 7, bytes(range(32)), 1746778530123)


def signed(checkpoint: Checkpoint = CHECKPOINT) -> str:
    return note_of(checkpoint, KEY, PRIVATE.sign(checkpoint.text.encode()))


def test_a_key_of_the_reference_implementation_has_the_id_that_it_says() -> None:
    key = Key.read(GO_VKEY)
    assert (key.name, key.id.hex(), key.text) == ("PeterNeumann", "c74f20a3", GO_VKEY)


def test_a_signature_of_the_reference_implementation_is_accepted_and_comes_out_again() -> None:
    key, raw = Key.read(GO_VKEY), base64.b64decode(GO_SIGNATURE)
    assert raw[:4] == key.id
    assert key.accepts(GO_TEXT, raw[4:])
    assert not key.accepts(GO_TEXT + "\n", raw[4:])
    assert Ed25519PrivateKey.from_private_bytes(GO_SEED).sign(GO_TEXT.encode()) == raw[4:]


def test_a_checkpoint_stands_in_a_note_as_the_specification_writes_it() -> None:
    lines = signed().split("\n")
    assert lines[:5] == [
        "llmctx/house/0",
        "7",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "time 1746778530123",
        "",
    ]
    assert lines[5].startswith("\N{EM DASH} llmctx/house ")
    assert lines[6:] == [""]


def test_a_note_that_was_signed_is_opened_by_its_key_alone() -> None:
    assert open_note(signed(), KEY) == CHECKPOINT
    assert CHECKPOINT.time_ms == 1746778530123
    other = Key(KEY.name, Ed25519PrivateKey.from_private_bytes(b"1" * 32).public_key().public_bytes_raw())
    with pytest.raises(CheckpointError, match="not by llmctx/house"):
        open_note(signed(), other)


@given(st.data())
def test_a_note_with_one_character_changed_is_not_opened_or_says_the_same(data: st.DataObject) -> None:
    note = signed()
    at = data.draw(st.integers(0, len(note) - 1))
    altered = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
    with pytest.raises(CheckpointError):
        open_note(altered, KEY)


def test_signatures_of_others_are_passed_over() -> None:
    witness = "\N{EM DASH} witness.example/w " + base64.b64encode(b"wwww" + bytes(72)).decode() + "\n"
    assert open_note(signed() + witness, KEY) == CHECKPOINT


def test_a_broken_signature_of_the_key_is_refused_beside_a_good_one() -> None:
    broken = f"\N{EM DASH} {KEY.name} {base64.b64encode(KEY.id + bytes(64)).decode()}\n"
    with pytest.raises(CheckpointError, match="does not match"):
        open_note(signed() + broken, KEY)


def test_extension_lines_are_kept_and_signed() -> None:
    checkpoint = CHECKPOINT._replace(extensions=(*CHECKPOINT.extensions, "a further line"))
    assert open_note(signed(checkpoint), KEY) == checkpoint


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("\n7\n", "\n07\n", "size '07'"),
        ("\n7\n", "\n+7\n", "size"),
        ("\n7\n", "\n9007199254740992\n", "2^53"),
        ("\n7\n", "\n\n7\n", "no empty line"),
        ("Hh8=\n", "Hh9=\n", "not canonical base64"),
        ("Hh8=\n", "Hh8\n", "not base64"),
        ("AAECAwQF", "", "bytes"),
        ("time ", "time\t", "control character"),
        ("llmctx/house/0\n", "\n", "no empty line"),
        ("\N{EM DASH} ", "- ", "not a signature line"),
        ("llmctx/house ", "llmctx/ho+use ", "not a signature line"),
        ("\n\n", "\n", "no signature line"),
    ],
)
def test_another_grammar_is_no_checkpoint(old: str, new: str, why: str) -> None:
    altered = signed().replace(old, new)
    assert altered != signed()
    with pytest.raises(CheckpointError, match=re.escape(why)):
        read_note(altered)


@pytest.mark.parametrize("lines", [(), ("time 1", "time 2"), ("time 01",), ("time -1",), ("time ",)])
def test_the_time_is_one_line_with_a_whole_number(lines: tuple[str, ...]) -> None:
    checkpoint = CHECKPOINT._replace(extensions=lines)
    with pytest.raises(CheckpointError, match="time"):
        _ = checkpoint.time_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        GO_VKEY.replace("c74f20a3", "c74f20a4"),
        GO_VKEY.replace("c74f20a3", "C74F20A3"),
        GO_VKEY.replace("PeterNeumann", "Peter"),
        GO_VKEY.replace("PeterNeumann", ""),
        GO_VKEY[:-4],
        GO_VKEY.replace("ARpc", "BBpc"),
    ],
)
def test_what_is_no_vkey_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        Key.read(text)


@given(st.integers(0, 4), st.integers(0, 400))
def test_a_torn_last_note_is_never_taken_as_one(count: int, cut: int) -> None:
    whole = [signed(CHECKPOINT._replace(size=size)) for size in range(count)]
    raw = join_notes([*whole, signed()])
    kept = len(join_notes(whole))
    torn = raw[: max(kept, len(raw) - 1 - cut)]
    assert split_notes(torn) == (whole, kept)
    assert split_notes(raw) == ([*whole, signed()], len(raw))


@pytest.mark.parametrize("rest", [b"x" * 1025, b"a\x01b", b"a\xffb", b"\0a"])
def test_what_no_kill_leaves_is_no_torn_end(rest: bytes) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        split_notes(join_notes([signed()]) + b"\n" + rest)


@pytest.mark.parametrize("rest", [b"x" * 1000, "a\N{EM DASH}".encode()[:-1], b"llmctx/house\n7\0\0\0"])
def test_what_a_kill_leaves_is_passed_over(rest: bytes) -> None:
    assert split_notes(join_notes([signed()]) + b"\n" + rest) == ([signed()], len(join_notes([signed()])))


@pytest.mark.parametrize("lines", [("partitions 0",), ("partitions 1025",), ("partitions 1",) * 2, ("partitions x",)])
def test_how_many_partitions_there_are_is_one_line_with_a_number_up_to_1024(lines: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError, match="partitions"):
        _ = CHECKPOINT._replace(extensions=lines).partitions
    assert CHECKPOINT.partitions is None
    assert Checkpoint.at("o", 1, bytes(32), 1, 1024).partitions == 1024


def test_damage_in_the_middle_is_no_torn_end() -> None:
    raw = join_notes([signed()] * 3)
    with pytest.raises(CheckpointError, match="damaged"):
        split_notes(raw.replace("\N{EM DASH}".encode(), b"---", 2))
