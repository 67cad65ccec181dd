"""What limits would have changed, rule by rule: how often each was reached on either side, and the effect."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from llmctx.decision.mandate.rules import RULES
from llmctx.decision.reservation import EXPOSURE

LIMITS = (*(rule.name for rule in RULES), EXPOSURE)
"""Every rule of a mandate, and the limits that several positions share."""
_DONE = ("action", "quantity", "stop_loss", "take_profit")


class LimitChange(NamedTuple):
    """One limit on both sides of a comparison."""

    rule: str
    """Which limit."""
    a: int
    """Verdicts of the first side that it changed or refused."""
    b: int
    """Verdicts of the second side."""
    instead: dict[str, int]
    """The cases in which only one side reached it and the verdicts differ: what the first side does -> what the second
    does.
    """


def limit_changes(pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[LimitChange]:
    """The limits that pairs of verdicts reached, as leaves have them, in the order of the rules."""
    reached: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    instead: dict[str, Counter[str]] = {}
    for pair in pairs:
        fired = [{guard["name"] for guard in verdict.get("guards", ())} & set(LIMITS) for verdict in pair]
        for counter, names in zip(reached, fired, strict=True):
            counter.update(names)
        if done(pair[0]) != done(pair[1]):
            for name in fired[0] ^ fired[1]:
                instead.setdefault(name, Counter())[_change(*pair)] += 1
    known = [name for name in LIMITS if any(counter[name] for counter in reached)]
    return [
        LimitChange(name, reached[0][name], reached[1][name], dict(instead.get(name, Counter()).most_common()))
        for name in known
    ]


def done(verdict: Mapping[str, Any]) -> tuple[object, ...]:
    """The action that a verdict leads to."""
    return tuple(verdict.get(name) for name in _DONE)


def _change(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if before["action"] != after["action"]:
        return f"{before['action']} -> {after['action']}"
    moved = next(name for name, one, other in zip(_DONE, done(before), done(after), strict=True) if one != other)
    return f"{before['action']}: other {moved}"
