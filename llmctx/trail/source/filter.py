"""A filter: which records a reader wants, by what they say."""

from typing import Any, NamedTuple

from llmctx.trail.log import unreadable


class Filter(NamedTuple):
    """Which records; None means any. A record that cannot be read is of every symbol and of kind `unreadable`."""

    symbol: str | None = None
    """Of this symbol."""
    kind: str | None = None
    """Of this kind."""
    action: str | None = None
    """Whose verdict has this action."""
    guard: str | None = None
    """In which this guardrail fired."""
    since_ms: int | None = None
    """Of this time or later (`time_of`), in milliseconds since 1970."""
    until_ms: int | None = None
    """Of a time before this one."""

    def matches(self, record: dict[str, Any], time_ms: int | None) -> bool:
        """Whether a record of this time is wanted; one whose time is not known is of any time."""
        verdict = record["verdict"]
        return (
            (self.symbol is None or record.get("symbol") == self.symbol or record["kind"] == unreadable.KIND)
            and self.kind in (None, record["kind"])
            and self.action in (None, verdict["action"])
            and (self.guard is None or self.guard in [fired["name"] for fired in verdict.get("guards", [])])
            and (self.since_ms is None or time_ms is None or time_ms >= self.since_ms)
            and (self.until_ms is None or time_ms is None or time_ms < self.until_ms)
        )


def time_of(record: dict[str, Any]) -> int | None:
    """A record's time: that of its package, or without one when it was recorded; None if it cannot be read."""
    found = record.get("as_of_ms", record.get("recorded_at_ms"))
    return found if type(found) is int else None
