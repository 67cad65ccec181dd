"""What a trigger would have asked, saved and missed on recorded decisions; no model is needed."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import NO_BLOBS, Snapshot
from llmctx.decision.decision import Action
from llmctx.decision.stop import STOP_BREACHED
from llmctx.decision.trigger import Seen, TriggerPolicy, reason_not_to_ask, seen_in
from llmctx.llm.price import Price, price_of
from llmctx.llm.usage import Usage
from llmctx.replay.corpus import Recorded


class Calls(NamedTuple):
    """A number of calls, and their use of tokens and money."""

    calls: int = 0
    """How many."""
    tokens: int = 0
    """Tokens, as far as endpoints counted them."""
    cost: Decimal = Decimal(0)
    """Money, as far as prices are known."""

    def plus(self, record: Mapping[str, Any], prices: Mapping[str, Price]) -> "Calls":
        """Add the call of a record."""
        completion = record["completion"]
        if (reported := completion.get("usage")) is None:
            return self._replace(calls=self.calls + 1)
        usage = Usage(**reported)
        price = price_of(prices, completion.get("model"), record["request"].get("model"))
        cost = Decimal(0) if price is None else price.of(usage)
        return Calls(self.calls + 1, self.tokens + usage.prompt + usage.completion, self.cost + cost)


class Missed(NamedTuple):
    """A recorded action on a tick that would not have deserved a call."""

    entry: Recorded
    """The record."""
    action: str
    """The action that its verdict allowed."""
    why_not: str
    """Why the model would not have been asked."""


class TriggerReport:
    """Counts the records of a selection, in order, under a policy."""

    def __init__(
        self, policy: TriggerPolicy, prices: Mapping[str, Price], blobs: Mapping[str, bytes] = NO_BLOBS
    ) -> None:
        """`blobs` are those that the records name."""
        self._policy, self._prices, self._blobs = policy, prices, blobs
        self._seen: dict[str, Seen] = {}
        self.recorded = Calls()
        """The calls that were made."""
        self.asked = Calls()
        """Those of them that the policy would have made."""
        self.missed: list[Missed] = []
        """Recorded actions that it would have missed."""
        self.unknown = 0
        """Recorded unasked ticks on which it would have asked: nobody knows the answer."""
        self.actions = Counter[str]()
        """How often each action was recorded."""

    def add(self, entry: Recorded) -> None:
        """Count a record; what no package with a position and a price can be built of is left out."""
        record = entry.record
        package = _package(entry, self._blobs)
        if package is None or ("completion" not in record and record["kind"] != "unasked"):
            return
        why_not = reason_not_to_ask(self._policy, package, self._seen.get(package.symbol))
        if record["kind"] == "unasked":
            self.unknown += why_not is None
            return
        self.recorded = self.recorded.plus(record, self._prices)
        if why_not is None:
            self.asked = self.asked.plus(record, self._prices)
            if record["kind"] == "decision":
                self._seen[package.symbol] = seen_in(package)
        action = record["verdict"]["action"]
        self.actions[action] += 1
        if why_not is not None and action != Action.HOLD and not _by_the_stop(record):
            self.missed.append(Missed(entry, action, why_not))


def _package(entry: Recorded, blobs: Mapping[str, bytes]) -> Package | None:
    try:
        package = build_package(Snapshot.from_evidence(entry.pieces["snapshot"], blobs))
    except (KeyError, ValueError):
        return None
    return package if package.refusal is None else None


def _by_the_stop(record: Mapping[str, Any]) -> bool:
    """Whether the guardrail of the stop acted, which it does without a call too."""
    return any(guard["name"] == STOP_BREACHED for guard in record["verdict"].get("guards", ()))
