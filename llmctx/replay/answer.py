"""What a model's answer says, held against the decision that a record has: read as JSON, by no version's schema."""

from decimal import Decimal, InvalidOperation
from typing import Any

from llmctx import canonical
from llmctx.replay.difference import mismatch
from llmctx.trail.log.entry import Entry


def contradiction(entry: Entry) -> str | None:
    """The first field in which a record's decision is not what the answer says; None where they agree.

    An answer that is no JSON object says nothing here, and neither do fields that it does not have.
    """
    decision, answer = entry.record.get("decision"), _answer(entry.pieces.get("completion", b""))
    if decision is None or answer is None:
        return None
    for name, said in answer.items():
        if not _agree(decision.get(name), said):
            return mismatch(f"decision.{name}", decision.get(name), said)
    return None


def _answer(body: bytes) -> dict[str, Any] | None:
    try:
        answer = canonical.loads(canonical.loads(body)["choices"][0]["message"]["content"].encode())
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return answer if isinstance(answer, dict) else None


def _agree(recorded: Any, said: Any) -> bool:
    """Whether a leaf's value is what an answer says: numbers stand in a leaf as texts, null as nothing."""
    if isinstance(said, dict):
        return isinstance(recorded, dict) and all(_agree(recorded.get(name), value) for name, value in said.items())
    if isinstance(said, list):
        alike = isinstance(recorded, list) and len(recorded) == len(said)
        return alike and all(_agree(one, other) for one, other in zip(recorded, said, strict=True))
    if isinstance(said, int | Decimal) and not isinstance(said, bool):
        try:
            return Decimal(str(recorded)) == said
        except InvalidOperation:
            return False
    return bool(recorded == said)
