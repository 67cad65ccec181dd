"""The measurements of each answer, and the newest answers of a trail, each of which is read once."""

import asyncio
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.console.subject import Subject
from llmctx.llm.price import price_of
from llmctx.llm.usage import Usage
from llmctx.replay.corpus import Recorded
from llmctx.replay.outcome import PastDecision, past_decision
from llmctx.trail.log.entry import Entry, named_blobs
from llmctx.trail.log.records import Records
from llmctx.trail.source.filter import Filter, time_of

MAX_ANSWERS = 5000
"""Answers of a partition that are kept, the newest."""


class Measured(NamedTuple):
    """One answer, reduced to what the quality figures need."""

    at_ms: int
    """The time of its package, in milliseconds since 1970."""
    symbol: str
    """The symbol."""
    prompt: str
    """The prompt, as NAME/vN."""
    model: str
    """The model that was asked."""
    code: str
    """The version of llmctx that recorded it."""
    mandate: str | None
    """The digest of the limits in force; None without any."""
    failed: bool
    """Whether it was unusable."""
    guarded: bool
    """Whether a guardrail changed it."""
    numbers: int
    """Numbers in it."""
    cited: int
    """Numbers that equal what they cite."""
    wrong: int
    """Numbers that the facts do not support."""
    confidence: float | None
    """Its confidence; None without one."""
    tokens: int
    """Tokens, in and out."""
    cost: Decimal | None
    """Its cost; None if its model has no price, or nothing was counted."""
    took_ms: float | None
    """How long the model took."""
    decided: PastDecision | None
    """What its outcome depends on; None if that cannot be read."""

    @property
    def version(self) -> str:
        """Prompt and model."""
        return f"{self.prompt} · {self.model}"


class Answers:
    """The newest answers of a subject."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._kept: dict[int, deque[Measured]] = {}
        self._read: dict[int, int] = {}

    async def newest(self, wanted: Filter, limit: int) -> list[Measured]:
        """The newest answers of a symbol, prompt, model and time, oldest first; at most `limit`.

        Raises LlmctxError if the source cannot be read.
        """
        source = await self._subject.source()
        for part in source.parts:
            await self._read_on(part)
        found = [answer for kept in self._kept.values() for answer in kept if _matches(answer, wanted)]
        return sorted(found, key=lambda answer: answer.at_ms)[-limit:]

    async def _read_on(self, part: Records) -> None:
        """Read the records added to a partition since the last time."""
        kept = self._kept.setdefault(part.partition, deque(maxlen=MAX_ANSWERS))
        read, found = self._read.get(part.partition, -1), list[Measured]()
        newest, blobs = read, dict[str, bytes | None]()
        async for entry in part.read_back():
            newest = max(newest, entry.index)
            if entry.index <= read or len(found) == MAX_ANSWERS:
                break
            if "completion" in entry.record and time_of(entry.record) is not None:
                for digest in named_blobs(entry.record):
                    if digest not in blobs:
                        blobs[digest] = await part.blob(digest)
                found.append(self._measure(entry, {name: blob for name, blob in blobs.items() if blob is not None}))
                await asyncio.sleep(0)  # an answer takes about a millisecond: other pages come first
        if self._read.get(part.partition, -1) == read:  # else another page has read them meanwhile
            self._read[part.partition] = newest
            kept.extend(reversed(found))

    def _measure(self, entry: Entry, blobs: Mapping[str, bytes]) -> Measured:
        record = entry.record
        grounding, usage = record.get("grounding", {}), record["completion"].get("usage")
        counts = {part: int(grounding.get(part, 0)) for part in ("cited", "uncited", "unread")}
        faults = {part: len(grounding.get(part, ())) for part in ("miscited", "false_prices", "unsupported")}
        took = record.get("timings_ms", {}).get("complete")
        return Measured(
            at_ms=record["as_of_ms"],
            symbol=record["symbol"],
            prompt=f"{record['prompt']['template']}/v{record['prompt']['version']}",
            model=record["request"].get("model") or "no model",
            code=str(record.get("code", "unknown")),
            mandate=record.get("mandate", {}).get("sha256"),
            failed="decision" not in record,
            guarded="guards" in record["verdict"],
            numbers=sum(counts.values()) + faults["miscited"],
            cited=counts["cited"],
            wrong=sum(faults.values()),
            confidence=float(record["decision"]["confidence"]) if "decision" in record else None,
            tokens=0 if usage is None else usage["prompt"] + usage["completion"],
            cost=None if usage is None else self._cost_of(record, usage),
            took_ms=None if took is None else float(took),
            decided=decided_of(entry, blobs),
        )

    def _cost_of(self, record: Mapping[str, Any], usage: Mapping[str, Any]) -> Decimal | None:
        price = price_of(self._subject.prices, record["completion"].get("model"), record["request"].get("model"))
        return None if price is None else price.of(Usage(**usage))


def _matches(answer: Measured, wanted: Filter) -> bool:
    return (
        wanted.symbol in (None, answer.symbol)
        and wanted.model in (None, answer.model)
        and wanted.prompt in (None, answer.prompt, answer.prompt.rpartition("/")[0])
        and (wanted.since_ms is None or answer.at_ms >= wanted.since_ms)
        and (wanted.until_ms is None or answer.at_ms < wanted.until_ms)
    )


def decided_of(entry: Entry, blobs: Mapping[str, bytes]) -> PastDecision | None:
    """What the outcome of a record depends on; None if its evidence is missing or of an unknown form."""
    try:
        return past_decision(Recorded.of(entry, ""), blobs)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
        return None
