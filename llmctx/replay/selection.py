"""A selection of recorded decisions.

It is written as terms separated by commas: `all`, `40-80` (or `P:40-80`, `40-`, `12`), `symbol=ACME`, `action=reduce`,
`guard=confidence_floor`, `kind=failed`, `since=TIME`, `until=TIME` (of the package; `moment_ms` tells the forms),
`limit=20` (the first that match).
"""

import re
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.decision.approval import AWAITS_APPROVAL
from llmctx.decision.decision import Action
from llmctx.decision.guards import EXIT_PENDING, UNCHECKED
from llmctx.decision.halt import HALTED
from llmctx.decision.mandate.rules import RULES
from llmctx.decision.reservation import EXPOSURE
from llmctx.errors import CorpusError
from llmctx.trail.log.entry import Entry
from llmctx.trail.source.filter import Filter, time_of

GUARDS = (
    "no_answer", "unasked", "judging_failed", "confidence_floor", "ungrounded", "stale_price", "implausible_price",
    "market_unknown", "market_closed", "quantity_cap", "stop_side", "target_side", HALTED,
    *(rule.name for rule in RULES), UNCHECKED, AWAITS_APPROVAL, "stop_unconfirmed", "stale", "stop_loss_breached",
    EXIT_PENDING, EXPOSURE,
)  # fmt: skip
"""The guardrails, in the order in which they run."""
_KNOWN = {
    "action": (*(action.value for action in Action), "none"),
    "kind": ("decision", "failed", "skipped", "unasked"),
    "guard": GUARDS,
}
_RANGE = re.compile(r"(?:(\d+):)?(\d*)(-?)(\d*)\Z")
_AGO = re.compile(r"(\d+)([smhd])\Z")
_TIME_OF_DAY = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d\Z")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME_TERMS = ("since", "until")
_EXAMPLES = (
    "Write terms such as 40-80, symbol=ACME, action=reduce, guard=confidence_floor, since=2026-03-02T14:30:00Z, "
    "since=2h, until=14:31, limit=20."
)


class Selection(NamedTuple):
    """Which records to take. None does not restrict. Dead letters and records without a snapshot are
    never taken.
    """

    partition: int | None = None
    """Only this partition."""
    first: int = 0
    """The first index."""
    last: int | None = None
    """The last index, included."""
    symbol: str | None = None
    """Only this symbol."""
    action: str | None = None
    """Only verdicts with this action."""
    guard: str | None = None
    """Only records in which this guardrail fired."""
    kind: str | None = None
    """Only this kind: decision, failed, skipped or unasked."""
    since_ms: int | None = None
    """The earliest as_of, in milliseconds."""
    until_ms: int | None = None
    """The end of as_of, excluded, in milliseconds."""
    limit: int | None = None
    """The maximum number of records; the first ones are taken."""

    @property
    def stop(self) -> int | None:
        """The index after the last one, as a slice takes it."""
        return None if self.last is None else self.last + 1

    def spans(self, entry: Entry) -> bool:
        """Return whether a record is in the selected partition and range of indices."""
        in_range = self.first <= entry.index and (self.last is None or entry.index <= self.last)
        return in_range and self.partition in (None, entry.partition)

    def includes(self, entry: Entry) -> bool:
        """Return whether a record is selected, regardless of the limit."""
        record = entry.record
        if "snapshot" not in record or record["kind"] == "dead_letter" or not self.spans(entry):
            return False
        wanted = Filter(self.symbol, self.kind, self.action, self.guard, self.since_ms, self.until_ms)
        return wanted.matches(record, time_of(record))


def parse_selection(text: str) -> Selection:
    """Parse a selection.

    Raises CorpusError for an unknown, malformed or repeated term.
    """
    found: dict[str, Any] = {}
    for term in filter(None, (part.strip() for part in text.split(","))):
        for name, value in _term(term).items():
            if name in found:
                is_range = name in ("first", "last", "partition")
                twice = "has two ranges" if is_range else f"has {name.removesuffix('_ms')} twice"
                raise CorpusError(f"The selection {text!r} {twice}.", _EXAMPLES)
            found[name] = value
    return Selection(**found)


def with_absolute_times(text: str) -> str:
    """Return the selection with relative times replaced by absolute ones, so that it means the same later."""
    terms = []
    for term in text.split(","):
        name, _, value = term.strip().partition("=")
        is_relative = name in _TIME_TERMS and (_AGO.match(value) or _TIME_OF_DAY.match(value))
        terms.append(f"{name}={clock.iso(moment_ms(value))}" if is_relative else term)
    return ",".join(terms)


def moment_ms(text: str) -> int:
    """Return the time that a text names, in milliseconds.

    `15m`, `2h` or `7d` before now; `14:31`, the last time it was that in UTC; or an ISO 8601 time with a zone.

    Raises ValueError for any other text.
    """
    now_ms = clock.now_ms()
    if match := _AGO.match(text):
        return now_ms - int(match[1]) * _UNIT_MS[match[2]]
    if _TIME_OF_DAY.match(text):
        today_ms = clock.to_ms(clock.parse_iso(f"{clock.iso(now_ms)[:10]}T{text}Z"))
        return today_ms if today_ms <= now_ms else today_ms - _UNIT_MS["d"]
    return clock.to_ms(clock.parse_iso(text))


def check_known(name: str, value: str) -> None:
    """Raise CorpusError if `name` is a term with a fixed set of values, and the value is none of them."""
    if name in _KNOWN and value not in _KNOWN[name]:
        raise CorpusError(f"There is no {name} {value!r}.", f"Name one of {', '.join(_KNOWN[name])}.")


def _term(term: str) -> dict[str, Any]:
    name, equals, value = term.partition("=")
    if term == "all":
        return {}
    try:
        if not equals:
            return _range(term)
        if name in _TIME_TERMS:
            return {f"{name}_ms": moment_ms(value)}
        if name == "limit" and int(value) > 0:
            return {"limit": int(value)}
    except ValueError as error:
        raise CorpusError(f"The selection term {term!r} is malformed: {error}.", _EXAMPLES) from error
    check_known(name, value)
    if name in ("symbol", *_KNOWN) and value:
        return {name: value}
    raise CorpusError(f"Unknown selection term {term!r}.", _EXAMPLES)


def _range(term: str) -> dict[str, Any]:
    match = _RANGE.match(term)
    if match is None or not (match[2] or match[4]):
        raise ValueError("it is not a range of indices")
    first = int(match[2] or 0)
    last = (int(match[4]) if match[4] else None) if match[3] else first
    if last is not None and last < first:
        raise ValueError(f"{first} comes after {last}; write {last}-{first}")
    partition = {} if match[1] is None else {"partition": int(match[1])}
    return partition | {"first": first, "last": last}
