"""What another mandate would have made of recorded decisions. No model is asked.

Records are taken in the order of their times, whatever partition they are in. Each answer is judged again, under the
mandate of its record and under the other one. What was decided before is counted by the verdicts of the other one, and
so are reservations in the limits that several positions share; prices and positions stay those that were recorded.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from llmctx.context.ledger import Ledger
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.conclude import conclude
from llmctx.decision.decision import Action
from llmctx.decision.mandate.case import ledger_after
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.reservation import refusal_in, refuse_add
from llmctx.decision.verdict import GuardPolicy, Verdict, order_of
from llmctx.errors import ReplayError
from llmctx.leaf_fields import verdict_fields
from llmctx.llm.completion import read_completion
from llmctx.replay.answer import recorded_answer
from llmctx.replay.corpus import BlobCache, Place, Recorded
from llmctx.replay.difference import causes
from llmctx.replay.limit_changes import done
from llmctx.replay.plan import policy_for, position_of
from llmctx.replay.results import Result
from llmctx.replay.totals_check import TotalsCheck
from llmctx.rules import code


class JudgedAgain(NamedTuple):
    """One recorded decision under two mandates."""

    entry: Recorded
    """Its record."""
    package: Package
    """The package."""
    before: Verdict
    """The verdict under the mandate of the record."""
    after: Verdict
    """The verdict under the other one."""
    mandate: str
    """The digest of the other one."""

    @property
    def place(self) -> Place:
        """Which record."""
        return self.entry.place

    @property
    def differs(self) -> bool:
        """Whether the action would have been different."""
        return done(verdict_fields(self.before)) != done(verdict_fields(self.after))

    @property
    def result(self) -> Result:
        """The two as a result of a replay: the recorded answer, and the same answer with the other verdict."""
        recorded = recorded_answer(self.entry)
        replayed = recorded._replace(verdict=verdict_fields(self.after), mandate=self.mandate, code=code())
        held, price = position_of(self.package)
        return Result(
            **vars(self.place),
            repeat=1,
            symbol=self.package.symbol,
            as_of_ms=self.package.as_of_ms,
            recorded=recorded,
            replayed=replayed,
            causes=tuple(causes(recorded, replayed)),
            held=held,
            price=price,
        )


def judge_again(entries: Iterable[Recorded], blobs: BlobCache, mandate: Mandate) -> Iterator[JudgedAgain]:
    """Judge the decisions among some records again, in the order of their times.

    Records of other kinds say what was held, and what the guardrails did alone. Raises ReplayError if the evidence of a
    record cannot be used.
    """
    judge = _Judge(blobs, mandate)
    with_snapshot = (entry for entry in entries if "snapshot" in entry.record)
    for entry in sorted(with_snapshot, key=lambda one: (one.record["as_of_ms"], one.partition, one.index)):
        try:
            found = judge.judge(entry)
        except (KeyError, ValueError, TypeError) as error:
            raise ReplayError(
                f"Record {entry.index} cannot be judged again: {error}.", "Run `llmctx verify` to find out more."
            ) from error
        if found is not None:
            yield found


class _Judge:
    """Judges records one after the other."""

    def __init__(self, blobs: BlobCache, mandate: Mandate) -> None:
        self._blobs = blobs
        self._mandate = mandate
        self._totals = TotalsCheck(mandate)
        self._ledgers: dict[str, Ledger] = {}
        self._done: dict[str, set[tuple[str, int]]] = {}
        """The recorded actions: action and time, by symbol."""

    def judge(self, entry: Recorded) -> JudgedAgain | None:
        """The decision in the next record under both mandates; None if it is a record of another kind."""
        record = entry.record
        snapshot = Snapshot.from_evidence(entry.pieces["snapshot"], self._blobs)
        recorded, symbol = build_package(snapshot), snapshot.symbol
        self._totals.see(recorded)
        package = recorded.model_copy(update={"ledger": self._ledger_before(snapshot)})
        order, found = order_of(record["verdict"]), None
        if record["kind"] == "decision":
            policy = policy_for(entry, self._blobs)
            before = self._conclude(entry, snapshot, recorded, policy)
            if before.action == Action.ADD and (why := refusal_in(record["verdict"].get("guards", []))) is not None:
                before = refuse_add(before, why)
            after = self._conclude(entry, snapshot, package, policy.model_copy(update={"mandate": self._mandate}))
            if after.action == Action.ADD and (why := self._totals.reserve(package, after)) is not None:
                after = refuse_add(after, why)
            found = JudgedAgain(entry, recorded, before, after, self._mandate.sha256)
            order = after.order
        self._done.setdefault(symbol, set()).add((record["verdict"]["action"], snapshot.as_of_ms))
        ledger = ledger_after(package, order, str(entry.index))
        if ledger is not None:
            self._ledgers[symbol] = ledger
        return found

    def _ledger_before(self, snapshot: Snapshot) -> Ledger:
        """The ledger by the verdicts of the other mandate, without actions known to be carried out by then."""
        ledger, recorded = self._ledgers.get(snapshot.symbol), snapshot.ledger
        if ledger is None or recorded is None:
            return ledger or recorded or Ledger()
        waiting = {(one.action, one.at_ms) for one in recorded.pending}
        settled = self._done.get(snapshot.symbol, set()) - waiting
        return ledger._replace(pending=tuple(one for one in ledger.pending if (one.action, one.at_ms) not in settled))

    def _conclude(self, entry: Recorded, snapshot: Snapshot, package: Package, policy: GuardPolicy) -> Verdict:
        completion = read_completion(entry.pieces["completion"], {}, ())
        return conclude(snapshot, package, None, completion, policy).verdict
