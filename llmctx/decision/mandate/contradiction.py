"""What in an answer speaks against the answer itself. No word of it is interpreted: only levels, facts and statuses."""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

from llmctx.context.package import Package
from llmctx.context.paths import root
from llmctx.context.staleness import Status
from llmctx.decision.decision import Decision
from llmctx.decision.grounding import Grounding


def contradiction_in(package: Package, decision: Decision, grounding: Grounding | None) -> str | None:
    """The first of these that an answer says against its own action; None if it says none of them.

    - it gives the action a confidence of 0;
    - its own stop is reached at the price of the package, or its own target lies behind that price;
    - everything that it names as evidence is of sections that are not fresh;
    - an item of its evidence states a price, a level or a quantity that is another one.

    `grounding` None: the last one is not checked.
    """
    return next(_contradictions(package, decision, grounding), None)


def _contradictions(package: Package, decision: Decision, grounding: Grounding | None) -> Iterator[str]:
    price, sign = package.price.price.last, 1 if package.position.side == "long" else -1
    if decision.confidence == 0:
        yield "the answer gives it a confidence of 0"
    if _is_behind(price, decision.stop_loss, sign):
        yield f"the answer's own stop_loss {decision.stop_loss} is reached at {price}"
    if _is_behind(price, decision.take_profit, -sign):
        yield f"the answer's own take_profit {decision.take_profit} lies behind {price}"
    named = [name for name in package.sections if any(_names(name, item.path) for item in decision.evidence)]
    if named and all(package.sections[name].status is not Status.FRESH for name in named):
        statuses = ", ".join(f"{name} ({package.sections[name].status})" for name in named)
        yield f"all that the answer names as evidence is not fresh: {statuses}"
    for finding in () if grounding is None else grounding.alarms:
        if finding.field.startswith("evidence["):
            yield f"the answer's own evidence does not hold: {finding}"


def _is_behind(price: Decimal, level: Decimal | None, sign: int) -> bool:
    """Whether a level on the losing side of a position is reached (for one on the winning side, with the sign
    reversed).
    """
    return level is not None and (price - level) * sign <= 0


def _names(section: str, path: str) -> bool:
    """Whether a path, or an expression over paths, names a section."""
    return _pattern(section).search(path) is not None


@lru_cache(maxsize=256)
def _pattern(section: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.\]]){re.escape(root(section))}(?!\w)")
