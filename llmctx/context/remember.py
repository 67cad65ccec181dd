"""Remember a package and its outcome: pure steps from one memory of a symbol to the next.

The memory before a package is part of its snapshot. The memory after a record follows from that, the package and the
record's verdict, so only the newest record is ever needed, and nothing later than it is remembered.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import BaseModel

from llmctx import canonical, clock
from llmctx.context.memory import MemoryLength, moved_pct
from llmctx.context.package import Package
from llmctx.limits import cut
from llmctx.schema import values

_MAX_WORDS = 300


class _Kept(NamedTuple):
    decisions: int
    closed: int
    words: bool


_LENGTHS = {"short": _Kept(2, 2, words=False), "long": _Kept(5, 5, words=True)}


class Said(NamedTuple):
    """What a record says about a decision."""

    action: str
    """The action allowed after the guardrails."""
    confidence: Decimal | None = None
    """The model's confidence; None if it was not asked, or gave no usable answer."""
    reasoning: str | None = None
    """Its reasoning, if that may be shown again."""
    counts: bool = True
    """Whether it is a decision: the model's, or an action of the guardrails."""


def said_in(record: Mapping[str, Any], *, usable: bool) -> Said:
    """The remembered part of a record. `usable` tells whether its words may be shown again."""
    decision, action = record.get("decision"), str(record["verdict"]["action"])
    if decision is None:
        return Said(action, counts=action not in ("hold", "none"))
    return Said(action, Decimal(decision["confidence"]), str(decision["reasoning"]) if usable else None)


def memory_after(package: Package, said: Said, length: MemoryLength) -> bytes:
    """The memory after a package and what was decided on it, as the next snapshot has it.

    The package must have a position and a price.
    """
    kept, position, price = _LENGTHS[length], package.position, package.price.price.last
    before = package.sections["memory"].value if "memory" in package.sections else None
    memory = before if isinstance(before, values.Memory) else _new(package)
    decisions = [_followed(each, position, price) for each in memory.decisions]
    if said.counts:
        decisions.insert(0, _decision(package, said, kept))
    opening = memory.opening or _opening(package)
    if opening.reasoning is None and said.reasoning is not None:
        opening = opening.model_copy(update={"reasoning": cut(said.reasoning, _MAX_WORDS)})
    after = memory.model_copy(
        update={
            "last_update": clock.from_ms(package.as_of_ms),
            "price": price,
            "opening": opening,
            "count": memory.count + said.counts,
            "decisions": decisions[: kept.decisions],
            "closed": memory.closed[: kept.closed],
        }
    )
    return canonical.wire(_as_json(after))


def _as_json(value: Any) -> Any:
    """A value with times as text; whole numbers are written without a point, as in the schema's keys."""
    if isinstance(value, BaseModel):
        return {name: _as_json(item) for name, item in value}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return clock.iso_of(value) if isinstance(value, datetime) else value


def _new(package: Package) -> values.Memory:
    return values.Memory(last_update=clock.from_ms(package.as_of_ms), price=package.price.price.last)


def _opening(package: Package) -> values.Opening:
    position = package.position
    section = package.sections.get("signals.entry")
    signal = None if section is None else section.value
    return values.Opening(
        entry_time=position.entry_time,
        entry_price=position.entry_price,
        side=position.side,
        quantity=position.quantity,
        signal=cut(signal.reason, _MAX_WORDS) if isinstance(signal, values.Signal) else None,
        signal_confidence=signal.confidence if isinstance(signal, values.Signal) else None,
    )


def _decision(package: Package, said: Said, kept: _Kept) -> values.PastDecision:
    return values.PastDecision(
        as_of=clock.from_ms(package.as_of_ms),
        action=said.action,
        confidence=said.confidence,
        price=package.price.price.last,
        held=package.position.quantity,
        moved_pct=Decimal(0),
        reasoning=None if said.reasoning is None or not kept.words else cut(said.reasoning, _MAX_WORDS),
    )


def _followed(past: values.PastDecision, position: values.Position, price: Decimal) -> values.PastDecision:
    """A past decision, completed by a later package."""
    changes: dict[str, Any] = {"moved_pct": moved_pct(past.price, price, position.side)}
    if past.held_after is None:
        changes["held_after"] = position.quantity
    return past.model_copy(update=changes)
