"""What a record says about its symbol's state afterwards: believed prices, earlier decisions, and a waiting stop."""

from collections.abc import Mapping

from llmctx import canonical
from llmctx.context.ledger import Ledger
from llmctx.context.marks import Marks
from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot, TrailReference
from llmctx.decision.mandate.case import ledger_after
from llmctx.decision.stop import STOP_UNCONFIRMED
from llmctx.decision.verdict import order_of
from llmctx.trail.log.entry import Entry

State = tuple[Marks, Ledger | None]
"""What was believed and counted after a record."""


def state_after(entry: Entry, blobs: Mapping[str, bytes], where: str) -> State | None:
    """The state after a record at an address; None if it does not say.

    Raises whatever an unreadable snapshot raises.
    """
    if "snapshot" not in entry.pieces:
        return None
    snapshot = Snapshot.from_evidence(entry.pieces["snapshot"], blobs)
    if snapshot.marks is None:  # made by an older version: its price is the first that is judged
        snapshot = snapshot.model_copy(update={"marks": Marks()})
    package = build_package(snapshot)
    ledger = ledger_after(package, order_of(entry.record["verdict"]), where)
    return None if package.marks_after is None else (package.marks_after, ledger)


def after_act(
    ledger: Ledger | None, about: Entry | None, made: Entry, blobs: Mapping[str, bytes], where: str
) -> Ledger | None:
    """The ledger after a person decided in the place of the record `about`; `made` is the record at an address that
    says so.

    Raises what a snapshot that cannot be read raises.
    """
    if ledger is None or about is None:
        return ledger
    snapshot = Snapshot.from_evidence(about.pieces["snapshot"], blobs)
    position, at_ms = build_package(snapshot).position, snapshot.as_of_ms
    return ledger.at(position, at_ms).after(position, made.record["verdict"]["action"], at_ms, where)


def merged(ledger: Ledger, read: Ledger | None, known: Ledger | None) -> Ledger:
    """The ledger after a verdict, with what changed between the snapshot that `read` the one before and now: what was
    cancelled is left out, and an exit that a person decided is counted.
    """
    if read is None or known is None:
        return ledger
    waiting = {one.address for one in known.pending}
    for one in read.pending:
        if one.address not in waiting:
            ledger = ledger.without(one.address)
    exit_ = known.waiting("exit")
    if exit_ is None or read.waiting("exit") is not None:
        return ledger
    others = tuple(one for one in ledger.pending if one.action != "exit")
    actions = tuple(sorted({*ledger.actions, exit_.at_ms}))
    return ledger._replace(pending=(*others, exit_), exited_ms=exit_.at_ms, actions=actions)


def reference_in(entry: Entry) -> TrailReference | None:
    """The record that an entry's own thesis came from."""
    try:
        thesis = canonical.loads(entry.pieces["snapshot"]).get("thesis")
        return None if thesis is None else TrailReference(**thesis)
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def waiting_in(entry: Entry) -> str | None:
    """Why a record holds a stop that waits for confirmation; None if it holds none."""
    guards = entry.record["verdict"].get("guards", ())
    return next((guard.get("detail", "") for guard in guards if guard["name"] == STOP_UNCONFIRMED), None)
