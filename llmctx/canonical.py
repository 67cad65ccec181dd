"""JSON as bytes that can be hashed: written in RFC 8785 form, parsed strictly.

A leaf contains ASCII names, strings, integers below 2^53, booleans, nulls, lists and objects, but no floats. For that
subset every compact writer produces the bytes of RFC 8785 once names are sorted (tests/unit/test_canonical.py checks
it), and pydantic's writer is far faster than one in Python.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jiter
from pydantic_core import PydanticSerializationError, to_json

MAX_SAFE_INTEGER = 2**53 - 1
_MAX_DEPTH = 200
_PAIR, _HALF = r"u[dD][89abAB]..\\u[dD][c-fC-F]..", "u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rf"\\(?:{_PAIR}|(?P<half>{_HALF})|.)", re.DOTALL)
"""One escape of a JSON string; in group `half` if it is half of a surrogate pair."""


def dumps(value: Any) -> bytes:
    """The RFC 8785 bytes of a value.

    Raises ValueError for values without a single form: floats, Decimals, integers of 2^53 or more, names that are not
    ASCII strings, and lone surrogates.
    """
    try:
        return to_json(_ordered(value))
    except PydanticSerializationError as error:
        raise ValueError(f"a lone surrogate has no UTF-8 form: {error}") from error


def _ordered(value: Any) -> Any:
    """The same value with names sorted."""
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
    """Parse one JSON text: numbers with a point become Decimal, whole ones int.

    Raises ValueError for duplicate names, NaN, Infinity, invalid UTF-8, trailing text, and nesting deeper than 200
    levels. `json.loads` would accept these or crash.
    """
    return jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True, float_mode="decimal", cache_mode="keys")


def loads_lenient(raw: bytes) -> Any:
    """Parse as `loads` does, but replace each escape of half a character, such as half an emoji, by U+FFFD.

    Raises ValueError as `loads` does.
    """
    try:
        return loads(raw)
    except ValueError:
        try:
            repaired = _ESCAPE.sub(_replace_half, raw.decode()).encode()
        except UnicodeDecodeError:
            repaired = raw
        if repaired == raw:
            raise
        return loads(repaired)


def _replace_half(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape["half"] else escape[0]


def shallow(raw: bytes) -> Any:
    """Parse as `loads` does, but enforce the 200 levels exactly: jiter accepts one more level of lists.

    Raises ValueError as `loads` does.
    """
    value = loads(raw)
    if raw.count(b"[") + raw.count(b"{") > _MAX_DEPTH and _depth(value) > _MAX_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_DEPTH}")
    return value


def _depth(value: Any) -> int:
    """The nesting depth of lists and objects."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
    return depth


def is_form_of(value: Any, raw: bytes) -> bool:
    """Whether these bytes are the RFC 8785 form of the value that `loads` parsed from them."""
    try:
        return dumps(value) == raw
    except ValueError:
        return False


def wire(value: Any) -> bytes:
    """A live value as stored in Redis: compact JSON with Decimals as numbers, whole ones without a point.

    Prices are JSON numbers in the schema document; 17 significant digits survive the conversion to float.
    """
    return _encode(value).encode()


def _number(value: Any) -> int | float:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not JSON")
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def plain(value: Decimal) -> str:
    """A decimal in full, without exponent or trailing zeros: equal numbers have equal texts."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def trimmed(text: str) -> str:
    """A decimal given as text, without trailing zeros; other text stays as it is."""
    whole, point, part = text.partition(".")
    if not point or not part.isdecimal():
        return text
    part = part.rstrip("0")
    return f"{whole}.{part}" if part else whole


def _encoder() -> Callable[[Any], str]:
    """The encoder of live values. `JSONEncoder.encode` makes CPython's encoder anew for each value, which costs more
    than writing the value; other implementations have none.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_number).encode
    chunks = make(None, _number, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    return lambda value: "".join(chunks(value, 0))


_encode = _encoder()


def sha256(raw: bytes) -> str:
    """The SHA-256 of the bytes, in lower-case hex."""
    return hashlib.sha256(raw).hexdigest()


def to_base64(raw: bytes) -> str:
    """The base64 (RFC 4648, section 4) of the bytes."""
    return base64.b64encode(raw).decode()


def from_base64(text: str) -> bytes:
    """The bytes of canonical base64 (RFC 4648, section 4).

    Raises ValueError if the text is anything else.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if to_base64(raw) != text:
        raise ValueError("not canonical base64")
    return raw
