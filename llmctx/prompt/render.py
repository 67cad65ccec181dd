"""Render a package with a template: a pure function of the two, down to the byte.

The reader of the prompt gets every fact under the path by which it can cite it, with unit and age, and is told
what is missing and why. Texts from outside go through `untrusted`.
"""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

from jinja2 import UndefinedError
from pydantic import BaseModel, ConfigDict

from llmctx import canonical, clock
from llmctx.context import paths
from llmctx.context.content import SectionContent
from llmctx.context.facts import Fact, schema_first
from llmctx.context.package import Package
from llmctx.context.section import Section
from llmctx.context.staleness import Status
from llmctx.harmless import harmless
from llmctx.prompt import untrusted
from llmctx.prompt.compiled import SectionView
from llmctx.prompt.lines import LINES, Line, text_of
from llmctx.prompt.template import Parameters, Template

MAX_SECTION_CHARACTERS = 8_000
"""The maximum size of one section, so that outside text cannot crowd out the rest."""


class Message(NamedTuple):
    """One message as sent."""

    role: str
    """system or user."""
    content: str
    """Its text."""


class Prompt(BaseModel):
    """The rendered messages, with the template they came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    template: str
    """The template's name."""
    version: int
    """Its version."""
    template_sha256: str
    """The digest of the template and all it includes."""
    parameters: Parameters
    """The request parameters beside the messages."""
    output: str
    """The schema that the answer must fit."""
    messages: tuple[Message, ...]
    """The messages that the model receives."""
    evidence: bytes
    """The messages as the bytes that are hashed and kept."""
    within_s: float | None = None
    """The seconds left for an answer; None for the completer's own limit."""


OPTIONAL = ("portfolio", "memory")
"""The sections that a package has only if a setting says so; earlier templates do not show them."""
NAMES = ("symbol", "as_of", "clock", "sections", "field")
"""The names that a template can use."""


def unknown_names(template: Template) -> list[str]:
    """Return the names that a template uses and no package has."""
    return sorted(template.names() - set(NAMES))


def render(template: Template, package: Package) -> Prompt:
    """Render a package with a template.

    Raises TemplateError if the template uses a missing name or field, or exceeds the size limit.
    """
    contents, notation = package.contents, template.front_matter.paths
    names: dict[str, Any] = {
        "symbol": package.symbol,
        "as_of": clock.iso(package.as_of_ms),
        "clock": package.clock,
        "sections": [
            _view(section, contents.get(name), notation)
            for name, section in package.sections.items()
            if name not in OPTIONAL or name in template.front_matter.shows
        ],
        "field": _field_reader(package),
    }
    messages = tuple(Message(part.role, template.render_part(part, names)) for part in template.parts)
    return Prompt.model_construct(
        template=template.front_matter.name,
        version=template.front_matter.version,
        template_sha256=template.sha256,
        parameters=template.front_matter.parameters,
        output=template.front_matter.output,
        messages=messages,
        evidence=canonical.dumps([message._asdict() for message in messages]),
    )


def _view(section: Section, content: SectionContent | None, notation: str) -> SectionView:
    name, key, status, age_ms, reason, _, implausible = section
    age = "" if age_ms is None else clock.in_words(age_ms)
    title = f"{name}: {status}, {age} old" if age else f"{name}: {status}"
    doubts = ""
    if implausible:
        title += ", implausible"
        doubts = "".join(f"- (implausible): {harmless(finding.reason)}\n" for finding in implausible)
    if content is not None and notation not in content.texts:
        about = f"- (about this section): {content.about}\n" if content.about else ""
        content.texts[notation] = about + _text_of(content.facts, LINES[notation])
    if content is not None and (text := content.texts[notation]):
        return SectionView(name, key, status.value, age, "", doubts + text, title, doubts + text)
    said = untrusted.quoted(reason or "")
    body = f"Nobody has written {key}." if status is Status.MISSING else said
    return SectionView(name, key, status.value, age, harmless(reason or ""), "", title, body)


def _text_of(facts: list[Fact], line: Line) -> str:
    """Return the facts, one per line, up to the size limit of a section; the schema's own fields come first."""
    text = "\n".join(map(line, facts))
    return text if len(text) < MAX_SECTION_CHARACTERS else _cut(list(map(line, schema_first(facts))))


def _cut(lines: list[str]) -> str:
    """Return as many lines as fit into a section, and the number of those left out."""
    filled = list(accumulate(len(line) + 1 for line in lines))
    shown = bisect_right(filled, MAX_SECTION_CHARACTERS)
    more = [f"- (not shown): {len(lines) - shown} more facts"] if shown < len(lines) else []
    return "\n".join([*lines[:shown], *more])


def _field_reader(package: Package) -> Callable[[str], str]:
    def field(path: str) -> str:
        for section_facts in package.facts.values():
            for fact in section_facts:
                if path in (fact.path, paths.dotted(fact.path)):
                    return text_of(fact.value)
        raise UndefinedError(f"the package has no {path!r}")

    return field
