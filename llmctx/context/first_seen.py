"""Sections that another system writes without a time: each is as old as the first package with its present bytes."""

from collections.abc import Mapping

from llmctx import canonical
from llmctx.context.content import Mapped, SectionContent, read_content
from llmctx.context.marks import FirstSeen
from llmctx.context.section import Section
from llmctx.context.snapshot import Snapshot
from llmctx.context.staleness import age_of
from llmctx.schema.mapping.rule import ENTRY_TIME
from llmctx.schema.mapping.sections import Sections

_OPENED = "position.entry_time"


def first_seen_in(snapshot: Snapshot) -> dict[str, FirstSeen]:
    """When the bytes of each section without a timestamp were first seen."""
    rules = snapshot.rules.sections
    if rules is None:
        return {}
    before = {} if snapshot.marks is None else snapshot.marks.first_seen
    found: dict[str, FirstSeen] = {}
    for name, section in snapshot.sections.items():
        if section.raw is not None and rules.is_aged_by_first_seen(name):
            found[name] = _seen(section.raw, before.get(name), snapshot)
    position = snapshot.sections["position"].raw
    rule = rules.rule_of("position")
    if position is not None and rule is not None and ENTRY_TIME in rule.first_seen:
        side = _side_of(position, snapshot.symbol, rules)
        if side is not None:
            found[_OPENED] = _seen(side.encode(), before.get(_OPENED), snapshot)
    return found


def _seen(raw: bytes, known: FirstSeen | None, snapshot: Snapshot) -> FirstSeen:
    digest = canonical.sha256(raw)
    return known if known is not None and known.digest == digest else FirstSeen(digest, snapshot.as_of_ms)


def _side_of(raw: bytes, symbol: str, rules: Sections) -> str | None:
    """The side of a position, which tells it from the next one; None if there is no position, or it is unreadable.

    Adds move the entry price, so that cannot tell positions apart.
    """
    try:
        document = rules.document("position", raw, symbol)
    except (ValueError, ArithmeticError, TypeError):  # the section will be invalid and give the reason
        return None
    return str(document["side"]) if isinstance(document, dict) and "side" in document else None


def read_contents(snapshot: Snapshot, first_seen: Mapping[str, FirstSeen]) -> dict[str, SectionContent]:
    """The content of each section read."""
    return {
        name: read_content(name, raw.raw, _mapped(name, snapshot, first_seen))
        for name, raw in snapshot.sections.items()
        if raw.raw is not None and raw.unread is None
    }


def _mapped(name: str, snapshot: Snapshot, first_seen: Mapping[str, FirstSeen]) -> Mapped | None:
    """The rule by which a section is read; None if it has the schema's names."""
    rules = snapshot.rules.sections
    rule = None if rules is None else rules.rule_of("position" if name == "portfolio" else name)
    if rules is None or rule is None:
        return None
    if name == "portfolio":  # it is joined from positions
        return Mapped(rules, snapshot.symbol)
    seen_ms = first_seen[name].at_ms if name in first_seen and rule.first_seen else 0
    opened = first_seen.get(_OPENED) if name == "position" else None
    return Mapped(rules, snapshot.symbol, seen_ms, 0 if opened is None else opened.at_ms)


def age_by_first_seen(sections: dict[str, Section], first_seen: Mapping[str, FirstSeen], snapshot: Snapshot) -> None:
    """Set the age and status of the sections without a timestamp."""
    for name, seen in first_seen.items():
        if name != _OPENED and sections[name].value is not None:
            age_ms, status = age_of(seen.at_ms, name, snapshot.as_of_ms, snapshot.rules)
            sections[name] = sections[name]._replace(age_ms=age_ms, status=status)
