from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.flow.symbol import Symbol, wire_position
from llmctx.schema.values import Position
from tests.unit.flow.makers import MINUTE, OPENING, bar, position


def test_a_new_symbol_holds_nothing() -> None:
    made = Symbol("AAPL", MINUTE)
    assert (made.raw, made.held, made.track.last) == (b"", None, None)


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_position_comes_back_from_its_wire_and_its_wire_from_the_position(side: str) -> None:
    held = position(side, stop_loss=None, entry_price=Decimal("99.1234"))
    made = Symbol("AAPL", MINUTE)
    made.hold(wire_position(held))
    assert made.held == held
    assert wire_position(made.held) == made.raw


def test_fields_that_are_not_known_survive() -> None:
    raw = canonical.wire(canonical.loads(wire_position(position())) | {"broker": "X", "fee": Decimal("1.5")})
    made = Symbol("AAPL", MINUTE)
    made.hold(raw)
    assert made.held is not None
    assert canonical.loads(wire_position(made.held)) == canonical.loads(raw)


@pytest.mark.parametrize("raw", [b"x", b"not a string", b"{}", b"[]", b'{"symbol":"AAPL"}'])
def test_what_is_no_position_is_held_as_it_is_and_cannot_be_used(raw: bytes) -> None:
    made = Symbol("AAPL", MINUTE)
    made.hold(raw)
    assert (made.raw, made.held) == (raw, None)


def test_a_position_that_is_gone_is_gone() -> None:
    made = Symbol("AAPL", MINUTE)
    made.hold(wire_position(position()))
    made.hold(b"")
    assert (made.raw, made.held) == (b"", None)


def test_what_is_known_of_the_bytes_is_not_read_again() -> None:
    made, held = Symbol("AAPL", MINUTE), position()
    made.hold(wire_position(held), held)
    assert made.held is held


rows = st.lists(
    st.tuples(st.integers(1, 3) | st.just(1440), st.sampled_from([100, 101, 103, 99, 20, 500]), st.integers(0, 500)),
    min_size=1,
    max_size=80,
)


@given(rows, st.none() | st.just(Decimal(5)))
def test_a_symbol_that_recalls_its_bars_is_as_far_as_one_that_took_them(
    found: list[tuple[int, int, int]], ratio: Decimal | None
) -> None:
    first, again, told, at = Symbol("AAPL", MINUTE), Symbol("AAPL", MINUTE), [], OPENING
    for minutes, price, volume in found:
        at += minutes * MINUTE
        one = bar(at, price, volume=str(volume))
        told.append((one, first.take(one, ratio)[0]))
    again.recall(told)
    assert again.screen.candidate(again.track) == first.screen.candidate(first.track)
    assert (again.track.session, again.track.now) == (first.track.session, first.track.now)
    assert again.track.change_pct == first.track.change_pct


def test_a_position_is_written_in_the_shape_of_the_schema() -> None:
    raw = wire_position(position())
    assert Position.model_validate(canonical.loads(raw)) == position()
    assert canonical.loads(raw)["entry_time"] == "2014-06-06T13:30:00.000Z"
    assert b'"quantity":10,' in raw
