"""The content of a section: everything that its bytes alone determine, without time, symbol or settings.

Sections repeat from tick to tick (indicators, market, performance, system), so their content is cached by name and
bytes. Age and status depend on the time of the package and are determined for each one (context/package).
"""

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from llmctx import canonical, clock
from llmctx.bounded_cache import BoundedCache
from llmctx.context.facts import MAX_ITEMS_SHOWN, Fact, collect_facts
from llmctx.context.finding import Finding
from llmctx.context.plausibility import findings_of_value
from llmctx.context.portfolio import read_portfolio
from llmctx.context.staleness import Status, future_moment, written_at
from llmctx.context.value import explain, read_value
from llmctx.errors import in_short
from llmctx.schema import values
from llmctx.schema.keys import model_of
from llmctx.schema.mapping.sections import Sections
from llmctx.schema.values.timeframes import ABOUT

REQUIRED = ("position", "price")
"""Sections that a decision needs; without content they are invalid, not empty."""

_MAX_ENTRIES = 4096
_MAX_BYTES = 32 * 1024 * 1024
_BYTES_PER_RAW_BYTE = 16
"""Measured: values, facts and lines take 12 to 16 times the bytes they were read from."""


class SectionContent:
    """A section's value with its facts, or why it has no value. Shared between packages: do not modify."""

    def __init__(
        self,
        name: str,
        value: BaseModel | None,
        status: Status | None = None,
        reason: str | None = None,
        unread: tuple[Finding, ...] = (),
    ) -> None:
        self.name = name
        """price, indicators, signals.entry, ..."""
        self.value = value
        """The typed value; None if it is unusable or empty."""
        self.status = status
        """EMPTY or INVALID without a value, otherwise None."""
        self.reason = reason
        """Why there is no value."""
        self.texts: dict[str, str] = {}
        """The facts as prompts show them, by the notation of their paths; prompt/render writes them."""
        self.implausible = unread if value is None else (*unread, *findings_of_value(name, value))
        """What is implausible about the value by itself, and which of its fields could not be read."""
        self.unread = unread
        """What was left out of the value."""
        self.held = ""
        """For candidates that are not all shown, the symbol whose entry and rank are shown as well."""
        self.about = ""
        """For time frames and custom sections, the sentence that explains them to the model."""
        written = None if value is None else written_at(value)
        self.written_ms = None if written is None else clock.to_ms(written)
        """When the value was written, by its own timestamp; None if it has none."""
        self._facts: list[Fact] | None = None
        self._not_after: datetime | None = None

    @property
    def facts(self) -> list[Fact]:
        """The facts of the value, as `facts_of` lists them."""
        if self._facts is None:
            self._facts = [] if self.value is None else collect_facts(self.name, self.value, self.held)
        return self._facts

    def future_moment(self, latest: datetime) -> str | None:
        """Find the first time in the value after `latest`: its path and moment, or None."""
        if self._not_after is not None and latest >= self._not_after:
            return None  # nothing was later than an earlier time
        found = future_moment(self.value, latest)
        if found is None:
            self._not_after = latest
        return found


_cache: BoundedCache[tuple[object, ...], SectionContent] = BoundedCache(_MAX_ENTRIES, _MAX_BYTES)


class Mapped(NamedTuple):
    """How a section is read, if not from the schema's keys."""

    sections: Sections
    """The rules of all mapped sections."""
    symbol: str
    """The symbol, for values that do not contain it."""
    seen_ms: int = 0
    """When the section's bytes were first seen, if its rule asks for that."""
    opened_ms: int = 0
    """When the position was first seen, if its rule asks for that."""


def read_content(name: str, raw: bytes, mapped: Mapped | None = None) -> SectionContent:
    """Read a section's bytes; the same bytes give the same object while it is cached."""
    cached = (name, raw) if mapped is None else (name, raw, *mapped)
    content = _cache.get(cached)
    if content is None:
        content = _read(name, raw, mapped)
        _cache.put(cached, content, _BYTES_PER_RAW_BYTE * len(raw))
    return content


def with_rank(content: SectionContent, held: str) -> SectionContent:
    """Candidates with the entry and rank of the symbol held; the same content if all of them are shown, or unusable."""
    value = content.value
    few = not isinstance(value, values.Candidates) or len(value.root) <= MAX_ITEMS_SHOWN
    return content if few else _with_rank(content, held)


@lru_cache(maxsize=256)
def _with_rank(content: SectionContent, held: str) -> SectionContent:
    ranked = SectionContent(content.name, content.value, unread=content.unread)
    ranked.held = held
    return ranked


def _read(name: str, raw: bytes, mapped: Mapped | None) -> SectionContent:
    try:
        return _read_value(name, raw, mapped)
    except Exception as error:  # noqa: BLE001  a section that breaks its reader costs itself only, not the position
        return SectionContent(name, None, Status.INVALID, f"cannot be read: {in_short(error)}")


def _read_value(name: str, raw: bytes, mapped: Mapped | None) -> SectionContent:
    try:
        if mapped is None or name == "portfolio":
            model, document = model_of(name), canonical.loads_lenient(raw)
        else:
            model, document = mapped.sections.model_of(name), mapped.sections.document(name, raw, *mapped[1:])
    except ValueError as error:
        return SectionContent(name, None, Status.INVALID, f"not usable JSON: {error}")
    if mapped is not None and name == "position" and document == {}:
        return SectionContent(name, None, Status.EMPTY, "its quantity is 0, so there is no position")
    if not document and name not in REQUIRED and document in (None, {}, []):
        return SectionContent(name, None, Status.EMPTY, "says nothing")
    try:
        if name == "portfolio":
            document = read_portfolio(document, None if mapped is None else mapped.sections)
        value, unread = read_value(name, model, document)
    except ValidationError as error:
        return SectionContent(name, None, Status.INVALID, explain(error))
    if isinstance(value, values.Sentiment) and value.news_count == 0:
        return SectionContent(name, None, Status.EMPTY, "no news")
    content = SectionContent(name, value, unread=unread)
    if mapped is not None:
        content.about = mapped.sections.about(name)
    elif isinstance(value, values.Timeframes):
        content.about = ABOUT
    return content
