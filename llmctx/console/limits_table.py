"""The limits of the mandate under which a record was made: what was used of each, and which were reached."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.context.package import Package
from llmctx.decision.decision import Action
from llmctx.decision.mandate.case import Case, percent_of
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.mandate.rules import RULES
from llmctx.schema import values

_NO_LEVELS = {"quantity": None, "stop_loss": None, "take_profit": None}
_ZERO, _CENT = Decimal(0), Decimal("0.01")


class LimitLine(NamedTuple):
    """One limit."""

    name: str
    """Its name."""
    allowed: str
    """What it allows."""
    used: str
    """What was used of it before the decision; empty if it is no amount that is used up, or is unknown."""
    left: str
    """What was left; empty likewise."""


class LimitRow(NamedTuple):
    """A rule of the mandate beside a decision."""

    rule: str
    """Its name."""
    limits: tuple[LimitLine, ...]
    """Its limits that are set."""
    found: str | None
    """What it found; None if nothing."""
    place: int
    """Which of its limits it speaks of, counted from 0."""
    applies: bool
    """Whether it is for the action that the model decided on."""


def limit_rows(record: Mapping[str, Any], blobs: Mapping[str, bytes], package: Package | None) -> list[LimitRow]:
    """The rules that were set for a record's symbol; empty if its mandate is not at hand.

    `package` is what was known; without it nobody can tell what was used.

    Raises ValueError if the mandate is malformed.
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
            lines = tuple(_line(name, value, _used(name, case)) for name, value in allowed.items())
            found = fired.get(rule.name)
            place = next((place for place, name in enumerate(allowed) if name in (found or "")), 0)
            rows.append(LimitRow(rule.name, lines, found, place, applies=action in rule.actions))
    return rows


def _line(name: str, allowed: Any, used: Decimal | None) -> LimitLine:
    left = None if used is None else max(Decimal(allowed) - used, _ZERO)
    words = f"{name.removesuffix('_pct')} %" if name.endswith("_pct") else name
    return LimitLine(words.replace("_", " "), _text(allowed), _amount(used), _amount(left))


def _used(name: str, case: Case | None) -> Decimal | None:
    if case is None or name not in _USED:
        return None
    try:
        return _USED[name](case)
    except ArithmeticError:  # a figure out of all bounds
        return None


def _worth(case: Case) -> Decimal:
    return case.position.quantity * case.price


def _share_of_equity(case: Case) -> Decimal | None:
    portfolio = case.known("portfolio", values.Portfolio)
    return None if portfolio is None or portfolio.equity is None else percent_of(_worth(case), portfolio.equity)


def _leverage(case: Case) -> Decimal | None:
    portfolio = case.known("portfolio", values.Portfolio)
    if portfolio is None or portfolio.equity is None or portfolio.gross_exposure is None:
        return None
    return portfolio.gross_exposure / portfolio.equity


def _daily_loss(case: Case) -> Decimal | None:
    performance = case.known("performance", values.Performance)
    result = None if performance is None else performance.daily_pnl_pct
    return None if result is None else max(-result, _ZERO)


def _drawdown(case: Case) -> Decimal | None:
    portfolio = case.known("portfolio", values.Portfolio)
    return None if portfolio is None else portfolio.drawdown_pct


def _under_water(case: Case) -> Decimal:
    entry = case.position.entry_price
    return max(percent_of((entry - case.price) * case.sign, entry), _ZERO)


_USED: dict[str, Callable[[Case], Decimal | None]] = {
    "actions_per_hour": lambda case: Decimal(len(case.ledger.actions)),
    "adds_per_position": lambda case: Decimal(case.ledger.adds),
    "adds_per_day": lambda case: Decimal(case.ledger.adds_today),
    "daily_loss_pct": _daily_loss,
    "drawdown_pct": _drawdown,
    "loser_pct": _under_water,
    "max_quantity": lambda case: case.position.quantity,
    "max_notional": _worth,
    "max_times_opened": lambda case: case.position.quantity / (case.ledger.opened or case.position.quantity),
    "equity_share_pct": _share_of_equity,
    "max_leverage": _leverage,
}
"""What was used of the limits that are used up, in the unit of the limit; None if it is unknown."""


def _amount(value: Decimal | None) -> str:
    if value is None:
        return ""
    short = value if value == value.to_integral_value() else value.quantize(_CENT)
    return f"{short.normalize():f}"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{action}: {', '.join(sections)}" for action, sections in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
