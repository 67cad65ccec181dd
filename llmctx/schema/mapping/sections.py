"""All rules of llmctx.toml's `[sections]` together: which keys a package is read from, and as which sections.

Their text is a blob that each record names which was made by them, so that the record's package can be rebuilt.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel

from llmctx import canonical
from llmctx.schema.keys import BY_SECTION, FAMILIES, Family, latest
from llmctx.schema.mapping.document import read_document
from llmctx.schema.mapping.own import own_model
from llmctx.schema.mapping.rule import ENTRY_TIME, SectionRule
from llmctx.schema.mapping.written import as_position, as_schema

FORMAT = "llmctx-sections/1"
STRING, HASH, FIELD = "s", "h", "f"
"""How a section is read: a string, a whole hash, or one field of a hash."""

_OWN_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RESERVED = {"thesis", "portfolio", "memory", "timeframes", "answer", "symbol", "as_of"}


class Place(NamedTuple):
    """Where a section of one symbol is read."""

    key: str
    """The key."""
    kind: str = STRING
    """STRING, HASH or FIELD."""
    field: str = ""
    """The field, if the kind is FIELD."""

    def __str__(self) -> str:
        return f"{self.key}[{self.field}]" if self.kind == FIELD else self.key


class Sections:
    """The rules of all mapped sections and sections of one's own. Two are equal if their blobs are."""

    def __init__(self, rules: Mapping[str, SectionRule]) -> None:
        """Raises ValueError that names the section if a rule does not suit it."""
        self.rules = MappingProxyType(dict(rules))
        """The rules by section."""
        document = {name: rule.model_dump(by_alias=True, exclude_unset=True) for name, rule in rules.items()}
        self.blob = canonical.wire({"format": FORMAT, "sections": document})
        """The rules as a blob."""
        self.sha256 = canonical.sha256(self.blob)
        """The blob's digest, by which records name it."""
        self.families = _families(self.rules)
        """Every family of a package in prompt order, with the keys that these rules give them."""
        self.places = lru_cache(maxsize=4096)(self._places)
        """Map every section of a package to its place: symbol, signal types and partition."""
        self.keys = lru_cache(maxsize=4096)(self._keys)
        """The same with each place as a text, as records have it."""

    @classmethod
    def parse(cls, blob: bytes) -> "Sections":
        """Parse what `blob` holds.

        Raises ValueError if it is malformed.
        """
        document = canonical.loads(blob)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"the mapping is not in the format {FORMAT}")
        return cls({name: SectionRule.model_validate(rule) for name, rule in document["sections"].items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sections) and other.blob == self.blob

    def __hash__(self) -> int:
        return hash(self.sha256)

    @cached_property
    def limits_s(self) -> dict[str, int]:
        """Seconds after which a section is stale, where a rule says so."""
        return {name: rule.max_age_s for name, rule in self.rules.items() if rule.max_age_s is not None}

    def rule_of(self, section: str) -> SectionRule | None:
        """The rule of a section; of every signal type that of signals. None if it is not mapped."""
        return self.rules.get(section) or self.rules.get(section.partition(".")[0])

    def family(self, section: str) -> Family:
        """The family of a section, with the key that these rules give it."""
        return next(family for family in self.families if family.section == section)

    def is_mapped(self, section: str) -> bool:
        """Whether a section is read from another system's keys, which are never changed."""
        return section in self.rules

    def model_of(self, section: str) -> type[BaseModel]:
        """The model of a mapped section."""
        return self.family(section.partition(".")[0]).model

    def about(self, section: str) -> str:
        """What a section of one's own tells the model; empty for any other."""
        rule = self.rules.get(section)
        return "" if rule is None else rule.says

    def is_aged_by_first_seen(self, section: str) -> bool:
        """Whether a section is as old as the first package with its present bytes: it carries no time of its own."""
        rule = self.rule_of(section)
        if rule is None:
            return False
        by_bytes = any(target != ENTRY_TIME for target in rule.first_seen)
        return by_bytes or (rule.json_schema is not None and rule.time is None)

    def document(self, section: str, raw: bytes, symbol: str, seen_ms: int = 0, opened_ms: int = 0) -> Any:
        """The schema's document in what was read from a mapped section's place, which was first seen at `seen_ms`.

        A position without an entry time of its own was first seen at `opened_ms`.

        Raises ValueError if the bytes are not JSON, or a path cannot be evaluated.
        """
        rule = self.rule_of(section)
        assert rule is not None
        model = self.model_of(section)
        seen = {target: opened_ms if target == ENTRY_TIME else seen_ms for target in rule.first_seen}
        document = as_schema(model, read_document(rule, raw, seen))
        if section != "position" or not isinstance(document, dict):
            return document
        return as_position(document, symbol, has_side=not rule.fields or "side" in rule.fields)

    def _places(self, symbol: str, signal_types: tuple[str, ...], partition: int) -> Mapping[str, Place]:
        places: dict[str, Place] = {}
        for family in self.families:
            rule = self.rules.get(family.section)
            if family.section == "signals":
                places |= {f"signals.{kind}": _place(family, rule, symbol, kind) for kind in signal_types}
            else:
                places[family.section] = _place(family, rule, symbol)
        return MappingProxyType(places | {"thesis": Place(latest(partition, symbol))})

    def _keys(self, symbol: str, signal_types: tuple[str, ...], partition: int) -> Mapping[str, str]:
        places = self.places(symbol, signal_types, partition)
        return MappingProxyType({name: str(place) for name, place in places.items()})


def _place(family: Family, rule: SectionRule | None, symbol: str, signal_type: str = "") -> Place:
    key = family.key(symbol, signal_type)
    if rule is None or rule.kind == "string":
        return Place(key)
    if rule.field is None:
        return Place(key, HASH)
    return Place(key, FIELD, replace(family, pattern=rule.field).key(symbol, signal_type))


def _families(rules: Mapping[str, SectionRule]) -> tuple[Family, ...]:
    known = [_mapped(family, rules[family.section]) if family.section in rules else family for family in FAMILIES]
    own = [_own(name, rule) for name, rule in rules.items() if name not in BY_SECTION]
    return (*known, *own)


def _mapped(family: Family, rule: SectionRule) -> Family:
    name = family.section
    if rule.json_schema is not None or rule.says or rule.time is not None or rule.event is not None:
        raise ValueError(f"{name}: `schema`, `says`, `time` and `event` are for sections of one's own")
    mapped = replace(family, pattern=rule.key or family.pattern, writer="your system")
    named = f"{mapped.pattern} {rule.field or ''}"
    if "{symbol}" in family.pattern and "{symbol" not in named:
        raise ValueError(f"{name}: its key, or its field, must hold {{symbol}}")
    if name == "signals" and "{signal_type}" not in named:
        raise ValueError(f"{name}: its key, or its field, must hold {{signal_type}}")
    return mapped


def _own(name: str, rule: SectionRule) -> Family:
    if _OWN_NAME.fullmatch(name) is None or name in _RESERVED:
        raise ValueError(f"{name}: a section's name has up to 40 of a-z, 0-9 and _, begins with a letter, is not taken")
    if rule.key is None or rule.json_schema is None or not rule.says:
        raise ValueError(f"{name}: a section of one's own needs `key`, `schema` and `says`")
    if "{signal_type}" in rule.key:
        raise ValueError(f"{name}: only signals have a {{signal_type}}")
    try:
        model = own_model(name, rule.json_schema, rule.time, rule.event)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{name}: {error}") from error
    return Family(name, rule.key, model, None, "your system", rule.says, of_market=True)
