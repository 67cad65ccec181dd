"""Both verifiers hold the instance keys of a trail to the checkpoint and the notice that one of them hands over with."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .exports import (
    NAME,
    ORIGIN,
    PRIVATE,
    START_MS,
    STEP_MS,
    Made,
    Verifier,
    bare,
    enrolment,
    good,
    made,
    note,
    proven,
    tree_root,
    vkey,
)

Outcome = Callable[..., tuple[int | None, str | None]]
NEXT = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
AT = 4
"""The index of the notice; the checkpoint over five records is the one that both keys sign."""


def stated(old: Ed25519PrivateKey = PRIVATE, new: Ed25519PrivateKey = NEXT) -> dict[str, str]:
    text = f"llmctx-rotation/1\n{vkey(old)}\n{vkey(new)}\n".encode()
    signed = {
        f"{name}_signature": base64.b64encode(bytes.fromhex(vkey(key).split("+")[1]) + key.sign(text)).decode()
        for name, key in (("old", old), ("new", new))
    }
    return {"old": vkey(old), "new": vkey(new)} | signed


def signed(made_of: Made, size: int, *keys: Ed25519PrivateKey, line: bool = False) -> str:
    """A checkpoint by these keys, with the line that one replaces the other if it is to have it."""
    more = [f"rotation {vkey()} {vkey(NEXT)}"] if line else []
    root, time_ms = tree_root(made_of.hashes[:size]), START_MS + size * STEP_MS
    found = [note(size, root, time_ms, *more, private=key) for key in keys]
    return found[0] + "".join(each.rpartition("\n\n")[2] for each in found[1:])


def rotated(notice: dict[str, Any] | None = None, after: Ed25519PrivateKey = NEXT) -> Made:
    """A trail whose writers are enrolled from the start, and again after the notice, by the key `after`."""
    records = good()
    records[0] = bare(0, enrolment=enrolment(0))
    records[AT] = bare(AT, rotation=stated() if notice is None else notice)
    records[5] = bare(5, enrolment=enrolment(5, OTHER, after))
    found = made([proven(record) for record in records])
    handover = signed(found, 5, PRIVATE, NEXT, line=True)
    return found._replace(notes=[signed(found, 3, PRIVATE), handover, signed(found, 7, NEXT)])


@pytest.fixture
def outcome(verify: Verifier, tmp_path: Path) -> Outcome:
    """Where a verifier finds a fault in a trail whose newest key is NEXT, and of which rule."""

    def check(of: Made, key: Ed25519PrivateKey = PRIVATE) -> tuple[int | None, str | None]:
        export = of.write(tmp_path / "export")
        (export / "trail.pub").write_text(vkey(NEXT) + "\n")
        found = verify(export, vkey(key))
        return found.at, found.rule

    return check


@pytest.mark.parametrize("key", [PRIVATE, NEXT])
def test_a_trail_with_two_keys_verifies_with_either(outcome: Outcome, key: Ed25519PrivateKey) -> None:
    assert outcome(rotated(), key) == (None, None)


def test_a_third_key_verifies_nothing(outcome: Outcome) -> None:
    assert outcome(rotated(), OTHER) == (0, "key")


@pytest.mark.parametrize(
    "notice",
    [
        stated(old=OTHER),
        stated() | {"old_signature": stated()["new_signature"]},
        stated() | {"new_signature": stated(new=OTHER)["new_signature"]},
        stated() | {"new_signature": "*"},
        stated() | {"new": vkey(OTHER)},
        stated() | {"new": vkey()},
        stated() | {"old": "no vkey"},
    ],
)
def test_a_notice_that_both_keys_have_not_signed_is_found(outcome: Outcome, notice: dict[str, str]) -> None:
    assert outcome(rotated(notice)) == (AT, "rotation")


def test_a_writer_that_the_old_key_enrols_after_its_notice_is_found(outcome: Outcome) -> None:
    assert outcome(rotated(after=PRIVATE)) == (5, "enrolment")


@pytest.mark.parametrize("kind", ["decision", "incident"])
def test_only_a_notice_states_a_rotation(outcome: Outcome, kind: str) -> None:
    more = {"tick": "t"} if kind == "decision" else {}
    records = [*good()[:AT], bare(AT, kind, rotation=stated(), **more)]
    assert outcome(made(records, (5,)))[1] in ("key", "record-form")


@pytest.mark.parametrize(
    ("key", "at", "change"),
    [
        (PRIVATE, 5, lambda of: [*of.notes[:2], signed(of, 7, PRIVATE)]),
        (NEXT, 5, lambda of: [*of.notes[:2], signed(of, 7, PRIVATE)]),
        (NEXT, 0, lambda of: [signed(of, 3, NEXT), *of.notes[1:]]),
    ],
)
def test_a_checkpoint_by_the_key_whose_turn_it_is_not_is_found(
    outcome: Outcome, key: Ed25519PrivateKey, at: int, change: Callable[[Made], list[str]]
) -> None:
    found = rotated()
    assert outcome(found._replace(notes=change(found)), key) == (at, "signature")


@pytest.mark.parametrize("keys", [[PRIVATE], [NEXT], [NEXT, NEXT]])
def test_a_checkpoint_that_one_key_alone_signed_hands_nothing_over(
    outcome: Outcome, keys: list[Ed25519PrivateKey]
) -> None:
    found = rotated()
    alone = [found.notes[0], signed(found, 5, *keys, line=True), found.notes[2]]
    assert outcome(found._replace(notes=alone))[1] == "key"


@pytest.mark.parametrize("line", ["rotation x y", f"rotation {vkey()}", f"rotation {vkey()} {vkey()}"])
def test_a_malformed_line_of_a_checkpoint_is_found(verify: Verifier, tmp_path: Path, line: str) -> None:
    found = made()
    wrong = note(7, tree_root(found.hashes), START_MS + 7 * STEP_MS, line, origin=NAME, name=ORIGIN)
    export = found._replace(notes=[*found.notes[:2], wrong]).write(tmp_path / "export")
    assert verify(export)[:2] == (5, "note-grammar")
