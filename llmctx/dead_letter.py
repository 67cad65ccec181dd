"""The dead letter of a tick that cannot be decided: the guardrails' verdict, with as much evidence as can be recorded.

If a step fails, the dead letter is made with less: without the guardrails price and stop are compared directly, and if
the record cannot be composed, the verdict goes into a leaf of last resort (plain_leaf).
"""

import contextlib
import logging
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot
from llmctx.context.tick import Tick
from llmctx.decision.conclude import conclude_unasked
from llmctx.decision.last_resort import compare_plainly, stop_unjudged
from llmctx.decision.verdict import GuardPolicy, Verdict
from llmctx.errors import in_short
from llmctx.plain_leaf import plain_draft
from llmctx.record import RecordMetadata, compose_dead_letter
from llmctx.schema.values import Position
from llmctx.trail.log.log import Draft

_log = logging.getLogger(__name__)


class DeadLetter(NamedTuple):
    """A tick that cannot be decided, judged without a model."""

    tick: Tick
    """The tick."""
    verdict: Verdict
    """The guardrails' verdict, or that of the plain comparison of price and stop."""
    metadata: RecordMetadata
    """Metadata of its record."""
    draft: Draft | None = None
    """The record with its evidence; None if that cannot be composed."""
    package: Package | None = None
    """The package that was judged; None if the guardrails could not run."""
    trouble: str = ""
    """Why there is no record with its evidence."""

    def without_evidence(self, why: str = "") -> Draft:
        """The record without its evidence, for the reason given: a leaf of last resort."""
        verdict = self.verdict
        reason = f"{verdict.reason}; without evidence, which cannot be recorded: {why}" if why else verdict.reason
        said: dict[str, Any] = {"action": str(verdict.action), "reason": reason}
        if verdict.quantity is not None:
            said["quantity"] = format(verdict.quantity, "f")
        if verdict.guards:
            said["guards"] = [{"name": guard.name, "detail": guard.detail} for guard in verdict.guards]
        for name in ("repeat_of", "again_ms"):
            if (value := getattr(verdict, name)) is not None:
                said[name] = value
        position: dict[str, Any] = {}
        if self.package is not None:
            with contextlib.suppress(Exception):  # the execution side wants it, but the verdict is valid without it
                position["position"] = _plainly(self.package.position)
        return plain_draft("dead_letter", self.tick, said, self.metadata, **position)


def _plainly(position: Position) -> dict[str, str]:
    return {
        "entry_time": clock.iso_of(position.entry_time),
        "side": position.side,
        "entry_price": format(position.entry_price, "f"),
        "held": format(position.quantity, "f"),
    }


def write_dead_letter(
    tick: Tick, snapshot: Snapshot, reason: str, metadata: RecordMetadata, policy: GuardPolicy
) -> DeadLetter:
    """Judge a tick that cannot be decided, for the reason given, and compose its record."""
    judged = None
    try:
        package = build_package(snapshot)
        verdict = conclude_unasked(snapshot, package, reason, policy).verdict
        judged = DeadLetter(tick, verdict, metadata, package=package)
        return judged._replace(draft=compose_dead_letter(tick, verdict, metadata, snapshot, package))
    except Exception as error:  # noqa: BLE001  the stop is judged without whatever broke
        failure = f"{reason}; the guardrails could not run: {in_short(error)}"
    verdict = _compare(snapshot, failure, policy)
    try:
        draft = compose_dead_letter(tick, verdict, metadata, snapshot)
    except Exception as error:  # noqa: BLE001  the verdict is recorded without what cannot be
        letter = (judged or DeadLetter(tick, verdict, metadata))._replace(trouble=in_short(error))
    else:
        letter = DeadLetter(tick, verdict, metadata, draft)
    _log.error(f"{tick.symbol}: {letter.verdict.reason} ({failure})")
    return letter


def write_unjudged(tick: Tick, reason: str, metadata: RecordMetadata, policy: GuardPolicy) -> DeadLetter:
    """The dead letter of a tick whose position cannot be read at all, for the reason given."""
    verdict = stop_unjudged(reason, policy)
    _log.error(f"{tick.symbol}: {verdict.reason}")
    return DeadLetter(tick, verdict, metadata)


def _compare(snapshot: Snapshot, failure: str, policy: GuardPolicy) -> Verdict:
    try:
        return compare_plainly(snapshot, failure, policy)
    except Exception as error:  # noqa: BLE001  the tick ends in a verdict, whatever breaks
        return stop_unjudged(f"{failure}; price and stop cannot be compared: {in_short(error)}", policy)
