from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from llmctx import canonical, clock
from llmctx.schema.fields import Count, Number, Positive, Timestamp

NUMBER: TypeAdapter[Decimal] = TypeAdapter(Number)
POSITIVE: TypeAdapter[Decimal] = TypeAdapter(Positive)
COUNT: TypeAdapter[int] = TypeAdapter(Count)
TIMESTAMP: TypeAdapter[datetime] = TypeAdapter(Timestamp)


@pytest.mark.parametrize("bad", [-1, 2**53, Decimal("2.0"), Decimal("2.5"), "2", True, None])
def test_a_count_is_a_whole_number_from_0_on(bad: Any) -> None:
    with pytest.raises(ValidationError, match="whole number from 0 on"):
        COUNT.validate_python(bad)


@given(st.decimals(-(10**12), 10**12, places=4, allow_nan=False, allow_infinity=False))
def test_a_number_is_kept_to_the_last_digit(number: Decimal) -> None:
    assert str(NUMBER.validate_python(number)) == str(number)


@given(st.decimals(-(10**10), 10**10, places=4, allow_nan=False, allow_infinity=False))
def test_a_number_survives_being_written_and_read(number: Decimal) -> None:
    assert NUMBER.validate_python(canonical.loads(NUMBER.dump_json(number))) == number


@given(st.floats(1e-20, 1e20))
def test_a_float_stands_for_its_shortest_decimal_form(number: float) -> None:
    assert NUMBER.validate_python(number) == Decimal(repr(number))


@pytest.mark.parametrize("number", ["1e30", "-1e30", "1e-30", "0", "0.000", "-0.0"])
def test_numbers_up_to_the_limits_are_accepted(number: str) -> None:
    assert NUMBER.validate_python(Decimal(number)) == Decimal(number)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_not_finite_is_refused(number: float) -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(number)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_decimal_that_is_not_finite_is_refused(number: str) -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(Decimal(number))


@pytest.mark.parametrize("number", [b"0e-5000", b"0e5000", b"-0e-5000", b"0e-999999999999"])
def test_a_huge_exponent_of_a_zero_is_refused(number: bytes) -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(canonical.loads(number))


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(canonical.loads(b"0." + b"1" * 5000))


@pytest.mark.parametrize("adapter", [NUMBER, POSITIVE, COUNT])
def test_an_integer_of_thousands_of_digits_is_refused(adapter: TypeAdapter[Any]) -> None:
    with pytest.raises(ValidationError):
        adapter.validate_python(10**4000)


@given(st.integers(-(10**12), 10**14))
def test_a_time_survives_being_written_and_read(ms: int) -> None:
    moment = clock.from_ms(ms)
    assert TIMESTAMP.validate_python(canonical.loads(TIMESTAMP.dump_json(moment))) == moment


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    assert TIMESTAMP.validate_python("2025-05-09T10:15:30.123+02:00") == datetime(
        2025, 5, 9, 8, 15, 30, 123_000, tzinfo=UTC
    )


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_leaves_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TIMESTAMP.validate_python(text)


def test_a_datetime_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError):
        TIMESTAMP.validate_python(datetime(2025, 5, 9))  # noqa: DTZ001  that is the claim
