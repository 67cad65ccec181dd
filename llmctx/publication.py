"""What the execution side receives of a record: the last decision on a position, as `schema.values.Thesis`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llmctx import canonical, clock
from llmctx.record import is_on_position
from llmctx.schema.values import Thesis
from llmctx.trail.log.entry import Entry, address


def publication(entry: Entry, partitions: int) -> Thesis | None:
    """What the execution side receives of a record; None for a record without a verdict on a position.

    If the model's words do not fit the form, the verdict is published without them.
    """
    record = entry.record
    if not is_on_position(record):
        return None
    entry_time = entry.carried
    if entry_time is None:  # read from the log: another process composed it
        position = canonical.loads(entry.pieces["snapshot"])["sections"]["position"]
        entry_time = canonical.loads(position.encode())["entry_time"]
    verdict = record["verdict"]
    fields = {
        "address": address(entry.index, entry.partition, partitions),
        "kind": record["kind"],
        "tick": record["tick"],
        "symbol": record["symbol"],
        "as_of": clock.iso(record["as_of_ms"]),
        "entry_time": entry_time,
        "action": verdict["action"],
        "quantity": _decimal(verdict.get("quantity")),
        "stop_loss": _decimal(verdict.get("stop_loss")),
        "take_profit": _decimal(verdict.get("take_profit")),
        "reason": verdict["reason"],
    }
    try:
        return Thesis.model_validate(fields | _answer_fields(record.get("decision", {})))
    except (ValueError, TypeError, ArithmeticError):
        return Thesis.model_validate(fields | _answer_fields({}))


def _answer_fields(decision: Mapping[str, Any]) -> dict[str, Any]:
    """What a publication says of the model's answer."""
    return {
        "decided": decision.get("action"),
        "confidence": _decimal(decision.get("confidence")),
        "reasoning": decision.get("reasoning"),
        "invalidation": decision.get("invalidation"),
        "valid_for": decision.get("valid_for"),
    }


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
