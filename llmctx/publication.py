"""What a record tells others: the published decision, and the thesis of the symbol's next package.

The thesis is a symbol's last usable decision: an answer that could be judged, and whose words no finding contradicts.
So an endpoint's error, or a number that the facts did not support, never enters a later prompt.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llmctx import canonical, clock
from llmctx.context.content import read_content
from llmctx.context.snapshot import LastDecision, TrailReference
from llmctx.decision.guards import JUDGING_FAILED, UNGROUNDED
from llmctx.decision.verdict import order_of
from llmctx.schema import values
from llmctx.schema.symbol import is_symbol
from llmctx.trail.log.entry import Entry, address

_FINDINGS = ("miscited", "false_prices", "unsupported")  # the last one in records of 0.1.0
_WORDS = ("reasoning", "invalidation")


def publication(entry: Entry, partitions: int) -> values.Thesis | None:
    """What the execution side receives for a record that settles a tick; None for any other record.

    Without a position to decide about, its action is none, so that whoever waits for the tick learns why. Records of
    versions that named no rules did not publish this. If the model's words do not fit the form, the verdict is
    published without them.
    """
    record = entry.record
    if not is_on_position(record) and not _tells_of_a_skipped_tick(record):
        return None
    verdict = record["verdict"]
    about, order = record.get("about", {}), order_of(verdict)
    fields = {
        "address": address(entry.index, entry.partition, partitions),
        "kind": record["kind"],
        "tick": record.get("tick", about.get("tick")),
        "symbol": record["symbol"],
        "as_of": clock.iso(record.get("as_of_ms", record["recorded_at_ms"])),
        "action": order,
        "quantity": _decimal(verdict.get("quantity")) if order == verdict["action"] else None,
        "stop_loss": _decimal(verdict.get("stop_loss")),
        "take_profit": _decimal(verdict.get("take_profit")),
        "reason": verdict["reason"],
        "rest": {name: _decimal(each) for name, each in verdict["rest"].items()} if "rest" in verdict else None,
        "repeat_of": verdict.get("repeat_of"),
        "awaits": _awaits(record),
        "stands_for": address(about["index"], entry.partition, partitions) if about else None,
    }
    fields |= entry.carried if isinstance(entry.carried, dict) else position_of(entry)
    try:
        return values.Thesis.model_validate(fields | _answer_fields(record.get("decision", {})))
    except (ValueError, TypeError, ArithmeticError):
        return values.Thesis.model_validate(fields | _answer_fields({}))


def published_text(entry: Entry, partitions: int) -> bytes | None:
    """The published bytes of a record, cached on the entry; None if nothing is published for it."""
    if entry.published is None and (published := publication(entry, partitions)) is not None:
        entry.published = published.model_dump_json().encode()
    return entry.published


def is_said_by(entry: Entry, partitions: int, text: bytes) -> bool:
    """Whether a published text matches its record; a text published by another version may have fewer fields."""
    expected = publication(entry, partitions)
    if expected is None or text == expected.model_dump_json().encode():
        return expected is not None
    try:
        document = canonical.loads(text)
        found = values.Thesis.model_validate(document)
        return all(getattr(found, name) == getattr(expected, name) for name in document)
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        return False


def position_fields(position: values.Position) -> dict[str, Any]:
    """The fields of a publication about its position."""
    return {
        "entry_time": clock.iso_of(position.entry_time),
        "side": position.side,
        "entry_price": position.entry_price,
        "held": position.quantity,
    }


def position_of(entry: Entry) -> dict[str, Any]:
    """The same from a record, or from its evidence; an unknown position if neither has it."""
    said: dict[str, Any] | None = entry.record.get("position")
    if said is None:  # if the record names the position, the evidence has the fields of another system
        said = entry.record.get("snapshot", {}).get("position")
    if said is not None:
        return said | {name: _decimal(said.get(name)) for name in ("entry_price", "held")}
    try:
        text = canonical.loads(entry.pieces["snapshot"])["sections"]["position"]
        position = read_content("position", text.encode()).value
        if isinstance(position, values.Position):
            return position_fields(position)
    except (KeyError, ValueError, TypeError, AttributeError):
        pass
    return {"entry_time": None}  # a dead letter's verdict needs less evidence than that


def thesis_of(entry: Entry, partitions: int) -> LastDecision | None:
    """A record as the thesis of the symbol's next package; None if it is not usable as one."""
    if not _is_usable(entry.record):
        return None
    text = published_text(entry, partitions)
    if text is None or b'"decided":null' in text:
        return None
    reference = TrailReference(address(entry.index, entry.partition, partitions), entry.leaf_hash)
    return LastDecision(text, reference, entry.record["as_of_ms"])


def _is_usable(record: Mapping[str, Any]) -> bool:
    """Whether a record holds an answer whose words may be shown again.

    A finding in the words excludes it, and so do guardrails that quote what was wrong with the answer.
    """
    if record["kind"] != "decision":
        return False
    if any(guard["name"] in (UNGROUNDED, JUDGING_FAILED) for guard in record["verdict"].get("guards", ())):
        return False
    grounding = record.get("grounding", {})
    findings = [finding for name in _FINDINGS for finding in grounding.get(name, ())]
    return not any(finding.get("field", _WORDS[0]) in _WORDS for finding in findings)


def _answer_fields(decision: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a publication about the model's answer."""
    return {
        "decided": decision.get("action"),
        "confidence": _decimal(decision.get("confidence")),
        "reasoning": decision.get("reasoning"),
        "invalidation": decision.get("invalidation"),
        "valid_for": decision.get("valid_for"),
    }


def is_on_position(record: Mapping[str, Any]) -> bool:
    """Whether a record has a verdict on a position: a decision, or what a person decided in its place.

    Without a position and a price the verdict's action is none.
    """
    return ("tick" in record or "position" in record) and record["verdict"]["action"] != "none"


def expires_ms(record: Mapping[str, Any]) -> int | None:
    """The time until which a person may approve a record's proposal, in milliseconds; None without a proposal."""
    awaits = record["verdict"].get("awaits")
    return None if awaits is None else int(record["recorded_at_ms"]) + int(awaits["expires_s"]) * 1000


def _awaits(record: Mapping[str, Any]) -> dict[str, Any] | None:
    until_ms = expires_ms(record)
    if until_ms is None:
        return None
    awaits = record["verdict"]["awaits"]
    levels = {name: _decimal(awaits.get(name)) for name in ("quantity", "stop_loss", "take_profit")}
    return {"action": awaits["action"], "expires_at": clock.iso(until_ms)} | levels


def _tells_of_a_skipped_tick(record: Mapping[str, Any]) -> bool:
    """Whether a record settles a tick of a symbol without a verdict on a position, and names its rules."""
    return "tick" in record and is_symbol(record.get("symbol", "")) and " rules:" in record["code"]


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
