"""Propose which keys are which sections, as the text of `[sections]` in llmctx.toml."""

import json
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from llmctx.ops.adopt.names import NAMES
from llmctx.ops.adopt.survey import Group, Survey
from llmctx.schema.annotations import alternatives
from llmctx.schema.keys import FAMILIES, Family
from llmctx.schema.mapping.document import number_in
from llmctx.schema.mapping.rule import SectionRule
from llmctx.schema.mapping.sections import FIELD, HASH, Sections
from llmctx.schema.mapping.written import as_schema

_RULES = TypeAdapter(dict[str, SectionRule])
_TIMES = {"timestamp", "entry_time", "last_update", "last_scan_time"}
_FIRST_SEEN = ("timestamp", "last_update", "entry_time")
"""Times that first_seen supplies if the system keeps none."""
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_SIGNED_SIDE = "side"
"""Without a side, the sign of the quantity decides."""
_EPOCHS = ((Decimal("1e17"), "ns"), (Decimal("1e14"), "us"), (Decimal("1e11"), "ms"), (Decimal("1e8"), "s"))
_PLAIN = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_MAX_LEAVES = 300


class Proposal(NamedTuple):
    """A mapping that a keyspace suggests."""

    text: str
    """The text for llmctx.toml."""
    sections: Sections
    """The same as rules."""
    missing: dict[str, tuple[str, ...]]
    """The fields of each proposed section that were found nowhere."""
    absent: tuple[str, ...]
    """The sections for which no key was found."""
    symbols: tuple[str, ...]
    """Symbols to make packages of: those held, or else those with a price."""


class _Match(NamedTuple):
    family: Family
    group: Group
    sources: dict[str, str]
    """Field to its source, as TOML."""
    missing: tuple[str, ...]
    score: tuple[int, int]


def propose(found: Survey) -> Proposal | None:
    """The mapping that a survey suggests; None if it suggests none."""
    matches = sorted(
        (match for family in FAMILIES for group in found.groups if (match := _match(family, group)) is not None),
        key=lambda match: match.score,
        reverse=True,
    )
    chosen: dict[str, _Match] = {}
    taken: set[str] = set()
    for match in matches:
        if match.family.section not in chosen and match.group.pattern not in taken:
            chosen[match.family.section] = match
            taken.add(match.group.pattern)
    if not chosen:
        return None
    ordered = [chosen[family.section] for family in FAMILIES if family.section in chosen]
    text = "\n".join(map(_toml, ordered))
    sections = Sections(_RULES.validate_python(tomllib.loads(text)["sections"]))
    held = chosen.get("position") or chosen.get("price")
    return Proposal(
        text=text,
        sections=sections,
        missing={match.family.section: match.missing for match in ordered if match.missing},
        absent=tuple(family.section for family in FAMILIES if family.section not in chosen),
        symbols=held.group.symbols if held is not None else (),
    )


def _match(family: Family, group: Group) -> _Match | None:
    """A group as a section; None if it cannot be one."""
    if ("{symbol}" in family.pattern) != bool(group.symbols) or family.section in ("signals", "monitoring"):
        return None
    sample = group.samples[0]
    if _fits(family, sample):
        return _Match(family, group, {}, (), (1000, _hints(family.section, group.pattern)))
    names = NAMES.get(family.section)
    if names is None or not isinstance(sample, dict):
        return None
    leaves = list(_leaves(sample, "", 0))[:_MAX_LEAVES]
    found = {target: _source(target, others.split(), leaves) for target, others in names.fields.items()}
    sources = {target: source for target, source in found.items() if source is not None}
    if not set(names.needed.split()) <= sources.keys():
        return None
    sources |= {name: "{ first_seen = true }" for name in _FIRST_SEEN if name in names.fields and name not in sources}
    missing = tuple(
        target
        for target in names.fields
        if target not in sources and target != _SIGNED_SIDE and _is_needed(family, target)
    )
    return _Match(family, group, sources, missing, (10 * _hints(family.section, group.pattern) + len(sources), 0))


def _fits(family: Family, sample: Any) -> bool:
    """Whether a document already has the schema's names."""
    try:
        document = as_schema(family.model, sample)
        if isinstance(document, dict) and family.section == "position":
            document.setdefault("symbol", "X")
        family.model.model_validate(document)
    except (ValidationError, ValueError, TypeError):
        return False
    return bool(sample)


def _is_needed(family: Family, target: str) -> bool:
    """Whether a field may not be null."""
    model: Any = family.model
    for name in target.split("."):
        if name not in model.model_fields:
            return False
        kinds = list(alternatives(model.model_fields[name].annotation))
        model = kinds[0]
    return type(None) not in kinds


def _hints(section: str, pattern: str) -> int:
    hints = NAMES[section].hints if section in NAMES else section
    return sum(hint in pattern.lower() for hint in hints.split())


def _leaves(document: Any, path: str, depth: int) -> Iterator[tuple[tuple[str, str], str, Any]]:
    """Each value in a document: its plain names, alone and behind that of its object, its path and itself."""
    for name, value in document.items() if isinstance(document, dict) else ():
        step = name if _PLAIN.match(name) else json.dumps(name)
        where = f"{path}.{step}" if path else step
        if isinstance(value, dict) and depth < 3:  # noqa: PLR2004  deeper values are seldom meant
            yield from _leaves(value, where, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict) and depth < 3:  # noqa: PLR2004  the same
            yield from _leaves(value[0], f"{where}[0]", depth + 1)
        elif not isinstance(value, dict | list):
            yield (_plain_name(name), _plain_name(path.rpartition(".")[2] + name)), where, value


def _plain_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _source(target: str, others: list[str], leaves: list[tuple[tuple[str, str], str, Any]]) -> str | None:
    """The source of a field as TOML; None if no value looks like it."""
    for other in others:
        known, _, factor = other.partition("*")
        for names, path, value in leaves:
            if known in names and (source := _as_source(target, path, value)) is not None:
                return f"{{ path = {source}, factor = {factor} }}" if factor else source
    return None


def _as_source(target: str, path: str, value: Any) -> str | None:
    plain = json.dumps(path)
    number = number_in(value)
    if target.rpartition(".")[2] in _TIMES:
        unit = None if number is None else next((unit for least, unit in _EPOCHS if number >= least), None)
        if unit is not None:
            return f'{{ path = {plain}, epoch = "{unit}" }}'
        return plain if number is None and isinstance(value, str) and _ISO.match(value) else None
    if isinstance(value, bool):
        words = {"side": ("short", "long"), "market_status": ("open", "closed")}.get(target)
        return words and f'{{ path = {plain}, words = {{ "true" = "{words[0]}", "false" = "{words[1]}" }} }}'
    if target == "side":
        if number is not None:
            return f'{{ path = {plain}, words = {{ "1" = "long", "-1" = "short" }} }}' if abs(number) == 1 else None
        return plain if isinstance(value, str) else None
    if target in ("state", "market_status", "sentiment_label"):
        return plain if isinstance(value, str) and number is None else None
    return plain if number is not None or value in ("", None) else None


def _toml(match: _Match) -> str:
    group, section = match.group, match.family.section
    lines = [f"[sections.{section}]  # {len(group.symbols) or 1} seen", f"key = {json.dumps(group.pattern)}"]
    if group.kind in (HASH, FIELD):
        lines.append('kind = "hash"')
    if group.kind == FIELD:
        lines.append('field = "{symbol}"')
    if match.sources:
        lines += ["", f"[sections.{section}.fields]"]
        lines += [f"{json.dumps(target)} = {source}" for target, source in match.sources.items()]
    if section == "position" and match.sources and _SIGNED_SIDE not in match.sources:
        lines.append("# no side was found: a quantity below 0 is short, any other long")
    lines += [f"# {target} was not found, and may not be null" for target in match.missing]
    return "\n".join(lines) + "\n"
