"""A filter: which records a reader wants, by their content."""

from typing import Any, NamedTuple

from llmctx.trail.log import unreadable
from llmctx.visible import visible


class Filter(NamedTuple):
    """Which records; None means any. An unreadable record counts for every symbol, with kind `unreadable`."""

    symbol: str | None = None
    """Only of this symbol."""
    kind: str | None = None
    """Only of this kind."""
    action: str | None = None
    """Only with this action in the verdict."""
    guard: str | None = None
    """Only those in which this guardrail fired."""
    since_ms: int | None = None
    """Only at this time or later (`time_of`), in milliseconds since 1970."""
    until_ms: int | None = None
    """Only before this time."""
    model: str | None = None
    """Only those that asked this model, or were answered by it."""
    prompt: str | None = None
    """Only those with this prompt: NAME, or NAME/vN."""
    text: str | None = None
    """Only those whose reasoning or reason contains this text as shown, ignoring case."""

    def matches(self, record: dict[str, Any], time_ms: int | None) -> bool:
        """Whether a record of this time is wanted; a record without a known time counts for any."""
        verdict = record["verdict"]
        return (
            (self.symbol is None or record.get("symbol") == self.symbol or record["kind"] == unreadable.KIND)
            and self.kind in (None, record["kind"])
            and self.action in (None, verdict["action"])
            and (self.guard is None or self.guard in [fired["name"] for fired in verdict.get("guards", [])])
            and (self.since_ms is None or time_ms is None or time_ms >= self.since_ms)
            and (self.until_ms is None or time_ms is None or time_ms < self.until_ms)
            and (self.model is None or self.model in _models(record))
            and (self.prompt is None or self.prompt in _prompts(record))
            and (self.text is None or any(self.text.casefold() in said for said in _words(record)))
        )


def _models(record: dict[str, Any]) -> tuple[Any, Any]:
    return record.get("request", {}).get("model"), record.get("completion", {}).get("model")


def _prompts(record: dict[str, Any]) -> tuple[str, ...]:
    prompt = record.get("prompt")
    return () if prompt is None else (prompt["template"], f"{prompt['template']}/v{prompt['version']}")


def _words(record: dict[str, Any]) -> tuple[str, ...]:
    """A record's content as shown: people have their names."""
    said = record["verdict"]["reason"], record.get("decision", {}).get("reasoning", "")
    return tuple(visible(each).casefold() for each in said)


def time_of(record: dict[str, Any]) -> int | None:
    """A record's time: that of its package, or without one when it was recorded; None if it cannot be read."""
    found = record.get("as_of_ms", record.get("recorded_at_ms"))
    return found if type(found) is int else None
