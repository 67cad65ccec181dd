"""`llmctx show`: one record."""

import asyncio
from typing import Any

from llmctx import canonical, clock
from llmctx.cli.shared.options import Address, AsJson, From, RedisUrl, StateDir
from llmctx.cli.shared.output import coloured, escape, out, print_json, visible
from llmctx.cli.shared.record_text import print_fields, print_verdict
from llmctx.cli.shared.setup import settings_for
from llmctx.cli.shared.sources import source_of
from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.context.staleness import Status
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry, address, named_blobs
from llmctx.trail.log.packing import textual_pieces
from llmctx.trail.log.unreadable import TO_DO, Unreadable
from llmctx.trail.source.lookup import read_record, said_of

Blobs = dict[str, bytes]
"""Blobs by digest."""


def show(
    record: Address,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one record with all its evidence.

    What was known, what was asked, what the model answered, what was concluded; and what became of it:
    effects, and what people said.

    \b
    llmctx show 12
    llmctx show 12 --from ./export
    """
    entry, place, blobs, said = asyncio.run(_read(settings_for(redis_url, state_dir), where, record))
    if not as_json:
        if entry.unreadable is None:
            _print_entry(entry, place, blobs)
            _print_said(said)
        else:
            _print_unreadable(entry, place, entry.unreadable)
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


async def _read(settings: Settings, where: str | None, text: str) -> tuple[Entry, str, Blobs, list[Entry]]:
    """The record at an address, its address as all commands print it, the blobs that it names, and what others said."""
    async with source_of(settings, where) as source:
        entry = await read_record(source, text)
        part = next(part for part in source.parts if part.partition == entry.partition)
        blobs = {digest: await part.blob(digest) for digest in named_blobs(entry.record)}
        place = address(entry.index, entry.partition, source.partitions)
        return (
            entry,
            place,
            {digest: blob for digest, blob in blobs.items() if blob is not None},
            await said_of(source, entry),
        )


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
    if "snapshot" in record:
        _print_sections(entry.pieces["snapshot"], blobs)
    if "messages" in entry.pieces:
        for message in canonical.loads(entry.pieces["messages"]):
            _print_block(f"asked ({message['role']})", message["content"])
    if "completion" in entry.pieces:
        _print_block("answered (raw)", entry.pieces["completion"].decode(errors="replace"))


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
    attempts = [f"{attempt['result']} ({attempt['duration_ms']} ms)" for attempt in completion.get("attempts", [])]
    out.print("\n[bold]call[/]")
    print_fields(
        {
            "asked": f"{request.get('model', 'no model')} at {request.get('endpoint', 'no endpoint')}",
            "endpoint": completion.get("endpoint"),
            "served by": completion.get("model"),
            "outcome": completion["outcome"] + (f": {completion['detail']}" if "detail" in completion else ""),
            "answer from": ", ".join(completion.get("answer_from", [])) or None,
            "attempts": ", ".join(attempts) or None,
            "tried": "\n".join(map(_tried, completion.get("tried", []))) or None,
            "tokens": ", ".join(f"{name} {count}" for name, count in completion.get("usage", {}).items()) or None,
        }
    )


def _tried(tried: dict[str, Any]) -> str:
    said = f": {tried['detail']}" if "detail" in tried else ""
    return f"{tried['endpoint']} {tried['outcome']}{said}"


def _print_sections(snapshot: bytes, blobs: Blobs) -> None:
    out.print("\n[bold]known[/]")
    try:
        read = Snapshot.from_evidence(snapshot, blobs)
        package = build_package(read)
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # other rules made it, or it was altered
        out.print(f"  this version cannot read it ({escape(str(error))}); --json prints it unchanged")
        return
    for name, section in package.sections.items():
        age = "" if section.age_ms is None else f"{clock.in_words(section.age_ms)} old"
        raw = read.sections[name].raw or b""
        text = " ".join(raw.decode(errors="replace").split())
        out.print(f"  {name:<14} {coloured(section.status):<20} {age:<16} {escape(text)}")
        if section.reason and section.status is not Status.MISSING:
            out.print(f"  {'':<14} {escape(section.reason)}")
