"""A selection: which recorded decisions are meant.

Written as terms with commas between: `all`, `40-80` (or `P:40-80`, `40-`, `12`), `symbol=ACME`, `action=reduce`,
`guard=confidence_floor`, `kind=failed`, `since=TIME`, `until=TIME` (of as_of: ISO 8601, or 15m, 2h, 1d before now),
`limit=20` (the first that match).
"""

import re
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.decision.decision import Action
from llmctx.errors import CorpusError
from llmctx.trail.log.entry import Entry

GUARDS = (
    "no_answer", "confidence_floor", "ungrounded", "stale_price", "market_closed", "quantity_cap", "stop_side",
    "target_side", "stop_loss_breached",
)  # fmt: skip
"""The guardrails, in the order in which they run."""
_KNOWN = {
    "action": (*(action.value for action in Action), "none"),
    "kind": ("decision", "failed", "skipped"),
    "guard": GUARDS,
}
_RANGE = re.compile(r"(?:(\d+):)?(\d*)(-?)(\d*)\Z")
_SPAN = re.compile(r"(\d+)([smhd])\Z")
_SPAN_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MOMENTS = ("since", "until")
_FORM = (
    "Write terms such as 40-80, symbol=ACME, action=reduce, guard=confidence_floor, since=2026-03-02T14:30:00Z, "
    "since=2h, limit=20."
)


class Selection(NamedTuple):
    """Which records; what is None does not matter. Only records with a snapshot can be replayed at all."""

    partition: int | None = None
    """Of this partition."""
    first: int = 0
    """From this index on."""
    last: int | None = None
    """Up to this index, included."""
    symbol: str | None = None
    """On this symbol."""
    action: str | None = None
    """Whose verdict is this action."""
    guard: str | None = None
    """In which this guardrail fired."""
    kind: str | None = None
    """Of this kind: decision, failed, skipped."""
    since_ms: int | None = None
    """Whose as_of is not before."""
    until_ms: int | None = None
    """Whose as_of is before."""
    limit: int | None = None
    """At most so many, the first ones."""

    def wants(self, entry: Entry) -> bool:
        """Whether a record is meant; the limit aside."""
        record = entry.record
        return (
            "snapshot" in record
            and self.partition in (None, entry.partition)
            and entry.index >= self.first
            and (self.last is None or entry.index <= self.last)
            and self.symbol in (None, record.get("symbol"))
            and self.kind in (None, record.get("kind"))
            and (self.action is None or record["verdict"]["action"] == self.action)
            and (self.guard is None or self.guard in [fired["name"] for fired in record["verdict"].get("guards", [])])
            and (self.since_ms is None or record["as_of_ms"] >= self.since_ms)
            and (self.until_ms is None or record["as_of_ms"] < self.until_ms)
        )


def parse_selection(text: str) -> Selection:
    """The selection that a text states.

    Raises CorpusError for a term that is none.
    """
    found: dict[str, Any] = {}
    for term in filter(None, (part.strip() for part in text.split(","))):
        for name, value in _term(term).items():
            if name in found:
                twice = "has two ranges" if name in ("first", "last", "partition") else f"says {_plain(name)} twice"
                raise CorpusError(f"The selection {text!r} {twice}.", _FORM)
            found[name] = value
    return Selection(**found)


def written_out(text: str) -> str:
    """A selection in which moments before now are times, so that it means the same later."""
    terms = []
    for term in text.split(","):
        name, _, value = term.strip().partition("=")
        ago = name in _MOMENTS and _SPAN.match(value)
        terms.append(f"{name}={clock.iso(moment_ms(value))}" if ago else term)
    return ",".join(terms)


def moment_ms(text: str) -> int:
    """The moment that a text names: 15m, 2h, 1d before now, or an ISO 8601 time with zone.

    Raises ValueError for another text.
    """
    if match := _SPAN.match(text):
        return clock.now_ms() - int(match[1]) * _SPAN_MS[match[2]]
    return clock.to_ms(clock.parse_iso(text))


def _plain(name: str) -> str:
    return name.removesuffix("_ms")


def _term(term: str) -> dict[str, Any]:
    name, equals, value = term.partition("=")
    if term == "all":
        return {}
    try:
        if not equals:
            return _range(term)
        if name in _MOMENTS:
            return {f"{name}_ms": moment_ms(value)}
        if name == "limit" and int(value) > 0:
            return {"limit": int(value)}
    except ValueError as error:
        raise CorpusError(f"The selection's term {term!r} cannot be read: {error}.", _FORM) from error
    if name in _KNOWN and value not in _KNOWN[name]:
        raise CorpusError(f"There is no {name} {value!r}.", f"Name one of {', '.join(_KNOWN[name])}.")
    if name in ("symbol", *_KNOWN) and value:
        return {name: value}
    raise CorpusError(f"{term!r} selects nothing that is known.", _FORM)


def _range(term: str) -> dict[str, Any]:
    match = _RANGE.match(term)
    if match is None or not (match[2] or match[4]):
        raise ValueError("it is no range of indices")
    first = int(match[2] or 0)
    last = (int(match[4]) if match[4] else None) if match[3] else first
    if last is not None and last < first:
        raise ValueError(f"{first} comes after {last}; write {last}-{first}")
    partition = {} if match[1] is None else {"partition": int(match[1])}
    return partition | {"first": first, "last": last}
