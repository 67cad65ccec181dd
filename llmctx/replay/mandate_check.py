"""What another mandate would have made of recorded decisions. No model is asked.

Each answer is judged again, under the mandate of its record and under the other one. What was decided before is counted
by the verdicts of the other one; prices and positions stay those that were recorded.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from llmctx.context.ledger import Ledger
from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.conclude import conclude
from llmctx.decision.mandate.case import ledger_after
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.verdict import Verdict
from llmctx.errors import ReplayError
from llmctx.llm.completion import read_completion
from llmctx.replay.corpus import BlobCache, Place, Recorded
from llmctx.replay.plan import policy_for


class JudgedAgain(NamedTuple):
    """One recorded decision under two mandates."""

    place: Place
    """Its record."""
    symbol: str
    """Its symbol."""
    before: Verdict
    """The verdict under the mandate of the record."""
    after: Verdict
    """The verdict under the other one."""

    @property
    def differs(self) -> bool:
        """Whether something else would have been done."""
        return _done(self.before) != _done(self.after)


def judge_again(entries: Iterable[Recorded], blobs: BlobCache, mandate: Mandate) -> Iterator[JudgedAgain]:
    """Judge the decisions among some records again, in their order.

    Raises ReplayError if the evidence of one cannot be used.
    """
    ledgers: dict[tuple[str, str], Ledger] = {}
    for entry in entries:
        if entry.record["kind"] != "decision":
            continue
        try:
            snapshot = Snapshot.from_evidence(entry.pieces["snapshot"], blobs)
            completion = read_completion(entry.pieces["completion"], {}, ())
            policy = policy_for(entry, blobs)
        except (KeyError, ValueError, TypeError) as error:
            raise ReplayError(
                f"Record {entry.index} cannot be judged again: {error}.", "Run `llmctx verify` to find out more."
            ) from error
        key = (entry.origin, snapshot.symbol)
        before = conclude(snapshot, build_package(snapshot), None, completion, policy).verdict
        ledger = ledgers.get(key, snapshot.ledger or Ledger())
        package = build_package(snapshot.model_copy(update={"ledger": ledger}))
        other = policy.model_copy(update={"mandate": mandate})
        after = conclude(snapshot, package, None, completion, other).verdict
        ledgers[key] = ledger_after(package, after.action, str(entry.index)) or ledger
        yield JudgedAgain(entry.place, snapshot.symbol, before, after)


def _done(verdict: Verdict) -> tuple[object, ...]:
    return verdict.action, verdict.quantity, verdict.stop_loss, verdict.take_profit
