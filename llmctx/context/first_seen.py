"""Sections that another system writes without a time: each is as old as the first package with its present bytes."""

from collections.abc import Mapping

from llmctx import canonical
from llmctx.context.content import Mapped, SectionContent, read_content
from llmctx.context.marks import FirstSeen
from llmctx.context.section import Section
from llmctx.context.snapshot import Snapshot
from llmctx.context.staleness import age_of


def first_seen_in(snapshot: Snapshot) -> dict[str, FirstSeen]:
    """When the bytes of each section that carries no time of its own were first seen."""
    rules = snapshot.rules.sections
    if rules is None:
        return {}
    before = {} if snapshot.marks is None else snapshot.marks.first_seen
    found: dict[str, FirstSeen] = {}
    for name, section in snapshot.sections.items():
        if section.raw is not None and rules.is_aged_by_first_seen(name):
            digest, known = canonical.sha256(section.raw), before.get(name)
            found[name] = known if known and known.digest == digest else FirstSeen(digest, snapshot.as_of_ms)
    return found


def read_contents(snapshot: Snapshot, first_seen: Mapping[str, FirstSeen]) -> dict[str, SectionContent]:
    """The content of each section that was read."""
    return {
        name: read_content(name, raw.raw, _mapped(name, snapshot, first_seen))
        for name, raw in snapshot.sections.items()
        if raw.raw is not None and raw.unread is None
    }


def _mapped(name: str, snapshot: Snapshot, first_seen: Mapping[str, FirstSeen]) -> Mapped | None:
    """By whose rules a section is read; None for one with the schema's names."""
    rules = snapshot.rules.sections
    rule = None if rules is None else rules.rule_of(name)
    if rules is None or rule is None:
        return None
    return Mapped(rules, snapshot.symbol, first_seen[name].at_ms if rule.first_seen else 0)


def age_by_first_seen(sections: dict[str, Section], first_seen: Mapping[str, FirstSeen], snapshot: Snapshot) -> None:
    """Set the age and status of the sections that carry no time of their own."""
    for name, seen in first_seen.items():
        if sections[name].value is not None:
            age_ms, status = age_of(seen.at_ms, name, snapshot.as_of_ms, snapshot.rules)
            sections[name] = sections[name]._replace(age_ms=age_ms, status=status)
