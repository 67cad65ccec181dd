"""The guardrails, which never ask the LLM: they make a verdict of a decision.

They run in the order in which they stand below, each on what the one before it left:

1. no_answer: without a usable answer the position is held
   unasked: so it is if the tick did not deserve a call
   judging_failed: if reading the answer or one of the guardrails breaks off, the position is held, and all that
   come after it still run
2. confidence_floor: an action less sure than the floor becomes a hold
3. ungrounded: miscited prices, levels and quantities and false prices are flagged, or become a hold, as
   `GuardPolicy.grounding` says
4. stale_price: on a price older than its limit nothing is added
   implausible_price: nor on an implausible one
5. market_unknown: without a fresh system:state no new risk is taken, so nothing is added
   market_closed: while a fresh system:state says that the market is not open, nothing is traded or moved
6. quantity_cap: no more than the position's quantity is closed or added
7. stop_side, target_side: a new stop lies on the losing side of the price, a new target on the winning side
8. halted: while something says halt, nothing is added (halt.py)
9. the rules of the mandate (mandate/rules.py), each by its name; mandate_unchecked: one lacks what it needs
10. awaits_approval: what a person must approve becomes a hold, and the verdict says what would be done (approval.py)
11. stop_loss_breached: a price at or beyond the position's stop is an exit, whatever the LLM says or the hour is
   stop_unconfirmed: unless that price is implausible or far too old; then the position is held until the price is
   confirmed (docs/plausibility.md), or left at once, as `GuardPolicy.unconfirmed_stop` says; with a stop that cannot
   be read nothing is added and no stop is moved
   stale: the stop was obeyed on a price older than its limit
   If this guardrail itself breaks off, price and stop are compared plainly
12. exit_pending: an exit stays an exit; while an earlier one has time to be seen, it is not published again
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Literal

from llmctx import clock
from llmctx.context.package import Package
from llmctx.context.price_doubt import stop_reached
from llmctx.context.staleness import Status
from llmctx.decision.approval import AWAITS_APPROVAL, Proposal, propose
from llmctx.decision.decision import Action, Decision
from llmctx.decision.grounding import Grounding, ground
from llmctx.decision.halt import HALTED, halt_in
from llmctx.decision.mandate.case import Case
from llmctx.decision.mandate.contradiction import contradiction_in
from llmctx.decision.mandate.repeated import repeated_exit
from llmctx.decision.mandate.rules import judge
from llmctx.decision.stop import STOP_BREACHED, judge_stop
from llmctx.decision.verdict import Guard, GuardPolicy, Verdict, rest_after
from llmctx.errors import in_short
from llmctx.limits import MAX_REASON_CHARS, cut
from llmctx.schema import values

NO_ANSWER, UNASKED, JUDGING_FAILED = "no_answer", "unasked", "judging_failed"
"""The guardrails that fire instead of a judgement: no answer, a tick not worth a call, or a failed judgement."""
UNGROUNDED = "ungrounded"
"""The guardrail that fires on miscited or false prices."""
UNCHECKED = "mandate_unchecked"
EXIT_PENDING = "exit_pending"
"""The guardrail that says that a rule of the mandate lacks what it needs; it changes nothing."""
AS_DECIDED = "as the model decided"
"""The reason of a verdict that no guardrail changed."""
_NEW_RISK = (Action.ADD,)
"""The actions that increase risk."""
_MAX_ALARMS_SHOWN = 3


class _Draft:
    """The verdict as the guardrails work on it."""

    def __init__(self, package: Package, decision: Decision | None, policy: GuardPolicy) -> None:
        self.package = package
        self.decision = decision
        self.policy = policy
        self.grounding: Grounding | None = None
        self.action = Action.HOLD if decision is None else decision.action
        self.quantity = decision.quantity if decision and self.action in (Action.REDUCE, Action.ADD) else None
        moves_stops = decision is not None and self.action is Action.ADJUST_STOPS
        self.stop_loss = decision.stop_loss if decision and moves_stops else None
        self.take_profit = decision.take_profit if decision and moves_stops else None
        self.guards: list[Guard] = []
        self.limited: Literal["clamp", "block"] | None = None
        self.awaits: Proposal | None = None

    @property
    def levels(self) -> dict[str, Decimal | None]:
        """What the action asks for."""
        return {"quantity": self.quantity, "stop_loss": self.stop_loss, "take_profit": self.take_profit}

    def contradiction(self) -> str | None:
        """How the answer contradicts itself; None if it does not."""
        return None if self.decision is None else contradiction_in(self.package, self.decision, self.grounding)

    def fire(self, name: str, detail: str, action: Action | None = None) -> None:
        """Note a guardrail; if it has an action, that replaces the current one."""
        if action is not None:
            detail = f"{detail}: {self.action} becomes {action}"
            self.action, self.quantity, self.stop_loss, self.take_profit = action, None, None, None
        self.guards.append(Guard(name, cut(detail, MAX_REASON_CHARS)))


def guard(
    package: Package, decision: Decision | None, policy: GuardPolicy, failure: str = "", *, fired: str = NO_ANSWER
) -> Verdict:
    """The verdict on a decision. `decision` None is a call without a usable answer, for the reason `failure`; `fired`
    is the guardrail that says so.

    The package must have a position and a price (`Package.refusal` is None).
    """
    draft = _Draft(package, decision, policy)
    if decision is None:
        draft.fire(fired, failure)
    for name, check in _CHECKS.items():
        try:
            check(draft)
        except Exception as error:  # noqa: BLE001  whatever breaks in one guardrail, those after it still run
            held = draft.action is Action.HOLD
            draft.fire(JUDGING_FAILED, f"{name} broke off ({in_short(error)})", None if held else Action.HOLD)
            if name == STOP_BREACHED and stop_reached(package.position, package.price.price.last):
                draft.fire(STOP_BREACHED, "the price has reached the stop_loss, compared plainly", Action.EXIT)
    repeat = None
    if draft.action is Action.EXIT:
        draft.quantity = package.position.quantity
        repeat = None if policy.mandate is None else repeated_exit(package, policy.mandate)
        if repeat is not None and repeat.wait:
            draft.fire(EXIT_PENDING, repeat.wait)
    return Verdict(
        action=draft.action.value,
        quantity=draft.quantity,
        stop_loss=draft.stop_loss,
        take_profit=draft.take_profit,
        guards=tuple(draft.guards),
        limited=draft.limited,
        awaits=draft.awaits if draft.action is Action.HOLD else None,
        rest=None if policy.mandate is None else rest_after(package.position, draft.action, draft.quantity),
        repeat_of=None if repeat is None else repeat.address,
        again_ms=None if repeat is None else repeat.again_ms,
        policy=policy,
        grounding=draft.grounding,
        reason=_reason(draft.guards),
    )


def _reason(guards: list[Guard]) -> str:
    """The detail of the last guardrail that changed something."""
    told = [guard.detail for guard in guards if guard.name != UNCHECKED]
    return told[-1] if told else AS_DECIDED


def _confidence_floor(draft: _Draft) -> None:
    decision, floor = draft.decision, draft.policy.confidence_floor
    if decision is not None and draft.action is not Action.HOLD and decision.confidence < floor:
        draft.fire("confidence_floor", f"confidence {decision.confidence} is below the floor {floor}", Action.HOLD)


def _ungrounded(draft: _Draft) -> None:
    if draft.decision is None or draft.policy.grounding == "off":
        return
    draft.grounding = ground(draft.package, draft.decision)
    alarms = [str(finding) for finding in draft.grounding.alarms]
    if not alarms:
        return
    more = f"; and {len(alarms) - _MAX_ALARMS_SHOWN} more" if len(alarms) > _MAX_ALARMS_SHOWN else ""
    holds = draft.policy.grounding in ("reask", "hold") and draft.action is not Action.HOLD
    detail = f"the facts do not bear out {'; '.join(alarms[:_MAX_ALARMS_SHOWN])}{more}"
    draft.fire(UNGROUNDED, detail, Action.HOLD if holds else None)


def _stale_price(draft: _Draft) -> None:
    section = draft.package.sections["price"]
    if draft.action in _NEW_RISK and section.status is Status.STALE:
        draft.fire("stale_price", f"the price is {clock.in_words(section.age_ms or 0)} old", Action.HOLD)
    elif draft.action in _NEW_RISK and section.implausible:
        draft.fire("implausible_price", section.implausible[0].reason, Action.HOLD)


def _market(draft: _Draft) -> None:
    """Hold while the market is known not to be open.

    If that is unknown, only new risk is refused: a missing, broken or old system:state must not keep anyone from
    closing a position.
    """
    section = draft.package.sections["system"]
    if section.status is not Status.FRESH:
        if draft.action in _NEW_RISK:
            why = section.reason or f"{section.key} is {clock.in_words(section.age_ms or 0)} old"
            draft.fire("market_unknown", f"whether the market is open is unknown ({why})", Action.HOLD)
        return
    system = section.value
    assert isinstance(system, values.System)
    if draft.action is not Action.HOLD and system.market_status != "open":
        draft.fire("market_closed", f"market_status is {system.market_status!r}", Action.HOLD)


def _quantity_cap(draft: _Draft) -> None:
    held = draft.package.position.quantity
    if draft.quantity is None or draft.quantity < held:
        return
    if draft.action is Action.REDUCE:
        draft.fire("quantity_cap", f"{draft.quantity} is all of the {held} held", Action.EXIT)
    elif draft.quantity > held:
        draft.fire("quantity_cap", f"{draft.action} of {draft.quantity} is capped at the {held} held")
        draft.quantity = held


def _stop_sides(draft: _Draft) -> None:
    if draft.action is not Action.ADJUST_STOPS:
        return
    price = draft.package.price.price.last
    long = draft.package.position.side == "long"
    if draft.stop_loss is not None and (draft.stop_loss >= price if long else draft.stop_loss <= price):
        draft.fire("stop_side", f"stop_loss {draft.stop_loss} is on the wrong side of the price {price}; dropped")
        draft.stop_loss = None
    target = draft.take_profit
    if target is not None and (target <= price if long else target >= price):
        draft.fire("target_side", f"take_profit {target} is on the wrong side of the price {price}; dropped")
        draft.take_profit = None
    if draft.stop_loss is None and draft.take_profit is None:
        draft.action = Action.HOLD  # nothing is left to move


def _halted(draft: _Draft) -> None:
    halt = halt_in(draft.package, draft.policy.mandate)
    if halt is not None and draft.action in _NEW_RISK:
        draft.fire(HALTED, halt, Action.HOLD)


def _mandate(draft: _Draft) -> None:
    mandate = draft.policy.mandate
    if mandate is None or draft.action in (Action.HOLD, Action.EXIT):
        return
    case = Case(draft.package, mandate, draft.action, draft.levels, draft.contradiction)
    for rule, effect, detail in judge(case):
        if effect == "unchecked":
            draft.guards.append(Guard(UNCHECKED, f"{rule}: {detail}"))
        else:
            draft.limited = effect
            draft.fire(rule, detail, Action.HOLD if effect == "block" else None)
    if draft.limited != "block":
        draft.quantity, draft.stop_loss, draft.take_profit = case.quantity, case.stop_loss, case.take_profit


def _approval(draft: _Draft) -> None:
    worth = draft.package.price.price.last * (draft.quantity or draft.package.position.quantity)
    found = propose(draft.policy.approval, draft.action.value, worth, draft.levels)
    if found is not None:
        draft.fire(AWAITS_APPROVAL, found[1], Action.HOLD)
        draft.awaits = found[0]


def _stop_loss_breached(draft: _Draft) -> None:
    for name, detail, action in judge_stop(draft.package, draft.policy.unconfirmed_stop, draft.action):
        draft.fire(name, detail, None if action is draft.action else action)


_CHECKS: dict[str, Callable[[_Draft], None]] = {
    "confidence_floor": _confidence_floor,
    "grounding": _ungrounded,
    "stale_price": _stale_price,
    "market": _market,
    "quantity_cap": _quantity_cap,
    "stop_sides": _stop_sides,
    "halted": _halted,
    "mandate": _mandate,
    "approval": _approval,
    STOP_BREACHED: _stop_loss_breached,
}
"""The guardrails, in the order in which they run."""
