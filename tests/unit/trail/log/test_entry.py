import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.trail.log.entry import FIELD, Entry, address, restored
from llmctx.trail.log.packing import textual_pieces
from llmctx.trail.log.unreadable import Unreadable
from tests.unit.makers import stored

LEAF = b'{"kind":"notice","v":1}'
NOTICE = canonical.dumps(
    {"v": 1, "kind": "notice", "recorded_at_ms": 1, "worker": "w", "attempts": 1, "code": "c",
     "verdict": {"action": "none", "reason": "r"}}
)  # fmt: skip
PIECES = {"snapshot": b'{"symbol":"AAPL"}', "completion": b"\xff\xfe no text \x00"}


def exact(value: str | dict[str, str]) -> bytes:
    """The bytes of a text, or of {"base64": ...}."""
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])


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
    assert textual_pieces({"messages": b"[]"}) == {"messages": "[]"}


def test_a_piece_that_is_no_utf_8_is_kept_as_base64() -> None:
    assert textual_pieces({"completion": b"\xff"}) == {"completion": {"base64": "/w=="}}


def test_an_entry_without_evidence_has_no_pieces() -> None:
    assert restored(fields(LEAF, {}), 0, 0).pieces == {}


def test_storing_again_gives_the_same_bytes() -> None:
    assert stored(LEAF, PIECES) == stored(LEAF, PIECES)


def test_evidence_that_cannot_be_unpacked_makes_the_record_unreadable() -> None:
    def pieces() -> dict[str, bytes]:
        raise ValueError("no such thing")

    entry = Entry(NOTICE, pieces, index=7, partition=2)
    assert entry.pieces == {}
    assert entry.unreadable == Unreadable("its evidence cannot be unpacked: no such thing")
    assert entry.record["kind"] == "notice"


def test_an_entry_that_was_read_keeps_the_bytes_that_hold_it() -> None:
    assert restored(fields(), 0, 0).packed == fields()[FIELD]


NO_RECORDS: list[dict[bytes, bytes]] = [
    {},
    {b"a": b"b"},
    {FIELD: b"x", b"a": b"\xff"},
    *({FIELD: value} for value in (b"", b"garbage", b"\x00" * 40, b"\x02" + b"\x00" * 40, b"\x01" * 40)),
]


@pytest.mark.parametrize("entry_fields", NO_RECORDS, ids=map(str, NO_RECORDS))
def test_an_entry_without_a_leaf_is_unreadable_and_keeps_its_bytes(entry_fields: dict[bytes, bytes]) -> None:
    entry = restored(entry_fields, 7, 2)
    assert entry.unreadable is not None
    assert entry.lacks_leaf
    assert entry.record["kind"] == "unreadable"
    assert entry.unreadable.why in entry.record["verdict"]["reason"]
    kept = [[exact(name), exact(value)] for name, value in canonical.loads(entry.leaf)["fields"]]
    assert dict(kept) == entry_fields
    assert entry.kept == (entry.leaf, {})


@pytest.mark.parametrize("entry_fields", NO_RECORDS, ids=map(str, NO_RECORDS))
def test_an_unreadable_entry_has_the_same_leaf_hash_after_a_refill(entry_fields: dict[bytes, bytes]) -> None:
    entry = restored(entry_fields, 7, 2)
    refilled = restored({FIELD: entry.packed}, 7, 2)
    assert refilled.leaf_hash == entry.leaf_hash
    assert refilled.unreadable is not None


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
    assert Entry(NOTICE, {}, index=0).record == canonical.loads(NOTICE)
    assert Entry(NOTICE, {}, index=0).unreadable is None


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (b"", "its leaf is not valid JSON: "),
        (b"{", "its leaf is not valid JSON: "),
        (b'{"v": 1, "v": 1}', "its leaf is not valid JSON: "),
        (b"\n\xff", "its leaf is not valid JSON: "),
        (b"[]", 'its leaf must have an object with "v": 1'),
        (NOTICE.replace(b'"v":1', b'"v":2'), 'its leaf must have an object with "v": 1'),
        (NOTICE.replace(b"notice", b"riddle"), 'its leaf must have an object with "v": 1 and a known kind'),
        (LEAF, "its leaf must have recorded_at_ms in a notice, not nothing"),
    ],
)
def test_a_leaf_that_has_not_the_form_of_a_record_is_unreadable_and_says_why(leaf: bytes, why: str) -> None:
    entry = Entry(leaf, {}, index=3, partition=1, packed=b"as it was")
    assert entry.unreadable is not None
    assert entry.unreadable.why.startswith(why)
    assert entry.leaf == leaf
    assert not entry.lacks_leaf
    stand_in, pieces = entry.kept
    assert canonical.loads(stand_in)["fields"] == [["record", "as it was"]]
    assert pieces == {}


@pytest.mark.parametrize(
    ("index", "partition", "partitions", "name"), [(5, 0, 1, "5"), (5, 0, 2, "0:5"), (0, 3, 4, "3:0")]
)
def test_a_record_is_named_with_its_partition_where_there_are_several(
    index: int, partition: int, partitions: int, name: str
) -> None:
    assert address(index, partition, partitions) == name
