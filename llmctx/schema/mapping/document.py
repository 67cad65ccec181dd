"""The bytes of a mapped key as the schema's document."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from llmctx import canonical, clock
from llmctx.schema.mapping.path import find
from llmctx.schema.mapping.rule import WHOLE, FieldRule, SectionRule

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?\Z", re.ASCII)
_MAX_NUMBER_CHARS = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = {"s": Decimal(1_000_000), "ms": Decimal(1000), "us": Decimal(1), "ns": Decimal("0.001")}


def hash_as_json(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A hash as one JSON object, names sorted: the evidence of a section that is read from a hash.

    A value that is not UTF-8 becomes {"base64": TEXT}. Raises ValueError if a name is not UTF-8.
    """
    texts = {name.decode(): _text_of(value) for name, value in pairs}
    return json.dumps(texts, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _text_of(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": canonical.to_base64(value)}


def read_document(rule: SectionRule, raw: bytes, seen_ms: Mapping[str, int]) -> Any:
    """The schema's document from the bytes of a mapped key; `seen_ms` holds the fields that are first_seen.

    Raises ValueError if the bytes are not JSON, or a path cannot be evaluated.
    """
    source = canonical.loads_lenient(raw)
    for name in rule.json_fields:
        if isinstance(source, dict) and isinstance(source.get(name), str):
            source[name] = canonical.loads_lenient(source[name].encode())
    if not rule.fields:
        return source
    if WHOLE in rule.fields:
        return _mapped(rule.fields[WHOLE], source)
    made = _object_of(rule.fields, source)
    for target, at_ms in seen_ms.items():
        _put(made, target, clock.from_ms(at_ms))
    return made


def _object_of(fields: dict[str, FieldRule], source: Any) -> dict[str, Any]:
    """The object whose fields come from these sources; a field whose source is absent is left out."""
    made: dict[str, Any] = {}
    for target, field in fields.items():
        value = _mapped(field, source)
        if value is not None or "constant" in field.model_fields_set:
            _put(made, target, value)
    return made


def _put(document: dict[str, Any], target: str, value: Any) -> None:
    """Put a value at a plain path."""
    *parents, name = target.split(".")
    for parent in parents:
        document = document.setdefault(parent, {})
    document[name] = value


def _mapped(field: FieldRule, source: Any) -> Any:
    if field.path is None:
        return field.constant
    value = find(field.path, source)
    if field.each and isinstance(value, list):
        return [_object_of(field.each, item) for item in value]
    if field.words and isinstance(value, str | int | Decimal):
        value = _meaning(field, str(value).strip().casefold(), value)
    if field.epoch is not None and (number := number_in(value)) is not None:
        value = _moment(number * _MICROSECONDS[field.epoch], value)
    if field.factor is not None and (number := number_in(value)) is not None:
        value = number * field.factor
    return value


def _meaning(field: FieldRule, word: str, unknown: Any) -> Any:
    return next((meaning for name, meaning in field.words.items() if name.casefold() == word), unknown)


def _moment(microseconds: Decimal, unreadable: Any) -> Any:
    try:
        return _EPOCH + timedelta(microseconds=int(microseconds))
    except OverflowError:
        return unreadable


def number_in(value: Any) -> Decimal | None:
    """The number that a value is or that a text represents; None if there is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if not isinstance(value, str) or len(value) > _MAX_NUMBER_CHARS or _NUMBER.match(value.strip()) is None:
        return None
    try:
        return Decimal(value.strip())
    except InvalidOperation:  # pragma: no cover  the expression admits numbers only
        return None
