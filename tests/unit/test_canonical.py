import hashlib
import json
import re
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical
from tests.unit.makers import is_canonical

ASCII_NAMES = st.text(st.characters(max_codepoint=127), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-canonical.MAX_SAFE_INTEGER, canonical.MAX_SAFE_INTEGER)
    | st.text(st.characters(codec="utf-8"))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ASCII_NAMES, inner, max_size=4), max_leaves=20
)


@given(VALUES)
def test_the_bytes_are_those_of_rfc_8785(value: Any) -> None:
    assert canonical.dumps(value) == rfc8785.dumps(value)


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert canonical.loads(canonical.dumps(value)) == value


@given(VALUES)
def test_what_is_read_is_written_back_byte_for_byte(value: Any) -> None:
    raw = canonical.dumps(value)
    assert canonical.dumps(canonical.loads(raw)) == raw


@given(VALUES)
def test_what_dumps_writes_is_canonical(value: Any) -> None:
    assert is_canonical(canonical.dumps(value))


@given(VALUES)
def test_the_order_in_which_names_were_set_does_not_matter(value: Any) -> None:
    assert canonical.dumps({"b": value, "a": 1}) == canonical.dumps({"a": 1, "b": value})


@given(VALUES)
def test_an_indented_form_is_not_canonical(value: Any) -> None:
    assert not is_canonical(json.dumps([value], indent=1).encode())


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (1.5, "float"),
        (Decimal("1.5"), "Decimal"),
        (float("nan"), "float"),
        (2**53, str(2**53)),
        (-(2**53), str(-(2**53))),
        ({"ü": 1}, "ü"),
        ({1: 1}, "1"),
        ({None: 1}, "None"),
        ("\ud800", "surrogate"),
        ({"\ud800": 1}, "ud800"),
        ((1, 2), "tuple"),
        ({1}, "set"),
        (b"x", "bytes"),
    ],
)
def test_what_has_no_single_form_is_refused_and_named(value: Any, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        canonical.dumps(value)


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": {"b": [value]}}])
@pytest.mark.parametrize("value", [1.5, 2**53, {"ü": 1}, "\ud800"])
def test_what_has_no_single_form_is_found_at_any_depth(wrap: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.dumps(wrap(value))


@pytest.mark.parametrize("value", [2**53 - 1, -(2**53) + 1])
def test_the_largest_exact_integers_are_written(value: int) -> None:
    assert canonical.dumps(value) == str(value).encode()


@pytest.mark.parametrize("raw", [b'{"a":1,"a":2}', b'{"x":[{"a":1,"a":1}]}', b'{"\\u0061":1,"a":2}'])
def test_a_duplicate_name_is_refused_and_named(raw: bytes) -> None:
    with pytest.raises(ValueError, match='duplicate key "a"'):
        canonical.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"NaN", b"[Infinity]", b'{"a":-Infinity}', b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\udc00"',
        b'{"\\ud800":1}', b"\xef\xbb\xbf1", b"1 2", b"{} x", b"null\x00", b"", b" ", b"[1,]", b"01", b"+1", b"'a'",
        b'"\x00"', b'{"a":1',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="at line 1"):
        canonical.loads(raw)


@pytest.mark.parametrize("size", [1_000, 100_000])
@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting_is_refused(size: int, begin: bytes, end: bytes) -> None:
    with pytest.raises(ValueError, match="recursion limit"):
        canonical.loads(begin * size + b"1" + end * size)


def test_two_hundred_levels_are_read() -> None:
    assert str(canonical.loads(b"[" * 200 + b"]" * 200)) == "[" * 200 + "]" * 200


@given(st.binary(max_size=40))
def test_loads_refuses_bytes_with_a_value_error_or_reads_them(raw: bytes) -> None:
    try:
        canonical.loads(raw)
    except ValueError:
        return
    json.loads(raw)  # whatever is let through is JSON to others too


@pytest.mark.parametrize("raw", [b"1.0", b"1e5", b"1E5", b"0.1", b"150.25", b"1e999"])
def test_a_number_with_a_point_or_an_exponent_is_read_as_decimal(raw: bytes) -> None:
    number = canonical.loads(raw)
    assert isinstance(number, Decimal)
    assert number == Decimal(raw.decode())


def test_no_digit_of_a_decimal_is_lost() -> None:
    assert str(canonical.loads(b"0.12345678901234567890123456789")) == "0.12345678901234567890123456789"


def test_a_whole_number_is_read_as_an_int_however_long() -> None:
    assert canonical.loads(b"123456789012345678901234567890") == 123456789012345678901234567890


@pytest.mark.parametrize("raw", [b"1e9999999999999999999", b"-1e-9999999999999999999", b"9" * 5000])
def test_a_number_beyond_what_can_be_held_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="at line 1"):
        canonical.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b' {"a":1}', b'{"a":1}\n', b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1.0}', b'{"a":1e3}',
        b'{"a":-0}', b'{"a":"\\u0041"}', b'{"a":"\\/"}', b'{"a":"\\u00e9"}', b'{"a":"\\u001F"}', b'{"a":"\\u0008"}',
        b'{"\xc3\xbc":1}', b'{"a":9007199254740992}', b"{",
    ],
)  # fmt: skip
def test_another_form_of_the_same_is_not_canonical(raw: bytes) -> None:
    assert not is_canonical(raw)


@given(st.integers())
def test_wire_writes_whole_decimals_without_a_point(number: int) -> None:
    assert canonical.wire([Decimal(number), Decimal(f"{number}.00")]) == f"[{number},{number}]".encode()


@given(st.decimals(-(10**9), 10**9, places=6, allow_nan=False, allow_infinity=False))
def test_a_price_survives_the_wire(price: Decimal) -> None:
    assert canonical.loads(canonical.wire({"price": price}))["price"] == price


def test_wire_writes_compact_utf_8() -> None:
    assert canonical.wire({"name": "Zürich", "last": Decimal("150.25"), "none": None}) == (
        '{"name":"Zürich","last":150.25,"none":null}'.encode()
    )


def test_wire_keeps_the_order_of_the_fields() -> None:
    assert canonical.wire({"b": 1, "a": 2}) == b'{"b":1,"a":2}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), "\ud800"])
def test_wire_refuses_what_is_not_json(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.wire({"a": value})


def test_wire_refuses_an_infinite_decimal_like_an_infinite_float() -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.wire({"a": Decimal("Infinity")})


def test_wire_refuses_other_types_by_name() -> None:
    with pytest.raises(TypeError, match="set is not JSON"):
        canonical.wire({"a": {1}})


@given(st.binary())
def test_sha256_is_over_the_exact_bytes_in_lower_case_hex(raw: bytes) -> None:
    assert canonical.sha256(raw) == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("269.0", "269"), ("1.50", "1.5"), ("100", "100"), ("0.10", "0.1"), ("1e5", "1e5"), ("half.", "half."),
        ("a.b0", "a.b0"),
    ],
)  # fmt: skip
def test_an_amount_is_shown_without_trailing_zeros(text: str, shown: str) -> None:
    assert canonical.trimmed(text) == shown
