import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import TrailError
from llmctx.trail.log.entry import FIELD, Entry, address, evidence_text, restored, stored

LEAF = b'{"kind":"notice","v":1}'
PIECES = {"snapshot": b'{"symbol":"AAPL"}', "completion": b"\xff\xfe no text \x00"}


def fields(leaf: bytes = LEAF, pieces: dict[str, bytes] = PIECES) -> dict[bytes, bytes]:
    """The fields as a server hands them back."""
    return stored(leaf, pieces)


names = st.sampled_from(["snapshot", "messages", "completion"]) | st.text(
    alphabet=st.sampled_from('aé"\\\u2028 '), max_size=4
)


@given(leaf=st.binary(max_size=300), pieces=st.dictionaries(names, st.binary(max_size=300), max_size=4))
def test_what_is_stored_is_restored_byte_for_byte(leaf: bytes, pieces: dict[str, bytes]) -> None:
    entry = restored(fields(leaf, pieces), 7, 2)
    assert (entry.leaf, entry.pieces, entry.index, entry.partition) == (leaf, pieces, 7, 2)


@given(st.text(alphabet=st.sampled_from('aé€😀"\\/\x00\n\u2028\ufeff'), max_size=20))
def test_a_text_piece_comes_back_as_it_was(text: str) -> None:
    assert restored(fields(LEAF, {"messages": text.encode()}), 0, 0).pieces == {"messages": text.encode()}


def test_a_piece_that_is_no_utf_8_comes_back_as_it_was() -> None:
    assert restored(fields(), 0, 0).pieces["completion"] == b"\xff\xfe no text \x00"


def test_a_piece_that_looks_like_a_base64_object_stays_a_text() -> None:
    piece = b'{"base64":"AAAA"}'
    assert restored(fields(LEAF, {"completion": piece}), 0, 0).pieces == {"completion": piece}


def test_a_text_piece_is_kept_as_text() -> None:
    assert json.loads(evidence_text({"messages": b"[]"})) == {"messages": "[]"}


def test_a_piece_that_is_no_utf_8_is_kept_as_base64() -> None:
    assert json.loads(evidence_text({"completion": b"\xff"})) == {"completion": {"base64": "/w=="}}


def test_an_entry_without_evidence_has_no_pieces() -> None:
    assert restored(fields(LEAF, {}), 0, 0).pieces == {}


def test_storing_again_gives_the_same_bytes() -> None:
    assert stored(LEAF, PIECES) == stored(LEAF, PIECES)


def test_evidence_that_cannot_be_unpacked_is_a_trail_error_when_it_is_asked_for() -> None:
    def pieces() -> dict[str, bytes]:
        raise ValueError("no such thing")

    entry = Entry(LEAF, pieces, index=7, partition=2)
    with pytest.raises(TrailError, match="Record 7 of partition 2 cannot be read: its evidence cannot be unpacked"):
        _ = entry.pieces


def test_an_entry_that_was_read_keeps_the_bytes_that_hold_it() -> None:
    assert restored(fields(), 0, 0).packed == fields()[FIELD]


@pytest.mark.parametrize("value", [b"", b"garbage", b"\x00" * 40])
def test_a_value_that_cannot_be_unpacked_is_a_trail_error_that_names_the_record(value: bytes) -> None:
    with pytest.raises(TrailError, match="Record 7 of partition 2 cannot be read: it cannot be unpacked"):
        restored({FIELD: value}, 7, 2)


def test_a_missing_field_is_a_trail_error_that_names_the_field() -> None:
    with pytest.raises(TrailError, match=r"KeyError: .*record"):
        restored({}, 7, 2)


@given(st.binary(max_size=300))
def test_the_leaf_hash_is_that_of_rfc_6962(leaf: bytes) -> None:
    digest = hashlib.sha256()
    digest.update(b"\x00")
    digest.update(leaf)
    assert Entry(leaf, {}, index=0).leaf_hash == digest.hexdigest()


def test_the_leaf_hash_of_nothing_is_the_known_one() -> None:
    # the first leaf of the test vectors of RFC 6962's reference implementation
    known = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert Entry(b"", {}, index=0).leaf_hash == known


def test_the_record_is_the_leaf_as_read() -> None:
    assert Entry(LEAF, {}, index=0).record == {"kind": "notice", "v": 1}


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (b"", "its leaf is not valid JSON: "),
        (b"{", "its leaf is not valid JSON: "),
        (b'{"v": 1, "v": 1}', "its leaf is not valid JSON: "),
        (b"[]", "its leaf is not a JSON object"),
        (b"null", "its leaf is not a JSON object"),
    ],
)
def test_a_leaf_that_is_no_object_is_a_trail_error_that_says_why(leaf: bytes, why: str) -> None:
    with pytest.raises(TrailError, match=f"Record 3 of partition 1 cannot be read: {why}"):
        _: dict[str, Any] = Entry(leaf, {}, index=3, partition=1).record


@pytest.mark.parametrize(
    ("index", "partition", "partitions", "name"), [(5, 0, 1, "5"), (5, 0, 2, "0:5"), (0, 3, 4, "3:0")]
)
def test_a_record_is_named_with_its_partition_where_there_are_several(
    index: int, partition: int, partitions: int, name: str
) -> None:
    assert address(index, partition, partitions) == name
