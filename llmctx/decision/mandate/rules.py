"""The rules of the mandate: one table, in the order in which they are applied.

A rule blocks an action, changes what it asks for, or lets it pass. Each rule sees what the previous ones left. No rule
applies to an exit.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.context.staleness import Status
from llmctx.decision.decision import Action
from llmctx.decision.mandate.case import EXACT, Case, Effect, Found, percent_of, share_of
from llmctx.decision.mandate.levels import check_lock, check_stop, check_target
from llmctx.decision.mandate.liquidation import near_liquidation
from llmctx.decision.mandate.sizes import check_account, check_size
from llmctx.decision.mandate.used import day_loss, drawdown

_ADD, _SIZED, _ALL = (Action.ADD,), (Action.ADD, Action.REDUCE), (Action.ADD, Action.REDUCE, Action.ADJUST_STOPS)
_STOPS, _ADD_OR_STOPS = (Action.ADJUST_STOPS,), (Action.ADD, Action.ADJUST_STOPS)
_MINUTE_MS = 60_000


class Finding(NamedTuple):
    """The result of a rule."""

    rule: str
    """The rule."""
    effect: Effect
    """What it does; unchecked if an input that the rule needs is unknown."""
    detail: str
    """What it saw and what it changed."""


class Rule(NamedTuple):
    """A rule of the mandate."""

    name: str
    """Its name."""
    limits: tuple[str, ...]
    """The limits that it enforces; it is applied if one of them is set."""
    actions: tuple[Action, ...]
    """The actions that it applies to."""
    judge: Callable[[Case, Any], Found]
    """Its check of a case against the first of its limits; None if nothing is wrong. A clamp has changed the case."""
    reason: str
    """Why the limit exists."""


def judge(case: Case) -> Iterator[Finding]:
    """Apply every rule to an action, in order, up to the first that blocks it."""
    for rule in RULES:
        if case.action not in rule.actions or all(getattr(case.limits, name) is None for name in rule.limits):
            continue
        found = rule.judge(case, getattr(case.limits, rule.limits[0]))
        if found is not None:
            yield Finding(rule.name, *found)
            if found[0] == "block":
                return


def _fresh(case: Case, needed: dict[str, tuple[str, ...]]) -> Found:
    for name in needed.get(case.action, ()):
        section = case.package.sections.get(name)
        if section is None or section.status is not Status.FRESH:
            return (
                "block",
                f"{name} is {'missing' if section is None else section.status}, but {case.action} needs it fresh",
            )
    return None


def _daily_loss(case: Case, limit: Decimal) -> Found:
    lost = day_loss(case)
    if lost is None:
        return "unchecked", "the day's result is unknown"
    if lost >= limit:
        return "block", f"the day's result is {-lost}%, and from -{limit}% nothing is added"
    return None


def _drawdown(case: Case, limit: Decimal) -> Found:
    lost = drawdown(case)
    if lost is None:
        return "unchecked", "the account's drawdown is unknown"
    if lost >= limit:
        return "block", f"the account is {lost}% below its peak, and from {limit}% nothing is added"
    return None


def _loser(case: Case, limit: Decimal) -> Found:
    entry = case.position.entry_price
    lost = EXACT.multiply(EXACT.subtract(entry, case.price), Decimal(case.sign))
    if lost > share_of(limit, entry):
        return "block", f"the {case.position.side} position of {entry} is under water at {case.price}"
    return None


def _add_without_stop(case: Case, needed: bool) -> Found:
    if needed and case.position.stop_loss is None:
        return "block", "the position has no stop"
    return None


def _adds(case: Case, _: object) -> Found:
    limits, ledger = case.limits, case.ledger
    if limits.adds_per_position is not None and ledger.adds >= limits.adds_per_position:
        return "block", f"the position was added to {ledger.adds} times, of {limits.adds_per_position} allowed"
    if limits.adds_per_day is not None and ledger.adds_today >= limits.adds_per_day:
        return "block", f"{case.package.symbol} was added to {ledger.adds_today} times today, of {limits.adds_per_day}"
    return None


def _contradiction(case: Case, needed: bool) -> Found:
    why = case.contradiction() if needed else None
    return None if why is None else ("block", why)


def _cooldown(case: Case, minutes: Decimal) -> Found:
    exited_ms = case.ledger.exited_ms
    if exited_ms is not None and abs(case.package.as_of_ms - exited_ms) < minutes * _MINUTE_MS:
        return "block", f"an exit was decided at {clock.iso(exited_ms)}, less than {minutes} minutes ago"
    return None


def _actions(case: Case, limit: int) -> Found:
    count = len(case.ledger.actions)
    return ("block", f"{count} actions within the hour, of {limit} allowed") if count >= limit else None


def _repeated(case: Case, expiry_s: int | None) -> Found:
    for pending in case.ledger.pending:
        is_waited_for = case.action in (pending.action, Action.ADD)  # any open decision may change the result of an add
        if is_waited_for and abs(case.package.as_of_ms - pending.at_ms) < (expiry_s or 0) * 1000:
            where = f" (record {pending.address})" if pending.address else ""
            return "block", f"nothing is seen yet of the {pending.action} of {clock.iso(pending.at_ms)}{where}"
    return None


def _least(case: Case, _: object) -> Found:
    """Round to lots, and refuse a quantity too small to be worth an order."""
    limits, asked, held = case.limits, case.quantity, case.position.quantity
    assert asked is not None
    if limits.lot_size is not None:
        case.quantity = case.whole_shares(asked)
    left = case.quantity
    if left is None or left <= 0 or (limits.min_quantity is not None and left < limits.min_quantity):
        return "block", f"{case.action} of {asked} is less than one order may be"
    least = limits.reduce_min_pct
    if case.action is Action.REDUCE and least is not None and percent_of(left, held) < least:
        return "block", f"reduce of {asked} is less than {least}% of the {held} held"
    return None if left == asked else ("clamp", f"{case.action} of {asked} becomes {left} in lots of {limits.lot_size}")


RULES = (
    Rule("fresh", ("needs_fresh",), _ALL, _fresh, "Nobody knows what old or missing data hides."),
    Rule("unacknowledged", ("order_expiry_s", "ack_timeout_s"), _ALL, _repeated, "A repeated order is filled twice."),
    Rule("actions_per_hour", ("actions_per_hour",), _ALL, _actions, "A model that acts all the time pays the spread."),
    Rule("daily_loss", ("daily_loss_pct",), _ADD, _daily_loss, "A bad day must not be won back with more risk."),
    Rule("drawdown", ("drawdown_pct",), _ADD, _drawdown, "The same over days."),
    Rule("no_add_to_loser", ("loser_pct",), _ADD, _loser, "Adding to a loser has no bottom."),
    Rule("add_needs_stop", ("add_needs_stop",), _ADD, _add_without_stop, "Without a stop a loss has no limit."),
    Rule(
        "liquidation", ("liquidation_min_pct",), _ADD_OR_STOPS, near_liquidation,
        "A liquidation takes the whole margin, and comes before any stop beyond it.",
    ),
    Rule("adds", ("adds_per_position", "adds_per_day"), _ADD, _adds, "Small adds grow into a large position."),
    Rule("contradiction", ("add_needs_evidence",), _ADD, _contradiction, "An answer that refutes itself is a guess."),
    Rule("cooldown", ("cooldown_min",), _ADD, _cooldown, "Who was just stopped out is not calm."),
    Rule(
        "profit_lock", ("profit_lock_pct", "profit_lock_from_pct"), _ADD_OR_STOPS, check_lock,
        "A large profit must not become a loss.",
    ),
    Rule(
        "position_size", ("max_quantity", "max_notional", "max_times_opened", "equity_share_pct"), _ADD, check_size,
        "No single position may ruin the account.",
    ),
    Rule(
        "account_size", ("sector_share_pct", "max_leverage"), _ADD, check_account,
        "Positions of one sector fall together; so do all of them, with borrowed money.",
    ),
    Rule(
        "order_size", ("lot_size", "min_quantity", "reduce_min_pct"), _SIZED, _least,
        "An order must be one that the exchange takes, and worth its cost.",
    ),
    Rule(
        "stop", ("stop_loosens_pct", "stop_min_pct", "stop_max_pct"), _STOPS, check_stop,
        "A stop that moves away from the price is none; one at the price is an exit.",
    ),
    Rule("target", ("target_max_pct",), _STOPS, check_target, "A target out of reach is none."),
)  # fmt: skip
"""The rules, in order: first what blocks, then what changes quantity, stop and target."""
