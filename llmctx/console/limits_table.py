"""The limits of the mandate under which a record was made: how much of each was used, and which were reached."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.context.package import Package
from llmctx.decision.decision import Action
from llmctx.decision.mandate.case import Case
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.mandate.rules import RULES
from llmctx.decision.mandate.used import used_of
from llmctx.replay.limits_at import limit_text

_NO_LEVELS = {"quantity": None, "stop_loss": None, "take_profit": None}
_ZERO, _CENT = Decimal(0), Decimal("0.01")


class LimitLine(NamedTuple):
    """One limit."""

    name: str
    """Its name."""
    allowed: str
    """What it allows."""
    used: str
    """How much was used before the decision; empty if it cannot be used up, or that is unknown."""
    left: str
    """How much was left; empty likewise."""


class LimitRow(NamedTuple):
    """A rule of the mandate beside a decision."""

    rule: str
    """Its name."""
    limits: tuple[LimitLine, ...]
    """Its limits that are set."""
    found: str | None
    """What it found; None if nothing."""
    place: int
    """Which of its limits its finding is about, counted from 0."""
    applies: bool
    """Whether it applies to the action that the model decided on."""


def limit_rows(record: Mapping[str, Any], blobs: Mapping[str, bytes], package: Package | None) -> list[LimitRow]:
    """The rules set for a record's symbol; empty if its mandate is not available.

    Without `package`, what was used is unknown. Raises ValueError if the mandate is malformed.
    """
    blob = blobs.get(record.get("mandate", {}).get("sha256", ""))
    if blob is None:
        return []
    mandate = Mandate.from_blob(blob)
    case = None if package is None or package.refusal else Case(package, mandate, Action.HOLD, _NO_LEVELS)
    limits = mandate.limits_of(str(record.get("symbol", "")), "") if case is None else case.limits
    fired = {guard["name"]: str(guard["detail"]) for guard in record["verdict"].get("guards", ())}
    action = record.get("decision", {}).get("action")
    rows = []
    for rule in RULES:
        allowed = {name: value for name in rule.limits if (value := getattr(limits, name)) is not None}
        if allowed:
            lines = tuple(
                _line(name, value, None if case is None else used_of(name, case)) for name, value in allowed.items()
            )
            found = fired.get(rule.name)
            place = next((place for place, name in enumerate(allowed) if name in (found or "")), 0)
            rows.append(LimitRow(rule.name, lines, found, place, applies=action in rule.actions))
    return rows


def _line(name: str, allowed: Any, used: Decimal | None) -> LimitLine:
    left = None if used is None else max(Decimal(allowed) - used, _ZERO)
    words = f"{name.removesuffix('_pct')} %" if name.endswith("_pct") else name
    said = limit_text(allowed) if not isinstance(allowed, bool) else "yes" if allowed else "no"
    return LimitLine(words.replace("_", " "), said, _amount(used), _amount(left))


def _amount(value: Decimal | None) -> str:
    if value is None:
        return ""
    short = value if value == value.to_integral_value() else value.quantize(_CENT)
    return f"{short.normalize():f}"
