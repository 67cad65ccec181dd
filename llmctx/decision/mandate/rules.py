"""The rules of the mandate: one table, in the order in which they are applied.

A rule blocks an action, changes what it asks for, or lets it pass. A later rule sees what an earlier one left. An exit
is subject to none of them.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from llmctx import clock
from llmctx.context.staleness import Status
from llmctx.decision.decision import Action
from llmctx.decision.mandate.case import EXACT, Case, percent_of, share_of
from llmctx.decision.mandate.liquidation import near_liquidation
from llmctx.schema import values

Effect = Literal["block", "clamp", "unchecked"]
_ADD, _SIZED, _ALL = (Action.ADD,), (Action.ADD, Action.REDUCE), (Action.ADD, Action.REDUCE, Action.ADJUST_STOPS)
_STOPS = (Action.ADJUST_STOPS,)
_MINUTE_MS = 60_000


class Finding(NamedTuple):
    """What a rule found."""

    rule: str
    """The rule."""
    effect: Effect
    """What it does about it; unchecked: what the rule needs is unknown."""
    detail: str
    """What it saw and what it changed."""


class Rule(NamedTuple):
    """A rule of the mandate."""

    name: str
    """Its name."""
    limits: tuple[str, ...]
    """The limits that it obeys; it is applied if one of them is set."""
    actions: tuple[Action, ...]
    """The actions that it is for."""
    judge: Callable[[Case, Any], tuple[Effect, str] | None]
    """What it finds in a case, given the first of its limits; None if nothing. A clamp has changed the case."""
    reason: str
    """Why there is such a limit."""


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


def _fresh(case: Case, needed: dict[str, tuple[str, ...]]) -> tuple[Effect, str] | None:
    for name in needed.get(case.action, ()):
        section = case.package.sections.get(name)
        if section is None or section.status is not Status.FRESH:
            return (
                "block",
                f"{name} is {'missing' if section is None else section.status}, but {case.action} needs it fresh",
            )
    return None


def _daily_loss(case: Case, limit: Decimal) -> tuple[Effect, str] | None:
    performance = case.known("performance", values.Performance)
    result = None if performance is None else performance.daily_pnl_pct
    if result is None:
        return "unchecked", "the day's result is unknown"
    if result <= -limit:
        return "block", f"the day's result is {result}%, and from -{limit}% nothing is added"
    return None


def _drawdown(case: Case, limit: Decimal) -> tuple[Effect, str] | None:
    portfolio = case.known("portfolio", values.Portfolio)
    lost = None if portfolio is None else portfolio.drawdown_pct
    if lost is None:
        return "unchecked", "the account's drawdown is unknown"
    return (
        ("block", f"the account is {lost}% below its peak, and from {limit}% nothing is added")
        if lost >= limit
        else None
    )


def _loser(case: Case, limit: Decimal) -> tuple[Effect, str] | None:
    entry = case.position.entry_price
    lost = EXACT.multiply(EXACT.subtract(entry, case.price), Decimal(case.sign))
    if lost > share_of(limit, entry):
        return "block", f"the {case.position.side} position of {entry} is under water at {case.price}"
    return None


def _add_without_stop(case: Case, needed: bool) -> tuple[Effect, str] | None:
    if needed and case.position.stop_loss is None:
        return "block", "the position has no stop"
    return None


def _adds(case: Case, _: object) -> tuple[Effect, str] | None:
    limits, ledger = case.limits, case.ledger
    if limits.adds_per_position is not None and ledger.adds >= limits.adds_per_position:
        return "block", f"the position was added to {ledger.adds} times, of {limits.adds_per_position} allowed"
    if limits.adds_per_day is not None and ledger.adds_today >= limits.adds_per_day:
        return "block", f"{case.package.symbol} was added to {ledger.adds_today} times today, of {limits.adds_per_day}"
    return None


def _cooldown(case: Case, minutes: Decimal) -> tuple[Effect, str] | None:
    exited_ms = case.ledger.exited_ms
    if exited_ms is not None and abs(case.package.as_of_ms - exited_ms) < minutes * _MINUTE_MS:
        return "block", f"an exit was decided at {clock.iso(exited_ms)}, less than {minutes} minutes ago"
    return None


def _actions(case: Case, limit: int) -> tuple[Effect, str] | None:
    count = len(case.ledger.actions)
    return ("block", f"{count} actions within the hour, of {limit} allowed") if count >= limit else None


def _repeated(case: Case, expiry_s: int) -> tuple[Effect, str] | None:
    for pending in case.ledger.pending:
        is_waited_for = case.action in (pending.action, Action.ADD)  # whatever is open may change what an add leads to
        if is_waited_for and abs(case.package.as_of_ms - pending.at_ms) < expiry_s * 1000:
            where = f" (record {pending.address})" if pending.address else ""
            return "block", f"nothing is seen yet of the {pending.action} of {clock.iso(pending.at_ms)}{where}"
    return None


def _size(case: Case, _: object) -> tuple[Effect, str] | None:
    """Cap what is held after an add by the smallest of the limits."""
    limits, unchecked, caps = case.limits, None, []
    if limits.max_quantity is not None:
        caps.append((limits.max_quantity, "max_quantity"))
    if limits.max_notional is not None:
        caps.append((EXACT.divide(limits.max_notional, case.price), "max_notional"))
    if limits.max_times_opened is not None:
        opened = case.ledger.opened or case.position.quantity
        caps.append((EXACT.multiply(limits.max_times_opened, opened), "max_times_opened"))
    if limits.equity_share_pct is not None:
        portfolio = case.known("portfolio", values.Portfolio)
        equity = None if portfolio is None else portfolio.equity
        if equity is None:
            unchecked = "equity_share_pct: the account's equity is unknown"
        else:
            caps.append((EXACT.divide(share_of(limits.equity_share_pct, equity), case.price), "equity_share_pct"))
    cap, name = min(caps, default=(None, ""))
    held, asked = case.position.quantity, case.quantity
    if cap is not None and asked is not None and EXACT.add(held, asked) > cap:
        left = case.whole_shares(max(EXACT.subtract(cap, held), Decimal(0)))
        if left <= 0:
            return "block", f"{held} are held, and {name} allows {_short(cap)}"
        case.quantity = left
        return "clamp", f"add of {asked} is capped at {left}: {name} allows {_short(cap)} in all"
    return None if unchecked is None else ("unchecked", unchecked)


def _least(case: Case, _: object) -> tuple[Effect, str] | None:
    """Round to lots, and refuse what is too little to be worth an order."""
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


def _stop(case: Case, _: object) -> tuple[Effect, str] | None:
    """Bring a new stop into its band; leave the old one where the new one would be looser."""
    limits, asked, now = case.limits, case.stop_loss, case.position.stop_loss
    if asked is None:
        return None
    nearest, farthest = (
        None if percent is None else case.level(percent, above=case.sign < 0, inward=inward)
        for percent, inward in ((limits.stop_min_pct, False), (limits.stop_max_pct, True))
    )
    stop = asked
    if nearest is not None and (stop - nearest) * case.sign > 0:
        stop = nearest
    if farthest is not None and (farthest - stop) * case.sign > 0:
        stop = farthest
    loosest = None
    if limits.stop_loosens_pct is not None and now is not None:
        loosest = EXACT.subtract(now, share_of(limits.stop_loosens_pct, now) * case.sign)
    in_band = stop > 0 and (nearest is None or (nearest - stop) * case.sign >= 0)
    if not in_band or stop == now or (loosest is not None and (loosest - stop) * case.sign > 0):
        case.stop_loss = None
        return _dropped(case, f"stop_loss {asked} would not tighten the stop {now}, or is too near; it stays")
    case.stop_loss = stop
    return None if stop == asked else ("clamp", f"stop_loss {asked} becomes {stop}")


def _target(case: Case, limit: Decimal) -> tuple[Effect, str] | None:
    asked = case.take_profit
    if asked is None:
        return None
    if asked == case.position.take_profit:
        case.take_profit = None
        return _dropped(case, f"take_profit {asked} is set already")
    farthest = case.level(limit, above=case.sign > 0, inward=True)
    if (asked - farthest) * case.sign <= 0:
        return None
    if farthest <= 0 or (farthest - case.price) * case.sign <= 0:
        case.take_profit = None
        return _dropped(case, f"take_profit {asked} is too far away; it is dropped")
    case.take_profit = farthest
    return "clamp", f"take_profit {asked} becomes {farthest}, {limit}% from the price"


def _dropped(case: Case, detail: str) -> tuple[Effect, str]:
    return ("block" if case.stop_loss is None and case.take_profit is None else "clamp"), detail


def _short(value: Decimal) -> str:
    return format(value.quantize(Decimal("0.01")).normalize() if value >= 1 else value, "f")[:20]


RULES = (
    Rule("fresh", ("needs_fresh",), _ALL, _fresh, "Nobody knows what old or missing data hides."),
    Rule("unacknowledged", ("order_expiry_s",), _ALL, _repeated, "A repeated order is filled twice."),
    Rule("actions_per_hour", ("actions_per_hour",), _ALL, _actions, "A model that acts all the time pays the spread."),
    Rule("daily_loss", ("daily_loss_pct",), _ADD, _daily_loss, "A bad day must not be won back with more risk."),
    Rule("drawdown", ("drawdown_pct",), _ADD, _drawdown, "The same over days."),
    Rule("no_add_to_loser", ("loser_pct",), _ADD, _loser, "Adding to a loser has no bottom."),
    Rule("add_needs_stop", ("add_needs_stop",), _ADD, _add_without_stop, "Without a stop a loss has no limit."),
    Rule(
        "liquidation", ("liquidation_min_pct",), (Action.ADD, Action.ADJUST_STOPS), near_liquidation,
        "A liquidation takes the whole margin, and comes before any stop beyond it.",
    ),
    Rule("adds", ("adds_per_position", "adds_per_day"), _ADD, _adds, "Small adds grow into a large position."),
    Rule("cooldown", ("cooldown_min",), _ADD, _cooldown, "Who was just stopped out is not calm."),
    Rule(
        "position_size", ("max_quantity", "max_notional", "max_times_opened", "equity_share_pct"), _ADD, _size,
        "No single position may ruin the account.",
    ),
    Rule(
        "order_size", ("lot_size", "min_quantity", "reduce_min_pct"), _SIZED, _least,
        "An order must be one that the exchange takes, and worth its cost.",
    ),
    Rule(
        "stop", ("stop_loosens_pct", "stop_min_pct", "stop_max_pct"), _STOPS, _stop,
        "A stop that moves away from the price is none; one at the price is an exit.",
    ),
    Rule("target", ("target_max_pct",), _STOPS, _target, "A target out of reach is none."),
)  # fmt: skip
"""The rules, in order: first what blocks, then what changes quantity, stop and target."""
