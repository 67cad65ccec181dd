import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmctx.context.tick import Tick
from llmctx.errors import SchemaError
from llmctx.limits import MAX_TICK_ID_CHARS

SYMBOLS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/^=+-]{0,31}", fullmatch=True)
TICKS = st.builds(Tick, id=st.text(min_size=1, max_size=MAX_TICK_ID_CHARS), symbol=SYMBOLS, cause=st.text())


@given(TICKS)
def test_a_tick_survives_a_round_trip_through_its_fields(tick: Tick) -> None:
    assert Tick(**tick.fields()) == tick


@given(TICKS)
def test_the_fields_are_strings(tick: Tick) -> None:
    assert {type(value) for value in tick.fields().values()} == {str}


def test_a_tick_without_a_cause_is_manual() -> None:
    assert Tick(id="t-1", symbol="AAPL").cause == "manual"


def test_ticks_raised_by_hand_have_unique_ids() -> None:
    assert len({Tick.by_hand("AAPL").id for _ in range(1000)}) == 1000


def test_a_tick_raised_by_hand_is_about_its_symbol() -> None:
    assert Tick.by_hand("BRK.B").symbol == "BRK.B"


@pytest.mark.parametrize("symbol", ["", "AA  PL", "A" * 33, "AAPL\n", "{0}"])
def test_a_symbol_invalid_in_a_key_is_refused_and_named(symbol: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Tick(id="t-1", symbol=symbol)
    assert repr(symbol) in caught.value.what


@pytest.mark.parametrize("symbol", ["", "AA  PL"])
def test_a_tick_by_hand_on_an_invalid_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(SchemaError):
        Tick.by_hand(symbol)


def test_a_tick_has_no_other_fields() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Tick.model_validate({"id": "t-1", "symbol": "AAPL", "price": "1"})


@pytest.mark.parametrize("field", ["id", "symbol"])
def test_a_missing_field_is_named(field: str) -> None:
    fields = {"id": "t-1", "symbol": "AAPL"}
    del fields[field]
    with pytest.raises(ValidationError, match=field):
        Tick.model_validate(fields)


def test_a_tick_cannot_be_altered() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Tick(id="t-1", symbol="AAPL").id = "t-2"  # type: ignore[misc]  # that is the claim
