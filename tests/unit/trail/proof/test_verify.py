import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import KINDS, SETTLING, Fault
from llmctx.trail.proof.checkpoint import Checkpoint
from llmctx.trail.proof.coverage import BOUND_MS, Coverage
from llmctx.trail.proof.merkle import leaf_hash, root
from llmctx.trail.proof.verify import Verifier
from tests.conftest import present

SIZE = 6
COMMON = {
    "v": 1,
    "recorded_at_ms": 1,
    "worker": "host:1",
    "attempts": 1,
    "code": "test",
    "verdict": {"action": "hold", "reason": ""},
}

DECISION = {
    "action": "hold",
    "confidence": "0.5",
    "reasoning": "r",
    "evidence": [],
    "invalidation": "i",
    "valid_for": 5,
}


STANDING = {"address": "0", "leaf_hash": "0" * 64, "action": "hold"}


def record(index: int, **changes: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A decision with all its evidence."""
    pieces = {
        "snapshot": f'{{"at":{index}}}'.encode(),
        "messages": f'["{index}"]'.encode(),
        "completion": b"\xff" + bytes([index]),
    }
    document = {
        **COMMON,
        "kind": "decision",
        "tick": f"tick-{index}",
        "snapshot": {"sha256": canonical.sha256(pieces["snapshot"]), "sections": {}},
        "prompt": {
            "template": "position",
            "version": 1,
            "template_sha256": "0" * 64,
            "sha256": canonical.sha256(pieces["messages"]),
        },
        "request": {},
        "completion": {"outcome": "answered", "sha256": canonical.sha256(pieces["completion"])},
        "decision": DECISION,
    }
    return document | changes, pieces


SAID_OF: dict[str, dict[str, Any]] = {
    kind: {"id": kind, "about": {"index": 0}, "person": {"by": "R. Meier", "why": "seen"}}
    for kind in ("approval", "override", "annotation")
} | {"effect": {"id": "effect", "symbol": "AAPL", "effect": {"status": "accepted"}}}


def entry(index: int, **changes: Any) -> Entry:
    document, pieces = record(index, **changes)
    return Entry(canonical.dumps(document), pieces, index=index)


def bare(index: int, **document: Any) -> Entry:
    """A record without evidence."""
    return Entry(canonical.dumps(COMMON | document), {}, index=index)


def good() -> list[Entry]:
    """Six records: decisions, one of them with conflated ticks, and a notice."""
    log = [entry(index) for index in range(SIZE)]
    log[2] = entry(2, conflated=["tick-2a", "tick-2b"])
    log[3] = bare(3, kind="notice", verdict={"action": "none", "reason": "made"})
    return log


def first_fault(log: Sequence[Entry], verifier: Verifier | None = None) -> Fault | None:
    verifier = verifier or Verifier()
    return next((fault for found in log if (fault := verifier.check(found)) is not None), None)


def broken(log: Sequence[Entry]) -> tuple[int, str]:
    """Where a log is at fault, and by which rule."""
    fault = present(first_fault(log))
    return fault.at, fault.rule


def altered(entry: Entry, leaf: bytes | None = None, **pieces: bytes) -> Entry:
    return Entry(entry.leaf if leaf is None else leaf, entry.pieces | pieces, index=entry.index)


def test_a_good_log_has_no_fault() -> None:
    verifier = Verifier()
    assert first_fault(good(), verifier) is None
    assert verifier.size == SIZE


def test_the_settled_ticks_are_those_of_the_records() -> None:
    verifier = Verifier()
    first_fault(good(), verifier)
    settled = {"tick-0": 0, "tick-1": 1, "tick-2": 2, "tick-2a": 2, "tick-2b": 2, "tick-4": 4, "tick-5": 5}
    assert verifier.settled == settled
    assert verifier.check_map(settled) is None


def test_an_empty_log_has_an_empty_map() -> None:
    assert Verifier().check_map({}) is None


@pytest.mark.parametrize("missing", range(SIZE - 1))
def test_a_gap_is_found_at_the_index_that_is_missing(missing: int) -> None:
    log = good()
    del log[missing]
    assert first_fault(log) == (missing, "contiguity", f"index {missing}", f"index {missing + 1}")


def test_a_log_that_does_not_begin_at_0_is_a_gap_at_0() -> None:
    assert first_fault(good()[3:]) == (0, "contiguity", "index 0", "index 3")


def test_swapped_records_are_found_at_the_first_of_them() -> None:
    log = good()
    log[1], log[4] = log[4], log[1]
    assert first_fault(log) == (1, "contiguity", "index 1", "index 4")


def test_a_repeated_record_is_found() -> None:
    log = good()
    assert first_fault([*log[:3], *log[2:]]) == (3, "contiguity", "index 3", "index 2")


def test_records_swapped_together_with_their_indices_are_seen_by_the_map_of_ticks() -> None:
    log, verifier = good(), Verifier()
    first_fault(log, verifier)
    honest = dict(verifier.settled)
    swapped = [Entry(log[i].leaf, log[i].pieces, index=at) for at, i in enumerate([0, 4, 2, 3, 1, 5])]
    verifier = Verifier()
    assert first_fault(swapped, verifier) is None
    fault = present(verifier.check_map(honest))
    assert fault.rule == "tick-map"


LEAVES = [found.leaf for found in good()]


@given(data=st.data())
def test_a_flipped_bit_in_a_leaf_is_found_unless_it_only_changes_a_text(data: st.DataObject) -> None:
    """What says the same in other words only a root over the leaves can tell."""
    index = data.draw(st.integers(0, SIZE - 1))
    leaf = bytearray(LEAVES[index])
    at = data.draw(st.integers(0, len(leaf) - 1))
    leaf[at] ^= 1 << data.draw(st.integers(0, 7))
    log = good()
    log[index] = altered(log[index], bytes(leaf))
    assert log[index].leaf_hash != good()[index].leaf_hash
    fault = first_fault(log)
    if fault is None:
        before, after = json.loads(LEAVES[index]), json.loads(leaf)
        assert canonical.dumps(after) == bytes(leaf)
        assert before != after
        assert after["kind"] in KINDS
    else:
        assert fault.at >= index


def test_a_flipped_byte_in_a_digest_of_a_leaf_is_found_there() -> None:
    log = good()
    digest = canonical.sha256(log[1].pieces["messages"]).encode()
    other = (b"0" if digest[:1] != b"0" else b"1") + digest[1:]
    log[1] = altered(log[1], log[1].leaf.replace(digest, other))
    assert first_fault(log) == (1, "evidence-digest of messages", other.decode(), digest.decode())


@pytest.mark.parametrize(
    "change",
    [
        lambda leaf: leaf.replace(b":", b": ", 1),
        lambda leaf: leaf + b"\n",
        lambda leaf: b" " + leaf,
        lambda leaf: leaf.replace(b'"decision"', b'"\\u0064ecision"'),
        lambda leaf: b"{" + leaf[leaf.index(b',"kind"') + 1 : -1] + b"," + leaf[1 : leaf.index(b',"kind"')] + b"}",
        lambda leaf: leaf[:-1] + b',"w":1.5}',
        lambda leaf: leaf[:-1] + b',"w":-0}',
        lambda leaf: leaf[:-1] + b',"w":9007199254740992}',
        lambda leaf: leaf[:-1] + ',"ä":1}'.encode(),
    ],
)
def test_a_leaf_that_says_the_same_in_another_form_is_found(change: Any) -> None:
    log = good()
    leaf = change(log[1].leaf)
    assert leaf != log[1].leaf
    log[1] = altered(log[1], leaf)
    assert first_fault(log) == (1, "canonical-form", "RFC 8785 bytes of its content", "other bytes")


@pytest.mark.parametrize(
    "change",
    [
        lambda leaf: leaf.replace(b'"v":1', b'"v":1,"v":1'),
        lambda leaf: leaf.replace(b'"kind"', b'"kind":"notice","kind"'),
        lambda leaf: leaf.replace(b'"sha256"', b'"sha256":"","sha256"', 1),
        lambda leaf: leaf.replace(b'"v":1', b'"v":NaN'),
        lambda leaf: leaf[:-1],
        lambda leaf: leaf + leaf,
        lambda leaf: leaf.replace(b"tick-1", b"tick-\xff"),
        lambda _: b"",
        lambda _: b"[" * 100_000,
    ],
)
def test_a_leaf_that_is_not_one_json_text_is_found(change: Any) -> None:
    log = good()
    log[1] = altered(log[1], change(log[1].leaf))
    fault = present(first_fault(log))
    assert (fault.at, fault.rule) == (1, "canonical-form")
    assert fault.expected == "one JSON text without duplicate names"


@pytest.mark.parametrize(
    "leaf",
    [
        b"[]",
        b"null",
        b'"decision"',
        b"1",
        b"{}",
        b'{"kind":"decision"}',
        b'{"v":1}',
        b'{"kind":"decision","tick":"a","v":2}',
        b'{"kind":"decision","tick":"a","v":"1"}',
        b'{"kind":"Decision","tick":"a","v":1}',
        b'{"kind":"other","v":1}',
        b'{"kind":null,"v":1}',
        b'{"kind":["notice"],"v":1}',
    ],
)
def test_a_leaf_of_an_unknown_form_or_kind_is_found(leaf: bytes) -> None:
    assert broken([Entry(leaf, {}, index=0)]) == (0, "record-form")


def test_a_format_of_true_is_no_format() -> None:
    assert first_fault([Entry(b'{"kind":"notice","v":true}', {}, index=0)]) is not None


def test_every_known_kind_passes() -> None:
    log = [
        entry(index, kind=kind, **({} if kind == "decision" else {"standing": STANDING}))
        if kind in ("decision", "unasked")
        else bare(index, kind=kind, **({"tick": f"tick-{index}"} if kind in SETTLING else SAID_OF.get(kind, {})))
        for index, kind in enumerate(KINDS)
    ]
    assert first_fault(log) is None


def test_an_id_that_stands_twice_is_found_at_the_second_record() -> None:
    log = [bare(index, kind="effect", **SAID_OF["effect"]) for index in range(2)]
    assert broken(log) == (1, "one-record-per-id")


@pytest.mark.parametrize("about", [{"index": 1}, {"index": -1}, {"index": 0, "leaf_hash": "00" * 32}])
def test_what_is_said_of_no_earlier_record_is_found(about: dict[str, Any]) -> None:
    log = [entry(0), bare(1, kind="annotation", **SAID_OF["annotation"] | {"about": about})]
    assert broken(log) == (1, "about")


def test_what_is_said_of_a_record_by_its_leaf_hash_is_good() -> None:
    about = {"index": 0, "leaf_hash": entry(0).leaf_hash}
    assert first_fault([entry(0), bare(1, kind="annotation", **SAID_OF["annotation"] | {"about": about})]) is None


PROMISED, ONCE = "completion, messages, snapshot", "one-record-per-tick"
REPLACED: dict[str, tuple[int, Entry, tuple[str, ...]]] = {
    "a tick settled twice": (4, entry(4, tick="tick-1"), (ONCE, "tick tick-1 only in record 1", "it again")),
    "settled as conflated, and again": (4, entry(4, tick="tick-2b"), (ONCE, "tick tick-2b only in record 2", "it again")),
    "conflated after it": (5, entry(5, conflated=["tick-0"]), (ONCE, "tick tick-0 only in record 0", "it again")),
    "no piece": (0, Entry(entry(0).leaf, {}, index=0), ("evidence-pieces", PROMISED, "none")),
    "an extra piece": (5, altered(entry(5), other=b"x"), ("evidence-pieces", PROMISED, "completion, messages, other, snapshot")),
    "a piece of a notice": (3, altered(good()[3], snapshot=b"{}"), ("evidence-pieces", "none", "snapshot")),
    "a leaf that is no JSON": (4, altered(entry(4), entry(4).leaf.replace(b"{", b"[", 1)), ("canonical-form",)),
}  # fmt: skip
"""What stands in the place of a record, and the fault that is found there, as far as it is known."""


@pytest.mark.parametrize("name", REPLACED)
def test_another_record_in_the_place_of_a_good_one_is_found_there(name: str) -> None:
    at, found, fault = REPLACED[name]
    log = good()
    log[at] = found
    assert present(first_fault(log))[: 1 + len(fault)] == (at, *fault)


@pytest.mark.parametrize("conflated", [["tick-1"], ["tick-1a", "tick-1a"]])
def test_a_tick_twice_in_one_record_is_found(conflated: list[str]) -> None:
    log = good()
    log[1] = entry(1, conflated=conflated)
    assert broken(log) == (1, "one-record-per-tick")


@pytest.mark.parametrize("kind", SETTLING)
def test_a_settling_record_without_a_tick_is_found(kind: str) -> None:
    standing = {"standing": STANDING} if kind == "unasked" else {}
    leaf = {name: value for name, value in record(0, kind=kind, **standing)[0].items() if name != "tick"}
    found = first_fault([Entry(canonical.dumps(leaf), record(0)[1], index=0)])
    assert found == (0, "one-record-per-tick", f"a tick in a {kind}", "[]")


@pytest.mark.parametrize("kind", ["incident", "notice"])
def test_another_record_with_a_tick_is_found(kind: str) -> None:
    found = first_fault([bare(0, kind=kind, tick="a")])
    assert found == (0, "one-record-per-tick", f"no tick in a {kind}", "['a']")


def test_a_notice_that_settles_conflated_ticks_is_found() -> None:
    assert first_fault([bare(0, kind="notice", conflated=["a"])]) is not None


@pytest.mark.parametrize(
    "changes", [{"tick": ["a"]}, {"tick": {}}, {"conflated": None}, {"conflated": 5}, {"conflated": [["a"]]}]
)
def test_ticks_of_another_form_are_a_fault_and_no_exception(changes: dict[str, Any]) -> None:
    fault = present(first_fault([entry(0, **changes)]))
    assert fault.at == 0


@pytest.mark.parametrize("changes", [{"tick": 5}, {"tick": None}, {"tick": True}, {"conflated": "abc"}])
def test_ticks_that_are_no_texts_are_a_fault(changes: dict[str, Any]) -> None:
    assert first_fault([entry(0, **changes)]) is not None


@pytest.mark.parametrize("piece", ["snapshot", "messages", "completion"])
def test_a_missing_piece_is_found_and_named(piece: str) -> None:
    log = good()
    pieces = {name: raw for name, raw in log[4].pieces.items() if name != piece}
    log[4] = Entry(log[4].leaf, pieces, index=4)
    expected, found = "completion, messages, snapshot", ", ".join(sorted(pieces))
    assert first_fault(log) == (4, "evidence-pieces", expected, found)


@pytest.mark.parametrize("piece", ["snapshot", "messages", "completion"])
@pytest.mark.parametrize("at", [0, -1])
def test_a_flipped_byte_in_the_evidence_is_found_and_its_piece_named(piece: str, at: int) -> None:
    log = good()
    raw = bytearray(log[2].pieces[piece])
    raw[at] ^= 1
    expected = canonical.sha256(log[2].pieces[piece])
    log[2] = altered(log[2], **{piece: bytes(raw)})
    assert first_fault(log) == (2, f"evidence-digest of {piece}", expected, canonical.sha256(bytes(raw)))


def test_evidence_of_another_record_is_found() -> None:
    log = good()
    log[1], log[4] = altered(log[1], **log[4].pieces), altered(log[4], **log[1].pieces)
    assert broken(log) == (1, "evidence-digest of snapshot")


def test_a_fault_does_not_count_as_a_good_record() -> None:
    log, verifier = good(), Verifier()
    log[2] = altered(log[2], b"[]")
    first_fault(log[:3], verifier)
    assert verifier.records == 2


def test_the_check_can_go_on_after_a_record_that_cannot_be_read() -> None:
    log, verifier = good(), Verifier()
    log[2], log[4] = altered(log[2], b"[]"), altered(log[4], b"no JSON")
    faults = [verifier.check(found) for found in log]
    assert [None if fault is None else (fault.at, fault.rule) for fault in faults] == [
        None, None, (2, "record-form"), None, (4, "canonical-form"), None,
    ]  # fmt: skip
    assert verifier.unreadable == [faults[2], faults[4]]
    assert (verifier.size, verifier.records) == (SIZE, 4)


def test_what_the_anchor_knows_of_a_record_that_cannot_be_read_keeps_the_tree_right() -> None:
    log = good()
    known = [leaf_hash(found.leaf) for found in log]
    log[2] = altered(log[2], b"[]")
    verifier = Verifier(known=known)
    for found in log:
        verifier.check(found)
    assert verifier.tree.root() == root(known)


def verified() -> Verifier:
    verifier = Verifier()
    assert first_fault(good(), verifier) is None
    return verifier


def test_a_tick_that_the_map_lacks_is_found_at_its_record() -> None:
    verifier = verified()
    tick_map = dict(verifier.settled)
    del tick_map["tick-2a"]
    assert verifier.check_map(tick_map) == (2, "tick-map", "tick tick-2a -> 2", "tick tick-2a -> None")


def test_a_tick_that_the_map_has_elsewhere_is_found_at_its_record() -> None:
    verifier = verified()
    fault = verifier.check_map(verifier.settled | {"tick-4": 5})
    assert fault == (4, "tick-map", "tick tick-4 -> 4", "tick tick-4 -> 5")


def test_a_tick_that_only_the_map_knows_is_found_at_the_end_of_the_log() -> None:
    verifier = verified()
    fault = verifier.check_map(verifier.settled | {"unknown": 3})
    assert fault == (SIZE, "tick-map", "tick unknown -> None", "tick unknown -> 3")


def test_of_several_differences_in_the_map_the_first_by_index_is_named() -> None:
    for seed in range(40):
        verifier = Verifier()
        for index in range(8):
            verifier.check(bare(index, kind="skipped", tick=f"{seed}-{index}"))
        fault = present(verifier.check_map({}))
        assert fault.at == 0


def of_symbols(*symbols: str) -> Verifier:
    verifier = Verifier()
    for index, symbol in enumerate(symbols):
        assert verifier.check(bare(index, kind="skipped", tick=f"t{index}", symbol=symbol)) is None
    return verifier


def test_the_lists_of_symbols_say_just_what_the_records_say() -> None:
    verifier = of_symbols("A", "B", "A", "")
    assert verifier.check_symbols({"A": [0, 2], "B": [1]}) is None
    assert verifier.check_symbols({"A": [0], "B": [1]}, 2) is None


@pytest.mark.parametrize(
    ("lists", "at"),
    [
        ({"B": [1]}, 0),
        ({"A": [0], "B": [1]}, 2),
        ({"A": [2, 0], "B": [1]}, 0),
        ({"A": [0, 2, 2], "B": [1]}, 3),
        ({"A": [0, 2], "B": [1], "C": [1]}, 3),
        ({"A": [0, -1], "B": [1]}, 2),
        ({"A": [0, 2], "B": []}, 1),
    ],
)
def test_another_list_of_a_symbol_is_found(lists: dict[str, list[int]], at: int) -> None:
    fault = present(of_symbols("A", "B", "A").check_symbols(lists))
    assert (fault.at, fault.rule) == (at, "symbol-index")


def test_a_fault_reads_as_a_sentence() -> None:
    fault = Fault(3, "contiguity", "index 3", "index 4")
    assert str(fault) == "record 3 breaks contiguity: expected index 3, found index 4"


def test_a_checkpoint_over_a_part_of_a_late_one_makes_the_rest_no_later() -> None:
    late = (f"time {1000 * BOUND_MS}", "late-since 5")
    part, whole = (Checkpoint("llmctx/test/0", size, bytes(32), late) for size in (2, 4))
    coverage = Coverage([part, whole])
    coverage.begin_at(3)
    assert coverage.check_time(3, 10) is None
    earlier = Checkpoint("llmctx/test/0", 2, bytes(32), (f"time {900 * BOUND_MS}",))
    coverage = Coverage([earlier, whole])
    coverage.begin_at(3)
    assert coverage.check_time(3, 10) is not None
