from decimal import Decimal
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import clock
from llmctx.flow.write import Write, bar_id
from llmctx.schema import keys
from llmctx.schema.keys import BY_SECTION
from tests.unit.flow.makers import OPENING, bar

BARS, DECISIONS = b"stocks:bars:AAPL", b"decisions:{0}"


def unpacked(write: Write) -> tuple[list[bytes], list[Any]]:
    """The keys, and the unpacked argument of write.lua."""
    places, arguments = write.call()
    (packed,) = arguments
    assert isinstance(packed, bytes)
    return [key.encode() for key in places], msgpack.unpackb(packed, raw=True)


def operations(write: Write) -> list[list[Any]]:
    """The operations, with each key position replaced by its key."""
    places, (*_, todo) = unpacked(write)
    found = []
    for name, *arguments in todo:
        many = 3 if name == b"rank" else 1
        found.append([name, *(places[place - 1] for place in arguments[:many]), *arguments[many:]])
    return found


def write(**more: Any) -> Write:
    return Write("AAPL", 0, "run-1", **more)


def test_a_write_of_nothing_names_its_streams_and_its_run() -> None:
    assert unpacked(write()) == ([BARS, DECISIONS], [b"", b"", b"run-1", b"", b"", [], []])


def test_a_write_of_a_bar_carries_its_id_and_what_was_read() -> None:
    _, (named, before, run, seen, _, _, _) = unpacked(write(bar=bar(1), bar_before=bar(), seen="7-1"))
    assert (named, before) == (bar_id(bar(1)).encode(), bar_id(bar()).encode())
    assert (run, seen) == (b"run-1", b"7-1")


def test_a_bar_is_named_by_its_start() -> None:
    assert bar_id(bar()) == f"{clock.to_ms(OPENING)}-0" == "1402061400000-0"


def test_the_partition_is_the_one_of_the_decisions() -> None:
    assert unpacked(Write("MSFT", 3, "r"))[0] == [b"stocks:bars:MSFT", b"decisions:{3}"]


def test_guards_follow_the_streams_in_order_with_their_expected_values() -> None:
    made = write().guard("positions:active:AAPL", b"{}").guard(keys.BOOK, b"")
    places, (*_, known, todo) = unpacked(made)
    assert places == [BARS, DECISIONS, b"positions:active:AAPL", b"positions:book"]
    assert (known, todo) == ([b"{}", b""], [])


def test_a_live_key_is_set_for_as_long_as_its_family_lives() -> None:
    made = write()
    made.set(BY_SECTION["price"], b'{"price":1}')
    made.set(BY_SECTION["position"], b"{}")
    made.set(BY_SECTION["signals"], b"s", signal_type="entry")
    assert operations(made) == [
        [b"set", b"stocks:price:AAPL", keys.DAY_S, b'{"price":1}'],
        [b"set", b"positions:active:AAPL", 0, b"{}"],
        [b"set", b"signals:entry:AAPL", keys.DAY_S, b"s"],
    ]


@pytest.mark.parametrize("section", list(BY_SECTION))
def test_every_family_is_set_with_its_own_lifetime(section: str) -> None:
    made, family = write(), BY_SECTION[section]
    made.set(family, b"v", signal_type="exit")
    assert operations(made) == [[b"set", family.key("AAPL", "exit").encode(), family.lifetime_s or 0, b"v"]]


def test_a_private_key_never_expires() -> None:
    made = write()
    made.keep_value(keys.BOOK, b"book")
    assert operations(made) == [[b"put", b"positions:book", b"book"]]


def test_a_key_is_deleted() -> None:
    made = write()
    made.delete(BY_SECTION["position"])
    made.delete(BY_SECTION["signals"], signal_type="exit")
    assert operations(made) == [[b"del", b"positions:active:AAPL"], [b"del", b"signals:exit:AAPL"]]


def test_an_entry_is_added_to_a_stream() -> None:
    made = write()
    made.append(keys.FILLS, {"symbol": "AAPL", "price": "1.5"}, max_entries=100)
    made.append("ticks:{0}", {"a": "1"})
    made.append(keys.bars("AAPL"), {"open": "1"}, max_entries=5, entry_id="7-0")
    assert operations(made) == [
        [b"add", b"positions:fills", 100, b"*", b"symbol", b"AAPL", b"price", b"1.5"],
        [b"add", b"ticks:{0}", 0, b"*", b"a", b"1"],
        [b"add", BARS, 5, b"7-0", b"open", b"1"],
    ]


def test_a_member_is_kept_in_a_sorted_set() -> None:
    made = write()
    made.keep_member(keys.news("AAPL"), 1_402_061_400_000, b"\xc3\xa4", lowest=5)
    assert operations(made) == [[b"keep", b"stocks:news:AAPL", 1_402_061_400_000, b"\xc3\xa4", 5]]


def test_the_ranking_is_written_from_the_scores() -> None:
    made = write()
    made.rank(Decimal("0.5"), 60_000, Decimal("-1.25"), b"{}", oldest_ms=5, max_ranked=20)
    ranked = [b"candidates:scores", b"candidates:screened", b"candidates:ranked"]
    numbers = [b"AAPL", b"0.5", 60_000, b"-1.25", b"{}", 5, 20, keys.DAY_S]
    assert operations(made) == [[b"rank", *ranked, *numbers]]


def test_a_key_has_one_place_however_often_it_is_named() -> None:
    made = write().guard("positions:active:AAPL", b"")
    made.set(BY_SECTION["position"], b"1")
    made.delete(BY_SECTION["position"])
    made.append(keys.bars("AAPL"), {"a": "1"})
    places, (*_, todo) = unpacked(made)
    assert places == [BARS, DECISIONS, b"positions:active:AAPL"]
    assert [operation[:2] for operation in todo] == [[b"set", 3], [b"del", 3], [b"add", 1]]


changes = st.lists(
    st.tuples(st.sampled_from(["set", "keep_value", "delete", "append", "keep_member"]), st.binary()), max_size=8
)


@given(changes)
def test_operations_are_packed_in_order(found: list[tuple[str, bytes]]) -> None:
    made, expected = write(), []
    for name, value in found:
        match name:
            case "set":
                made.set(BY_SECTION["price"], value)
                expected.append([b"set", b"stocks:price:AAPL", keys.DAY_S, value])
            case "keep_value":
                made.keep_value(keys.BOOK, value)
                expected.append([b"put", b"positions:book", value])
            case "delete":
                made.delete(BY_SECTION["monitoring"])
                expected.append([b"del", b"positions:monitoring:AAPL"])
            case "append":
                made.append(keys.CLOSED, {"v": value.hex()}, max_entries=len(value))
                expected.append([b"add", b"positions:closed", len(value), b"*", b"v", value.hex().encode()])
            case _:
                made.keep_member(keys.news("AAPL"), len(value), value, lowest=0)
                expected.append([b"keep", b"stocks:news:AAPL", len(value), value, 0])
    assert operations(made) == expected
    assert made.call() == made.call()
