"""Statements: what others say about a decision, as separate records. They settle no tick.

Each has an id chosen by its author, so it is recorded once however often it is sent, and names the record it is about
by index and leaf hash.
"""

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llmctx import canonical, clock
from llmctx.decision.approved import Approved
from llmctx.decision.conclude import Conclusion
from llmctx.decision.guards import AS_DECIDED
from llmctx.leaf_fields import approved_fields, mandate_fields, verdict_fields
from llmctx.limits import MAX_BY_CHARS, MAX_NAME_CHARS, MAX_REASON_CHARS, MAX_WHY_CHARS, cut
from llmctx.publication import position_fields, position_of
from llmctx.record import RecordMetadata, compose_unread, evidence_fields, named_blobs
from llmctx.schema.values import Effect
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Draft

ActKind = Literal["approval", "override", "annotation"]
_PAST: dict[ActKind, str] = {"approval": "approved", "override": "overridden", "annotation": "annotated"}


class Act(BaseModel):
    """What a person says about a record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ActKind
    """The kind of statement."""
    index: int = Field(ge=0)
    """The index of the record."""
    by: str = Field(min_length=1, max_length=MAX_BY_CHARS)
    """The person."""
    why: str = Field(min_length=1, max_length=MAX_WHY_CHARS)
    """Why, in their words."""
    action: Literal["hold", "exit"] | None = None
    """The action that an override puts in place of the decision's; None for other kinds."""

    @property
    def reason(self) -> str:
        """The record's text."""
        return f"{_PAST[self.kind]} by {self.by}: {self.why}"


def about(entry: Entry | None, index: int) -> dict[str, Any]:
    """Name the record at an index; without its leaf hash if it is archived and not at hand."""
    return {"index": index} | ({} if entry is None else {"leaf_hash": entry.leaf_hash})


def compose_effect(effect: Effect, named: dict[str, Any] | None, metadata: RecordMetadata) -> Draft:
    """Compose the record of an effect; `named` is the decision it is about, or None.

    Its time, `as_of_ms`, is when the effect happened.
    """
    leaf = {
        "id": effect.id,
        "symbol": effect.symbol,
        "as_of_ms": clock.to_ms(effect.at),
        "effect": effect_fields(effect),
    }
    if named is not None:
        leaf["about"] = named
    draft = compose_unread("effect", None, effect_text(effect, named), metadata, **leaf)
    return draft._replace(said=effect.id, symbol=effect.symbol)


def effect_fields(effect: Effect) -> dict[str, Any]:
    """An effect as a leaf has it."""
    fields = {
        "status": effect.status,
        "side": effect.side,
        **{name: _plain(getattr(effect, name)) for name in ("quantity", "price", "fee")},
        "order_id": None if effect.order_id is None else cut(effect.order_id, MAX_NAME_CHARS),
        "reason": None if effect.reason is None else cut(effect.reason, MAX_WHY_CHARS),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else canonical.plain(value)


def effect_text(effect: Effect, named: dict[str, Any] | None) -> str:
    """An effect in a sentence."""
    said = [effect.status.replace("_", " ")]
    if effect.quantity is not None:
        said.append(f"{effect.side or 'order of'} {canonical.plain(effect.quantity)}")
    if effect.price is not None:
        said.append(f"at {canonical.plain(effect.price)}")
    why = "no decision" if named is None else f"decision {named['index']}"
    told = "" if effect.reason is None else f", {effect.reason}"
    return f"{' '.join(said)}: {why}{told}"


def is_same_effect(entry: Entry, effect: Effect, named: dict[str, Any] | None) -> bool:
    """Whether a record matches an effect."""
    record = entry.record
    return (
        record["kind"] == "effect"
        and record["symbol"] == effect.symbol
        and record.get("as_of_ms") == clock.to_ms(effect.at)
        and record["effect"] == effect_fields(effect)
        and record.get("about", {}).get("index") == (None if named is None else named["index"])
    )


def compose_act(
    act: Act, said_id: str, entry: Entry, metadata: RecordMetadata, verdict: dict[str, Any] | None = None
) -> Draft:
    """Compose the record of a person's statement about a record.

    `verdict` replaces that record's own from here on and is published; None if nothing replaces it.
    """
    record, leaf = entry.record, _leaf(act, said_id, entry, stands=verdict is not None)
    if verdict is not None:
        leaf |= {"verdict": verdict | {"reason": cut(act.reason, MAX_REASON_CHARS)}}
        leaf |= {"position": _texts(position_of(entry))}
        leaf |= {"as_of_ms": record["as_of_ms"]} if "as_of_ms" in record else {}
    return compose_unread(act.kind, None, act.reason, metadata, **leaf)._replace(
        said=said_id, symbol=leaf.get("symbol", "")
    )


def approved_in(entry: Entry) -> Approved:
    """What approving a waiting record approves."""
    position, waits = position_of(entry), entry.record["verdict"]["awaits"]
    levels = {name: Decimal(waits[name]) for name in ("quantity", "stop_loss", "take_profit") if name in waits}
    return Approved(waits["action"], **levels, entry_time=position.get("entry_time"), side=position.get("side"))


def compose_approval(
    act: Act, said_id: str, entry: Entry, metadata: RecordMetadata, approved: Approved, conclusion: Conclusion
) -> Draft:
    """Compose the record of an approval: what was approved, the data by which it was judged again, and the resulting
    verdict.
    """
    verdict, snapshot, package = conclusion.verdict, conclusion.snapshot, conclusion.package
    changed = "" if verdict.reason == AS_DECIDED else f"; but {verdict.reason}"
    reason = cut(f"{act.reason}{changed}", MAX_REASON_CHARS)
    piece = snapshot.evidence()
    leaf = _leaf(act, said_id, entry, stands=True) | evidence_fields(snapshot, package, piece) | mandate_fields(verdict)
    leaf |= {"approved": approved_fields(approved), "verdict": verdict_fields(verdict) | {"reason": reason}}
    if package.sections["position"].value is not None:
        leaf["position"] = _texts(position_fields(package.position))
    draft = compose_unread(act.kind, None, reason, metadata, **leaf)
    blobs = named_blobs(verdict, snapshot)
    return draft._replace(said=said_id, symbol=entry.record["symbol"], pieces={"snapshot": piece}, blobs=blobs)


def _leaf(act: Act, said_id: str, entry: Entry, *, stands: bool) -> dict[str, Any]:
    """The leaf fields common to all acts; they include the tick of the named record if the verdict replaces that
    record's.
    """
    symbol = entry.record.get("symbol", "")
    named = about(entry, entry.index) | ({"tick": entry.record["tick"]} if stands else {})
    leaf: dict[str, Any] = {"id": said_id, "about": named} | ({"symbol": symbol} if symbol else {})
    return leaf | {"person": {"by": act.by, "why": act.why}}


def _texts(position: dict[str, Any]) -> dict[str, Any]:
    """A position as a leaf has it."""
    return {name: _plain(value) if isinstance(value, Decimal) else value for name, value in position.items()}
