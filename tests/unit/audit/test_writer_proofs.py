"""Both verifiers hold each record against the writer key that the trail enrols."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .exports import ORIGIN, WRITER, Check, Found, Record, bare, enrolment, good, made, proven, record, vkey

OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
AT = 2
"""The index of the enrolling notice."""


def signed(at: int = AT) -> list[Record]:
    """A trail whose records are signed from the enrolling notice on."""
    records = good()
    records[at] = bare(at, enrolment=enrolment(at))
    return [found if index < at else proven(found) for index, found in enumerate(records)]


@pytest.mark.parametrize("at", [0, AT, 6])
def test_records_signed_from_the_enrolment_on_are_verified(check: Check, at: int) -> None:
    assert check(made(signed(at))) == Found()


@pytest.mark.parametrize("index", [AT, 4, 6])
def test_a_record_without_a_proof_is_found(check: Check, index: int) -> None:
    records = signed()
    records[index] = records[index]._replace(proof="")
    assert check(made(records)) == Found(index, "writer-proof")


@pytest.mark.parametrize(
    "forge",
    [
        lambda records: proven(records[4], OTHER),
        lambda records: proven(records[4], origin="llmctx/house/1"),
        lambda records: records[4]._replace(proof=records[5].proof),
        lambda records: records[4]._replace(proof=records[4].proof[:-4]),
        lambda records: records[4]._replace(proof=base64.b64encode(b"x").decode()),
    ],
)
def test_another_proof_is_found(check: Check, forge: Callable[[list[Record]], Record]) -> None:
    records = signed()
    records[4] = forge(records)
    assert check(made(records)) == Found(4, "writer-proof")


def test_a_proof_before_any_enrolment_is_found(check: Check) -> None:
    records = signed()
    records[1] = proven(records[1])
    assert check(made(records)) == Found(1, "writer-proof")


@pytest.mark.parametrize("text", ["*", "AAAA=", "AAA", ["AAAA"], 7])
def test_a_proof_of_another_form_is_found(check: Check, text: Any) -> None:
    records = signed()
    records[4] = records[4]._replace(proof=text)
    assert check(made(records)) == Found(4, "evidence-form")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"from": AT + 1}, "enrolment"),
        ({"key": "no vkey"}, "enrolment"),
        ({"signature": "*"}, "enrolment"),
        (enrolment(AT, signer=OTHER), "enrolment"),
        ({"signature": enrolment(AT, OTHER)["signature"]}, "enrolment"),
        ({"from": "2"}, "record-form"),
    ],
)
def test_an_enrolment_that_the_instance_key_did_not_sign_is_found(
    check: Check, changes: dict[str, Any], rule: str
) -> None:
    records = signed()
    records[AT] = proven(bare(AT, enrolment=enrolment(AT) | changes))
    found = check(made(records))
    assert (found.at, found.rule) == (AT, rule)


def test_a_notice_that_another_writer_signs_enrols_nobody(check: Check) -> None:
    records = signed()
    records[AT] = proven(records[AT], OTHER)
    assert check(made(records)) == Found(AT, "writer-proof")


def test_a_second_writer_is_enrolled_by_a_record_of_its_own(check: Check) -> None:
    records = signed()
    records[4] = proven(bare(4, enrolment=enrolment(4, OTHER)), OTHER)
    records[5] = proven(records[5], OTHER)
    assert check(made(records)) == Found()


def test_only_a_notice_or_an_incident_enrols(check: Check) -> None:
    records = signed()
    records[4] = proven(record(4, enrolment=enrolment(4)))
    assert check(made(records)) == Found(4, "record-form")


def retired(retires: str = "") -> list[Record]:
    """A trail in which record 4 enrols another writer and retires the first one."""
    old = vkey(WRITER, f"{ORIGIN}-writer").split("+")[1]
    records = signed()
    records[4] = proven(bare(4, enrolment=enrolment(4, OTHER, retires=retires or old)), OTHER)
    return [*records[:5], *(proven(found, OTHER) for found in records[5:])]


def test_a_retired_key_signs_nothing_any_more(check: Check) -> None:
    records = retired()
    assert check(made(records)) == Found()
    records[5] = proven(records[5], WRITER)
    assert check(made(records)) == Found(5, "writer-proof")
    records[5] = proven(bare(5, enrolment=enrolment(5, WRITER)), WRITER)
    assert check(made(records)) == Found(5, "enrolment")


def test_only_the_instance_key_retires_another_key(check: Check) -> None:
    records = retired()
    for said in ("0badc0de", "no key ID", ""):
        changed = enrolment(4, OTHER, retires="deadbeef") | {"retires": said}
        records[4] = proven(bare(4, enrolment=changed), OTHER)
        assert check(made(records)) == Found(4, "enrolment")


@pytest.mark.parametrize("kind", ["notice", "incident"])
def test_a_copied_record_without_a_tick_is_found(check: Check, kind: str) -> None:
    records = signed()
    records[4] = records[6] = proven(bare(4, kind))
    assert check(made(records)) == Found(6, "writer-proof")


def test_in_a_trail_without_writers_equal_notices_may_stand(check: Check) -> None:
    records = good()
    records[4] = records[6] = bare(4)
    assert check(made(records)) == Found()
