"""Compose a trail payload from one tick's values.

The payload is JSON with ASCII names, strings and integers; decimals are strings, and a field that a kind of record does
not have is absent (audit/README.md lists every field). This is the only place where trading meets the trail.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from llmctx import canonical, clock, rules
from llmctx.context.marks import Mark
from llmctx.context.package import Package
from llmctx.context.snapshot import Snapshot
from llmctx.context.tick import Tick
from llmctx.decision.conclude import Conclusion
from llmctx.decision.decision import OUTPUT
from llmctx.decision.verdict import Verdict
from llmctx.leaf_fields import (
    completion_fields,
    decision_fields,
    grounding_fields,
    mandate_fields,
    mapped_position_fields,
    prompt_fields,
    sections_fields,
    text_of,
    verdict_fields,
    wrong_fields,
)
from llmctx.limits import MAX_REASON_CHARS, cut
from llmctx.publication import is_on_position, position_fields
from llmctx.trail.log.log import Draft

FORMAT = 1


class RecordMetadata(NamedTuple):
    """How a record came about."""

    recorded_at_ms: int
    """When it was recorded, in milliseconds of the server's time."""
    worker: str
    """The host and process that made it."""
    conflated: tuple[str, ...] = ()
    """Other ticks that it settles."""
    attempts: int = 1
    """How many times a decision was started for this tick, including this time."""
    timings_ms: Mapping[str, float] = {}
    """How long each step took, in milliseconds."""
    people_sha256: str = ""
    """The digest of the list of people who answer for the worker; empty if the settings name nobody."""


def people_fields(roles: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Who answers for a service, as in a notice: ids and roles, and the digest that other records refer to."""
    listed = [{"id": person, "roles": list(each)} for person, each in sorted(roles.items())]
    return {"people": listed, "people_sha256": canonical.sha256(canonical.dumps(listed))}


def compose(tick: Tick, conclusion: Conclusion, metadata: RecordMetadata, blobs: tuple[bytes, ...]) -> Draft:
    """Compose the record of a tick, ready to be appended. `blobs` are the sources of the prompt, named by digest."""
    leaf, pieces = _guarded(
        conclusion.kind, tick, conclusion.verdict, metadata, conclusion.snapshot, conclusion.package
    )
    if conclusion.prompt is not None and (messages := conclusion.messages) is not None:
        leaf["prompt"] = prompt_fields(conclusion.prompt, messages)
        pieces["messages"] = messages
    if conclusion.completion is not None:
        blobs = (*blobs, conclusion.completion.asked or OUTPUT.bundle)
        leaf["request"] = conclusion.completion.request
        leaf["completion"] = completion_fields(conclusion.completion)
        if conclusion.completion.body is not None:
            pieces["completion"] = conclusion.completion.body
    if conclusion.decision is not None:
        leaf["decision"] = decision_fields(conclusion.decision)
    if conclusion.verdict.grounding is not None:
        leaf["grounding"] = grounding_fields(conclusion.verdict.grounding)
    if conclusion.first_answer is not None:
        first = completion_fields(conclusion.first_answer.completion)
        first.pop("sha256", None)  # its body is not kept, because its answer is part of the messages
        leaf["reasked"] = {"completion": first} | wrong_fields(conclusion.first_answer.wrong)
    if conclusion.standing is not None:
        reference, action = conclusion.standing
        leaf["standing"] = {"address": reference.address, "leaf_hash": reference.leaf_hash, "action": action}
    draft = _draft(leaf, pieces, tick, metadata)
    is_known = is_on_position(leaf) and conclusion.package.sections["position"].value is not None
    return draft._replace(
        blobs=(
            *(blobs if conclusion.completion is not None else ()),
            *named_blobs(conclusion.verdict, conclusion.snapshot),
        ),
        record=leaf,
        carried=position_fields(conclusion.package.position) if is_known else None,
    )


def compose_dead_letter(
    tick: Tick,
    verdict: Verdict,
    metadata: RecordMetadata,
    snapshot: Snapshot | None = None,
    package: Package | None = None,
) -> Draft:
    """Compose the dead letter of a tick, with a verdict that needs no model, and with as much of its evidence as is
    usable: snapshot and package, or the snapshot alone, or nothing.
    """
    draft = _draft(*_guarded("dead_letter", tick, verdict, metadata, snapshot, package), tick, metadata)
    return draft._replace(blobs=named_blobs(verdict, snapshot))


def named_blobs(verdict: Verdict, snapshot: Snapshot | None) -> tuple[bytes, ...]:
    """The blobs that a leaf names: the mandate and the mapping, if it names them."""
    mandate = None if verdict.policy is None else verdict.policy.mandate
    return (*(() if mandate is None else (mandate.blob,)), *(() if snapshot is None else _mapping(snapshot)))


def compose_unread(kind: str, tick: Tick | None, reason: str, metadata: RecordMetadata, **more: Any) -> Draft:
    """Compose a record without a snapshot: dead_letter and skipped (with a tick), notice and incident (without).

    `more` holds additional fields of the leaf.
    """
    leaf = _head(kind, metadata) | {"verdict": {"action": "none", "reason": cut(reason, MAX_REASON_CHARS)}} | more
    if tick is not None:
        leaf |= {"tick": tick.id, "symbol": tick.symbol, "cause": tick.cause}
    return _draft(leaf, {}, tick, metadata)


def compose_confirmation(tick: Tick, confirmed: Mark, metadata: RecordMetadata) -> Draft:
    """Compose the notice that a person confirmed a price of a tick's symbol."""
    at, opened = clock.iso(confirmed.at_ms), clock.iso(confirmed.entry_ms)
    reason = f"{confirmed.by} confirmed the price {confirmed.last} of {at} in {tick.symbol}: {confirmed.why}"
    last = text_of(confirmed.last)
    said = {"by": confirmed.by, "why": confirmed.why, "last": last, "price_at": at, "entry_time": opened}
    return compose_unread("notice", None, reason, metadata, symbol=tick.symbol, confirmation=said)


def compose_loss(first: int, last: int, metadata: RecordMetadata, **more: Any) -> Draft:
    """Compose the incident for records that both Redis and the spool have lost."""
    reason = f"records {first} to {last} are lost; the anchor has their leaf hashes"
    lost = {"what": "lost", "first": first, "last": last}
    return compose_unread("incident", None, reason, metadata, incident=lost, **more)


def _guarded(
    kind: str,
    tick: Tick,
    verdict: Verdict,
    metadata: RecordMetadata,
    snapshot: Snapshot | None,
    package: Package | None,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The leaf of a record with a verdict, as far as no model is in it, and its pieces."""
    leaf = _head(kind, metadata) | {
        "tick": tick.id,
        "symbol": tick.symbol,
        "cause": tick.cause,
        "verdict": verdict_fields(verdict),
        **mandate_fields(verdict),
    }
    if snapshot is None:
        return leaf, {}
    piece = snapshot.evidence()
    return leaf | evidence_fields(snapshot, package, piece), {"snapshot": piece}


def evidence_fields(snapshot: Snapshot, package: Package | None, piece: bytes) -> dict[str, Any]:
    """What a leaf says about the data of its verdict; `piece` is the snapshot's evidence."""
    found: dict[str, Any] = {
        "sha256": canonical.sha256(piece), "sections": {} if package is None else sections_fields(package)
    }  # fmt: skip
    if snapshot.rules.sections is not None:
        found["mapping_sha256"] = snapshot.rules.sections.sha256
        found |= {} if package is None else mapped_position_fields(package)
    return {"as_of_ms": snapshot.as_of_ms, "snapshot": found}


def _mapping(snapshot: Snapshot) -> tuple[bytes, ...]:
    """The blob of the mapping by which a snapshot was read."""
    return () if snapshot.rules.sections is None else (snapshot.rules.sections.blob,)


def _draft(leaf: dict[str, Any], pieces: dict[str, bytes], tick: Tick | None, metadata: RecordMetadata) -> Draft:
    return Draft(
        leaf=canonical.dumps(leaf),
        pieces=pieces,
        blobs=(),
        tick=tick.id if tick else "",
        symbol=tick.symbol if tick else "",
        conflated=metadata.conflated,
    )


def _head(kind: str, metadata: RecordMetadata) -> dict[str, Any]:
    head: dict[str, Any] = {
        "v": FORMAT,
        "kind": kind,
        "recorded_at_ms": metadata.recorded_at_ms,
        "worker": metadata.worker,
        "attempts": metadata.attempts,
        "code": rules.code(),
    }
    if metadata.people_sha256:
        head["people_sha256"] = metadata.people_sha256
    if metadata.conflated:
        head["conflated"] = list(metadata.conflated)
    if metadata.timings_ms:
        head["timings_ms"] = {step: f"{ms:.1f}" for step, ms in metadata.timings_ms.items()}
    return head
