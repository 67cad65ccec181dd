"""The story of one record: why it was asked, the facts, the question, the answer, and the consequences.

Every function here is pure: a story is made from a record and its evidence alone, wherever they were read from.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

from llmctx import canonical, clock
from llmctx.console.limits_table import LimitRow, limit_rows
from llmctx.console.words import Span, spans_of
from llmctx.context.facts import Fact
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import NO_BLOBS, Snapshot
from llmctx.decision.guards import AS_DECIDED
from llmctx.limits import cut
from llmctx.llm.price import Price, price_of
from llmctx.llm.usage import Usage
from llmctx.prompt.lines import text_of
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.source.filter import time_of

_WORDS = ("reasoning", "invalidation")
_AMOUNTS = ("quantity", "stop_loss", "take_profit")
_MAX_WORD = 24
_STATUSES_WITHOUT_REASON = ("fresh", "stale", "missing")


class KnownSection(NamedTuple):
    """A section of the recorded package."""

    name: str
    """Its name."""
    key: str
    """The Redis key it was read from."""
    status: str
    """fresh, stale, empty, missing or invalid."""
    age_ms: int | None
    """Its age; None if it carries no time."""
    reason: str | None
    """Why it is empty or invalid; None if it is neither."""
    implausible: tuple[str, ...]
    """What is implausible about it."""
    raw: str
    """The value as read; empty if there was none."""
    facts: tuple[Fact, ...]
    """Its single values."""

    @property
    def age(self) -> str:
        """Its age in words; empty if it has none."""
        return "" if self.age_ms is None else clock.in_short(self.age_ms)


def read_known(snapshot: bytes, blobs: Mapping[str, bytes] = NO_BLOBS) -> tuple[Package, list[KnownSection]]:
    """The package in a record's evidence and its sections, in prompt order; `blobs` are those that the record names.

    Raises ValueError if this version cannot read them: other rules made them, or they were altered.
    """
    try:
        read = Snapshot.from_evidence(snapshot, blobs)
        package = build_package(read)
        return package, known_of(package, {name: section.raw for name, section in read.sections.items()})
    except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(str(error)) from error


def known_of(package: Package, raw: Mapping[str, bytes | None] | None = None) -> list[KnownSection]:
    """The sections of a package, with the values as read if they are given."""
    return [
        KnownSection(
            name,
            section.key,
            str(section.status),
            section.age_ms,
            None if str(section.status) in _STATUSES_WITHOUT_REASON else section.reason,
            tuple(str(finding) for finding in section.implausible),
            ((raw or {}).get(name) or b"").decode(errors="replace"),
            tuple(package.facts[name]),
        )
        for name, section in package.sections.items()
    ]


class Brief(NamedTuple):
    """One record in a row of a list."""

    address: str
    """Its address."""
    at_ms: int | None
    """Its time; None if it cannot be read."""
    kind: str
    """Its kind."""
    symbol: str
    """Its symbol; empty if it has none."""
    action: str
    """The verdict's action."""
    amounts: str
    """The verdict's amounts, in words; empty if it has none."""
    decided: str | None
    """The action of the model; None if it gave no usable answer."""
    confidence: str | None
    """Its confidence."""
    guards: tuple[str, ...]
    """The guardrails that fired."""
    reason: str
    """Why the verdict is what it is."""
    words: str | None
    """The model's reasoning."""
    model: str | None
    """The model asked."""
    prompt: str | None
    """The prompt, as NAME/vN."""

    @property
    def said(self) -> str | None:
        """The model's reasoning if it explains the verdict; None if a guardrail or no model does."""
        return self.words if self.reason == AS_DECIDED else None


def brief_of(entry: Entry, partitions: int) -> Brief:
    """A record as a row of a list; fields that this program writes as short words are cut, in case somebody else wrote
    more.
    """
    record = entry.record
    verdict, decision, prompt = record["verdict"], record.get("decision", {}), record.get("prompt")
    return Brief(
        address=address(entry.index, entry.partition, partitions),
        at_ms=time_of(record),
        kind=cut(record["kind"], _MAX_WORD),
        symbol=record.get("symbol", ""),
        action=cut(verdict["action"], _MAX_WORD),
        amounts=", ".join(
            f"{name.replace('_', ' ')} {cut(canonical.trimmed(str(verdict[name])), _MAX_WORD)}"
            for name in _AMOUNTS
            if name in verdict
        ),
        decided=_word(decision.get("action")),
        confidence=_word(decision.get("confidence")),
        guards=tuple(guard["name"] for guard in verdict.get("guards", ())),
        reason=verdict["reason"],
        words=decision.get("reasoning"),
        model=record.get("request", {}).get("model"),
        prompt=None if prompt is None else f"{prompt['template']}/v{prompt['version']}",
    )


def _word(text: str | None) -> str | None:
    return None if text is None else cut(text, _MAX_WORD)


class Story:
    """The content of a record, ready to be shown. Values of strangers are not escaped here."""

    def __init__(
        self,
        entry: Entry,
        partitions: int,
        blobs: Mapping[str, bytes] = NO_BLOBS,
        prices: Mapping[str, Price] | None = None,
    ) -> None:
        self.entry = entry
        """The record."""
        self.record = entry.record
        """Its leaf, parsed."""
        self.brief = brief_of(entry, partitions)
        """The record as a row of a list."""
        self.about = (
            address(self.record["about"]["index"], entry.partition, partitions) if "about" in self.record else ""
        )
        """The record that this one is about; empty if there is none."""
        self._prices, self._blobs = prices or {}, blobs
        self.unread: str | None = None
        """Why its sections cannot be shown; None if they can."""
        self.known: list[KnownSection] = []
        """The sections of its package."""
        self._package: Package | None = None
        if "snapshot" in entry.pieces:
            try:
                self._package, self.known = read_known(entry.pieces["snapshot"], blobs)
            except ValueError as error:
                self.unread = str(error)

    @cached_property
    def fact_ids(self) -> dict[str, str]:
        """The anchor of each fact by its path."""
        paths = [section.name for section in self.known] + [fact.path for each in self.known for fact in each.facts]
        return {path: f"fact-{number}" for number, path in enumerate(dict.fromkeys(paths))}

    @cached_property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each message as sent; empty if nothing was asked."""
        try:
            found = canonical.loads(self.entry.pieces.get("messages", b"[]"))
            return [(str(message["role"]), str(message["content"])) for message in found]
        except (ValueError, KeyError, TypeError):
            return []

    @property
    def completion(self) -> str:
        """The response body as received; empty if there is none."""
        return self.entry.pieces.get("completion", b"").decode(errors="replace")

    @property
    def findings(self) -> list[dict[str, Any]]:
        """The numbers that the facts do not support."""
        grounding = self.record.get("grounding", {})
        return [*grounding.get("miscited", ()), *grounding.get("false_prices", ()), *grounding.get("unsupported", ())]

    @cached_property
    def answer(self) -> dict[str, list[Span]]:
        """Each text of the answer by its field, as parts."""
        decision = self.record.get("decision", {})
        texts = {name: decision[name] for name in _WORDS if name in decision}
        for number, item in enumerate(decision.get("evidence", ())):
            texts |= {f"evidence[{number}]": item["value"], f"evidence[{number}].reading": item["reading"]}
        heads = {section.name.partition(".")[0] for section in self.known} | {"answer"}
        return {field: spans_of(text, field, self.findings, heads) for field, text in texts.items()}

    @property
    def cost(self) -> Decimal | None:
        """What the answer cost; None if its model has no price."""
        completion, request = self.record.get("completion", {}), self.record.get("request", {})
        price = price_of(self._prices, completion.get("model"), request.get("model"))
        usage = completion.get("usage")
        return None if price is None or usage is None else price.of(Usage(**usage))

    @property
    def limits(self) -> list[LimitRow]:
        """The limits of its mandate, with how much was used; empty if it is not available."""
        try:
            return limit_rows(self.record, self._blobs, self._package)
        except ValueError:
            return []

    @cached_property
    def value_of(self) -> dict[str, str]:
        """Each fact's value by its path, as prompts show it."""
        return {fact.path: text_of(fact.value) for section in self.known for fact in section.facts}
