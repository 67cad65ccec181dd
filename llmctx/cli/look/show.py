"""`llmctx show`: one record."""

import asyncio
from typing import Annotated, Any

import typer

from llmctx import canonical, clock
from llmctx.cli.shared.options import Address, AsJson, From, RedisUrl, StateDir
from llmctx.cli.shared.output import coloured, escape, out, print_json
from llmctx.cli.shared.record_text import print_brief, print_fields, print_verdict
from llmctx.cli.shared.setup import open_trail, settings_for
from llmctx.cli.shared.sources import source_of
from llmctx.console.story import Story, read_known
from llmctx.decision.mandate.mandate import Mandate
from llmctx.errors import CheckpointError
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.packing import textual_pieces
from llmctx.trail.log.unreadable import TO_DO, Unreadable
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.checkpoint import read_note
from llmctx.trail.source.copies import is_copy, newest_note
from llmctx.trail.source.joined import trail_source
from llmctx.trail.source.lookup import blobs_of, read_record, said_of
from llmctx.visible import visible

Blobs = dict[str, bytes]
"""Blobs by digest."""


def show(
    record: Address,
    full: Annotated[
        bool, typer.Option("--full", help="Print all the evidence: every section, the messages, the response.")
    ] = False,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one record: why it was made, what was decided, its proof.

    With --full all its evidence: the facts, the question, the model's answer, and the conclusions. Both also list what
    followed: effects, and what people said about it.

    \b
    llmctx show 12
    llmctx show 12 --full --from ./export
    """
    settings = settings_for(redis_url, state_dir)
    entry, place, blobs, covered, said = asyncio.run(_read(settings, where, record))
    if not as_json:
        if entry.unreadable is not None:
            _print_unreadable(entry, place, entry.unreadable)
        elif full:
            _print_entry(entry, place, blobs)
        else:
            print_brief(Story(entry, 1, blobs), place, covered)
            print_fields({"allowed by": _allowed(entry, place, blobs)})
        if entry.erased:
            out.print(f"\n[yellow]erased by rule[/]  {', '.join(entry.erased)}; the leaf has the digests")
        _print_said(said)
        return
    leaf, pieces = entry.kept
    print_json(
        {
            "address": place,
            "index": entry.index,
            "leaf_hash": entry.leaf_hash,
            "leaf": entry.record,
            "leaf_text": leaf.decode(errors="replace"),
            "pieces": textual_pieces(pieces),
            "said": [{"index": other.index, **other.record} for other in said],
        }
    )


async def _read(settings: Settings, where: str | None, text: str) -> tuple[Entry, str, Blobs, str, list[Entry]]:
    """The record at an address, its printed address, its blobs, the checkpoint that covers it, and what others said
    about it.
    """
    if where is None:
        async with open_trail(settings) as (redis, instance):
            source = await trail_source(redis, instance, settings.archive)
            entry = await read_record(source, text)
            blobs, said = await blobs_of(source, entry), await said_of(source, entry)
            note = Anchor(anchor_directory(settings.state_dir, instance.id, entry.partition)).newest()
    else:
        async with source_of(settings, where) as source:
            entry = await read_record(source, text)
            blobs, said = await blobs_of(source, entry), await said_of(source, entry)
            note = newest_note(where, entry.partition) if is_copy(where) else None
    return entry, address(entry.index, entry.partition, source.partitions), blobs, _covered(note, entry.index), said


def _covered(note: str | None, index: int) -> str:
    """Which checkpoint covers a record, in words."""
    if note is None:
        return "no checkpoint here; `llmctx run` or `llmctx notary` signs"
    try:
        checkpoint = read_note(note)
        if checkpoint.size <= index:
            return f"not covered yet; the newest checkpoint is over {checkpoint.size}"
        return f"in the checkpoint over {checkpoint.size}, signed {clock.iso(checkpoint.time_ms)}"
    except CheckpointError as error:
        return f"the newest checkpoint cannot be used: {error.why}"


def _print_unreadable(entry: Entry, place: str, problem: Unreadable) -> None:
    out.print(f"[bold]record {place}[/]  [red]cannot be read[/]")
    print_fields(
        {
            "leaf hash": entry.leaf_hash,
            "why": problem.why,
            "bytes": f"{len(entry.packed)} in the log; --json prints them" if entry.packed else None,
            "to do": TO_DO,
        }
    )


def _print_entry(entry: Entry, place: str, blobs: Blobs) -> None:
    record = entry.record
    out.print(f"[bold]record {place}[/]  {record['kind']}")
    print_fields(
        {
            "leaf hash": entry.leaf_hash,
            "tick": record.get("tick"),
            "also settles": ", ".join(record.get("conflated", [])) or None,
            "cause": record.get("cause"),
            "as of": None if "as_of_ms" not in record else clock.iso(record["as_of_ms"]),
            "recorded": clock.iso(record["recorded_at_ms"]),
            "worker": f"{record['worker']}, attempt {record['attempts']}, {record['code']}",
            "steps": ", ".join(f"{step} {ms} ms" for step, ms in record.get("timings_ms", {}).items()) or None,
        }
    )
    out.print()
    print_verdict(record)
    if "completion" in record:
        _print_call(record)
    if "snapshot" in entry.pieces:
        _print_sections(entry.pieces["snapshot"], blobs)
    if "messages" in entry.pieces:
        for message in canonical.loads(entry.pieces["messages"]):
            _print_block(f"asked ({message['role']})", message["content"])
    if "completion" in entry.pieces:
        _print_block("answered (raw)", entry.pieces["completion"].decode(errors="replace"))


def _allowed(entry: Entry, place: str, blobs: Blobs) -> str | None:
    """The limits under which a verdict was given, and who set them; None if the record has no verdict on a position."""
    if "policy" not in entry.record["verdict"]:
        return None
    digest = entry.record.get("mandate", {}).get("sha256")
    if digest is None:
        return "the guardrails alone: there was no mandate"
    try:
        mandate = Mandate.from_blob(blobs[digest])
    except (KeyError, ValueError):
        return f"the mandate {digest}, which cannot be read"
    by = f"set by {mandate.by}" + (f": {mandate.why}" if mandate.why else "") if mandate.by else "set by nobody named"
    return f"the mandate {digest[:16]}, {by}; `llmctx mandate of {place}` lists its rules"


def _print_said(said: list[Entry]) -> None:
    if said:
        out.print("\n[bold]what became of it[/]")
    for other in said:
        at = clock.iso(other.record.get("as_of_ms", other.record["recorded_at_ms"]))
        what = other.record["verdict"]["reason"]
        out.print(f"  {other.index:>6}  {at}  {other.record['kind']:<11} {escape(what)}")


def _print_block(title: str, text: str) -> None:
    out.rule(title, align="left")
    out.print(visible(text), markup=False)


def _print_call(record: dict[str, Any]) -> None:
    request, completion = record["request"], record["completion"]
    out.print("\n[bold]call[/]")
    print_fields(
        {
            "asked": f"{request.get('model', 'no model')} at {request.get('endpoint', 'no endpoint')}",
            "endpoint": completion.get("endpoint"),
            "served by": completion.get("model"),
            "outcome": completion["outcome"] + (f": {completion['detail']}" if "detail" in completion else ""),
            "answer from": ", ".join(completion.get("answer_from", [])) or None,
            "attempts": _attempts(completion) or None,
            "tried": "\n".join(map(_tried, completion.get("tried", []))) or None,
            "tokens": ", ".join(f"{name} {count}" for name, count in completion.get("usage", {}).items()) or None,
        }
    )


def _tried(tried: dict[str, Any]) -> str:
    """What happened at an endpoint that did not answer: its address, the failure, and each attempt."""
    asked = f" ({tried['model']} at {tried['url']})" if "url" in tried else ""
    said = f": {tried['detail']}" if "detail" in tried else ""
    attempts = _attempts(tried)
    return f"{tried['endpoint']}{asked} {tried['outcome']}{said}{f'; attempts: {attempts}' if attempts else ''}"


def _attempts(call: dict[str, Any]) -> str:
    """Each request of a call: its result, its duration, and the provider's id for it."""
    described = []
    for attempt in call.get("attempts", []):
        request_id = f", request {attempt['request_id']}" if "request_id" in attempt else ""
        described.append(f"{attempt['result']} ({attempt['duration_ms']} ms{request_id})")
    return ", ".join(described)


def _print_sections(snapshot: bytes, blobs: Blobs) -> None:
    out.print("\n[bold]known[/]")
    try:
        _, sections = read_known(snapshot, blobs)
    except ValueError as error:  # other rules made it, or it was altered
        out.print(f"  this version cannot read it ({escape(str(error))}); --json prints it unchanged")
        return
    for section in sections:
        age = f"{section.age} old" if section.age else ""
        text = " ".join(section.raw.split())
        out.print(f"  {section.name:<14} {coloured(section.status):<20} {age:<16} {escape(text)}")
        if section.reason:
            out.print(f"  {'':<14} {escape(section.reason)}")
