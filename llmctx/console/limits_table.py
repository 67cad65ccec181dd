"""The limits of the mandate under which a record was made, and which of them were reached."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.mandate.rules import RULES


class LimitRow(NamedTuple):
    """A rule of the mandate beside a decision."""

    rule: str
    """Its name."""
    limits: str
    """Its limits."""
    found: str | None
    """What it found; None if nothing."""
    applies: bool
    """Whether it is for the action that the model decided on."""


def limit_rows(record: Mapping[str, Any], blobs: Mapping[str, bytes], side: str) -> list[LimitRow]:
    """The rules that were set for a record's symbol; empty if its mandate is not at hand.

    Raises ValueError if the mandate is malformed.
    """
    blob = blobs.get(record.get("mandate", {}).get("sha256", ""))
    if blob is None:
        return []
    limits = Mandate.from_blob(blob).limits_of(str(record.get("symbol", "")), side)
    fired = {guard["name"]: str(guard["detail"]) for guard in record["verdict"].get("guards", ())}
    action = record.get("decision", {}).get("action")
    rows = []
    for rule in RULES:
        said = {name: _text(value) for name in rule.limits if (value := getattr(limits, name)) is not None}
        if said:
            texts = [f"{name.replace('_', ' ')} {value}" for name, value in said.items()]
            rows.append(LimitRow(rule.name, ", ".join(texts), fired.get(rule.name), action in rule.actions))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{action}: {', '.join(sections)}" for action, sections in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
