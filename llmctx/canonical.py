"""JSON as bytes that can be hashed: written in RFC 8785 form, read without guessing.

A leaf holds ASCII names, strings, integers below 2^53, booleans, nulls, lists and objects, and no floats. For
that subset every compact writer gives the bytes of RFC 8785 once names are in order (tests/unit/test_canonical.py holds
them together), and the one that pydantic brings is far faster than a writer in Python.
"""

import hashlib
import json
from decimal import Decimal
from typing import Any

import jiter
from pydantic_core import PydanticSerializationError, to_json

MAX_SAFE_INTEGER = 2**53 - 1
_DEEPEST = 200


def dumps(value: Any) -> bytes:
    """The RFC 8785 bytes of a value.

    Raises ValueError for what has no single form: floats, Decimals, integers from 2^53 on, names that are not
    ASCII strings, lone surrogates.
    """
    try:
        return to_json(_ordered(value))
    except PydanticSerializationError as error:
        raise ValueError(f"a lone surrogate has no UTF-8 form: {error}") from error


def _ordered(value: Any) -> Any:
    """The same value with names in order."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            raise ValueError(f"integer {value} is not exact in every JSON reader; write it as a string")
        return value
    if kind is dict:
        for name in value:
            if type(name) is not str or not name.isascii():
                raise ValueError(f"name {name!r} is not an ASCII string")
        return {name: _ordered(value[name]) for name in sorted(value)}
    if kind is list:
        return [_ordered(item) for item in value]
    raise ValueError(f"{kind.__name__} {value!r} has no canonical form; write decimals as strings")


def loads(raw: bytes) -> Any:
    """The value of one JSON text: numbers with a point as Decimal, whole ones as int.

    Raises ValueError for duplicate names, NaN, Infinity, bytes that are no UTF-8, trailing text and nesting
    beyond 200 levels, all of which `json.loads` would let pass or die of.
    """
    return jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True, float_mode="decimal", cache_mode="keys")


def shallow(raw: bytes) -> Any:
    """What `loads` gives, nested at most 200 deep: jiter lets one more level of lists pass.

    Raises ValueError as `loads` does.
    """
    value = loads(raw)
    if raw.count(b"[") + raw.count(b"{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    return value


def _depth(value: Any) -> int:
    """How deeply lists and objects stand in each other."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
    return depth


def is_form_of(value: Any, raw: bytes) -> bool:
    """Whether these bytes are the RFC 8785 form of a value that `loads` read out of them."""
    try:
        return dumps(value) == raw
    except ValueError:
        return False


def wire(value: Any) -> bytes:
    """A live value as Redis holds it: compact JSON with Decimals as numbers, whole ones without a point.

    Source: SCHEMA.md writes prices as JSON numbers; 17 significant digits survive the way through a float.
    """
    return _wire.encode(value).encode()


def _number(value: Any) -> int | float:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not JSON")
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def plain(value: Decimal) -> str:
    """A decimal in full, without exponent and trailing zeros: equal numbers have equal texts."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


_wire = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_number)


def sha256(raw: bytes) -> str:
    """The SHA-256 of these exact bytes, in lower-case hex."""
    return hashlib.sha256(raw).hexdigest()
