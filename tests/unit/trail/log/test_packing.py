"""Whatever is packed comes back byte for byte; and what a packed value consists of."""

import hashlib
import json
from typing import Any

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.limits import MAX_RECORD_BYTES
from llmctx.trail.log import compaction
from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.facts import fill_facts
from llmctx.trail.log.packing import MARKED, PLAIN, Pieces, lay_out, pack, reference_of, unpack
from tests.unit.makers import body, market, prompt_of, snapshot_of

DICTIONARY = Dictionary(b"what earlier records have in common, again and again " * 40)
LEAF = b'{"kind":"notice","v":1}'


def round_trip(leaf: bytes, pieces: Pieces, dictionary: Dictionary | None = None) -> tuple[bytes, Pieces]:
    unpacked, evidence = unpack(pack(leaf, pieces, dictionary), dictionary)
    return unpacked, evidence()


def ready(documents: dict[str, Any] | None = None) -> tuple[bytes, Pieces]:
    """A leaf that names its evidence, and that evidence, as the pipeline makes them."""
    documents = documents or market()
    pieces = {
        "snapshot": snapshot_of(documents).evidence(), "messages": prompt_of(documents).evidence, "completion": body(),
    }  # fmt: skip
    return canonical.dumps({name: {"sha256": canonical.sha256(raw)} for name, raw in pieces.items()}), pieces


odd = st.text(alphabet=st.sampled_from('a0.-"\\/\x00\x01\x03\x04\x05\n: é€{}[]'), max_size=40).map(str.encode)
blob = st.binary(max_size=200) | odd
names = st.sampled_from(["snapshot", "messages", "completion"]) | st.text(alphabet=st.sampled_from('aé" '), max_size=3)


@given(leaf=blob, pieces=st.dictionaries(names, blob, max_size=4), known=st.sampled_from([None, DICTIONARY]))
@example(leaf=b'"sha256":"' + b"0" * 64 + b'"', pieces={"snapshot": b"\x05"}, known=None)
@example(leaf=b"", pieces={"messages": b"\\n- a: \x01"}, known=None)
def test_whatever_is_packed_comes_back(leaf: bytes, pieces: Pieces, known: Dictionary | None) -> None:
    assert round_trip(leaf, pieces, known) == (leaf, pieces)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.sampled_from('aé€😀"\\/\x00\n: -\u2028'), max_size=8)
    | st.sampled_from(["2025-05-09T10:15:30.123Z", "1e5", "0.10", "-0", "null", "\x01"])
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(["price", "market", "odd"]), values, max_size=3), st.data())
def test_messages_that_repeat_the_snapshot_come_back(sections: dict[str, Any], data: st.DataObject) -> None:
    texts = {name: json.dumps(value, ensure_ascii=data.draw(st.booleans())) for name, value in sections.items()}
    snapshot = json.dumps({"sections": texts}, ensure_ascii=False).encode()
    found = compaction.values_of(snapshot)
    lines = [
        f"- {path.decode()}: "
        + data.draw(st.sampled_from(["{}", '"{}"', '"{}" [unit]', "{} [%]"])).format(value.decode())
        for path, value in found.items()
    ]
    messages = json.dumps([{"content": "\n".join(["Facts", *lines]), "role": "user"}], ensure_ascii=False).encode()
    pieces = {"snapshot": snapshot, "messages": messages}
    assert round_trip(LEAF, pieces) == (LEAF, pieces)


def test_a_real_record_is_marked_and_comes_back() -> None:
    leaf, pieces = ready()
    layout = lay_out(leaf, pieces)
    assert layout.form == MARKED
    assert round_trip(leaf, pieces, DICTIONARY) == (leaf, pieces)


def test_a_fact_that_the_snapshot_has_costs_a_mark() -> None:
    leaf, pieces = ready()
    text = lay_out(leaf, pieces).text
    assert b"price.price.last: \x01 [price]" in text
    assert b"position.side: \x02" in text
    assert b"position.stop_loss: 145" not in text


def test_the_digests_of_a_leaf_stand_before_the_frame() -> None:
    leaf, pieces = ready()
    digests = lay_out(leaf, pieces).digests
    assert digests == b"".join(bytes.fromhex(canonical.sha256(raw)) for raw in dict(sorted(pieces.items())).values())


def test_what_has_a_marks_byte_in_it_is_packed_plainly() -> None:
    assert lay_out(LEAF, {"messages": b"\x01"}).form == PLAIN
    assert lay_out(LEAF, {"another": b"x"}).form == PLAIN


def test_a_value_names_its_dictionary_and_is_smaller_for_it() -> None:
    leaf, pieces = ready()
    known = Dictionary(lay_out(leaf, pieces).text)
    packed = pack(leaf, pieces, known)
    assert reference_of(packed) == known.reference == bytes.fromhex(known.digest)[:8]
    assert reference_of(pack(leaf, pieces)) is None
    assert len(packed) < len(pack(leaf, pieces)) / 4


def test_without_its_dictionary_a_value_is_not_read() -> None:
    packed = pack(LEAF, {}, DICTIONARY)
    for wrong in (None, Dictionary(b"another one, long enough to be one" * 9)):
        with pytest.raises(ValueError, match=f"needs the dictionary {DICTIONARY.reference.hex()}"):
            unpack(packed, wrong)


FRAME = pack(*ready(), DICTIONARY)


@given(at=st.integers(0, len(FRAME) - 1), mask=st.integers(1, 255))
@example(at=1714, mask=64)
def test_a_flipped_byte_is_a_value_error_or_a_record_but_never_another_exception(at: int, mask: int) -> None:
    """It may even be the same record: a zstd frame has bits of padding. The digests in the leaf tell which it is."""
    flipped = bytearray(FRAME)
    flipped[at] ^= mask
    try:
        leaf, pieces = unpack(bytes(flipped), DICTIONARY)
        found = leaf, pieces()
    except ValueError:
        return
    promised = {name: said["sha256"] for name, said in canonical.loads(ready()[0]).items()}
    kept = {name: canonical.sha256(piece) for name, piece in found[1].items()}
    assert (found == ready()) == (leaf == ready()[0] and kept == promised)


@given(st.binary(max_size=120))
def test_garbage_is_a_value_error(garbage: bytes) -> None:
    for head in (b"", b"\x00" * 10, b"\x01" + b"\x00" * 9):
        with pytest.raises(ValueError, match=r"."):
            unpack(head + garbage)


PLAIN_HEAD = b"\x00" * 10


@pytest.mark.parametrize(
    "text",
    [b"", b"no JSON", b"[]", b"null", b"{}", b'{"leaf":5,"pieces":{}}', b'{"leaf":"","pieces":{"a":null}}',
     b'{"leaf":"","pieces":{"a":{}}}', b'{"leaf":"","pieces":{"a":{"base64":"A"}}}', b'{"leaf":"","leaf":"","pieces":{}}',
     b"[" * 100_000],
)  # fmt: skip
def test_a_plain_text_that_is_no_record_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(PLAIN_HEAD + zstandard.ZstdCompressor().compress(text))


def test_a_frame_that_claims_more_than_any_record_has_is_a_value_error() -> None:
    bomb = zstandard.ZstdCompressor(level=1).compress(b"\x00" * (MAX_RECORD_BYTES + 1))
    with pytest.raises(ValueError, match=f"the frame claims {MAX_RECORD_BYTES + 1} bytes"):
        unpack(PLAIN_HEAD + bomb)
    unsaid = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(b"\x00" * (MAX_RECORD_BYTES + 1))
    with pytest.raises(ValueError, match="does not state its size"):
        unpack(PLAIN_HEAD + unsaid)


def test_packing_again_gives_the_same_bytes() -> None:
    assert pack(*ready(), DICTIONARY) == FRAME


def test_a_time_that_stands_without_quotes_comes_back() -> None:
    snapshot = rb'{"sections":{"price":"{\"at\":2026-03-02T15:00:00.000Z,\"last\":1.5}"}}'
    marked, column = compaction.mark_numbers(snapshot)
    assert compaction.fill_numbers(marked, column) == snapshot


@pytest.mark.parametrize(
    "sections",
    [
        {"price": '{"a.b": "1", "a": {"b": "2"}}'},  # the last one counts, as `mark_facts` has it
        {"price": '{"a": {"b": "2"}, "a.b": "1"}'},
        {"price": '{"a[0]": "1", "a": ["2"]}'},
        {"price": '{"a": {"b": "1"}}', "price.a": '{"b": "2"}'},
        {"price": '{"a": 1e5, "b": 0.0000001, "c": -0.0, "d": 1.50, "e": -0}'},
        {"price": "[[7, 0.10], 8]"},
        {"price": "7"},
    ],
)
def test_each_path_leads_to_the_value_that_was_marked(sections: dict[str, str]) -> None:
    snapshot = json.dumps({"sections": sections}).encode()
    lines = [f"- {path.decode()}: {value.decode()}" for path, value in compaction.values_of(snapshot).items()]
    messages = json.dumps([{"content": "\n".join(["Facts", *lines])}]).encode()
    marked = compaction.mark_facts(messages, snapshot)
    assert marked.count(compaction.BARE) == len(lines)
    for leaf in (hashlib.sha256(messages).hexdigest().encode(), b""):  # a guess counts if the leaf bears it out
        assert fill_facts(marked, snapshot, leaf) == messages
