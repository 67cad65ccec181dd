"""The command that shows one record: show."""

import asyncio
from typing import Annotated, Any

import typer
from redis.asyncio import Redis

from llmctx import canonical, clock
from llmctx.cli.look import read_existing_instance
from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import coloured, escape, out, print_json, visible
from llmctx.cli.setup import redis_of, settings_for
from llmctx.clock import in_words
from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.context.staleness import Status
from llmctx.errors import LlmctxError
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry, address, evidence_text
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.log import Log


def show(
    record: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="INDEX, or P:INDEX where there are several partitions.")
    ],
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Print one record with its whole evidence.

    What was known, asked, answered and concluded.

    \b
    llmctx show 12
    """
    entry, partitions = asyncio.run(_read(settings_for(redis_url, state_dir), record))
    if as_json:
        pieces = canonical.loads(evidence_text(entry.pieces))
        print_json(
            {
                "address": address(entry.index, entry.partition, partitions),
                "index": entry.index,
                "leaf_hash": entry.leaf_hash,
                "leaf": entry.record,
                "leaf_text": entry.leaf.decode(errors="replace"),
                "pieces": pieces,
            }
        )
        return
    _print_entry(entry, partitions)


async def _read(settings: Settings, text: str) -> tuple[Entry, int]:
    async with redis_of(settings) as (redis, _):
        instance = await read_existing_instance(redis)
        return await read_record(redis, instance, text), instance.partitions


async def read_record(redis: Redis, instance: Instance, text: str) -> Entry:
    """The record of an address.

    Raises LlmctxError for a text that is no address, or where there is no such record.
    """
    partition, index = _parse_address(text, instance.partitions)
    entry = await Log(redis, partition).entry(index)
    if entry is None:
        size = await Log(redis, partition).size()
        raise LlmctxError(
            f"There is no record {text}.",
            f"The log has {size} records, from 0 on; `llmctx decisions` lists them.",
        )
    return entry


def _parse_address(text: str, partitions: int) -> tuple[int, int]:
    partition, _, index = text.rpartition(":")
    if not partition and partitions == 1:
        partition = "0"
    if index.isdecimal() and partition.isdecimal() and int(index) < 2**53 and int(partition) < partitions:
        return int(partition), int(index)
    form = "INDEX" if partitions == 1 else "P:INDEX"
    raise LlmctxError(f"{text!r} is no address.", f"Write it as {form}, as `llmctx decisions` prints it.")


def _print_entry(entry: Entry, partitions: int) -> None:
    record = entry.record
    out.print(f"[bold]record {address(entry.index, entry.partition, partitions)}[/]  {record['kind']}")
    _print_fields(
        {
            "leaf hash": entry.leaf_hash,
            "tick": record.get("tick"),
            "settles also": ", ".join(record.get("conflated", [])) or None,
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
        _print_sections(entry.pieces["snapshot"])
    if "messages" in entry.pieces:
        for message in canonical.loads(entry.pieces["messages"]):
            out.rule(f"asked ({message['role']})", align="left")
            out.print(visible(message["content"]), markup=False)
    if "completion" in entry.pieces:
        out.rule("answered (raw)", align="left")
        out.print(visible(entry.pieces["completion"].decode(errors="replace")), markup=False)


def _print_fields(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if value is not None:
            out.print(f"  {name:<12} {escape(str(value))}")


def print_verdict(record: dict[str, Any]) -> None:
    """The decision and the verdict of a record."""
    decision, verdict = record.get("decision"), record["verdict"]
    if decision is not None:
        out.print(f"[bold]decision[/]  {coloured(decision['action'])}, confidence {decision['confidence']}")
        _print_fields({name: decision.get(name) for name in ("quantity", "stop_loss", "take_profit", "reasoning")})
        for item in decision["evidence"]:
            _print_fields({"evidence": f"{item['path']} = {item['value']} ({item['reading']})"})
        _print_fields({"invalidation": decision["invalidation"], "valid for": f"{decision['valid_for']} min"})
    if "grounding" in record:
        _print_grounding(record["grounding"])
    if "reasked" in record:
        _print_fields({"asked again": "because of the first answer's prices; it stands in the messages below"})
        _print_grounding(record["reasked"]["grounding"])
    out.print(f"[bold]verdict[/]   {coloured(verdict['action'])}")
    _print_fields({name: verdict.get(name) for name in ("quantity", "stop_loss", "take_profit")})
    for guard in verdict.get("guards", []):
        _print_fields({"guard": f"{guard['name']}: {guard['detail']}"})
    _print_fields({"reason": verdict["reason"]})


def _print_grounding(grounding: dict[str, Any]) -> None:
    miscited, unsupported = grounding.get("miscited", []), grounding.get("unsupported", [])
    out.print(
        f"[bold]grounding[/] {grounding['evidence'] - len(miscited)} of {grounding['evidence']} evidence items and "
        f"{grounding['numbers'] - len(unsupported)} of {grounding['numbers']} numbers stand in the facts"
    )
    for item in miscited:
        _print_fields({"not so": f"{item['path']} = {item['value']}: {item['why']}{_nearest_of(item)}"})
    for item in unsupported:
        _print_fields({"not so": f"{item['text']} in the {item['field']}{_nearest_of(item)}"})


def _nearest_of(item: dict[str, Any]) -> str:
    return f"; nearest is {item['nearest']} = {item['fact']}" if "nearest" in item else ""


def _print_call(record: dict[str, Any]) -> None:
    request, completion = record["request"], record["completion"]
    usage = completion.get("usage", {})
    out.print("\n[bold]call[/]")
    _print_fields(
        {
            "asked": f"{request.get('model', 'no model')} at {request.get('endpoint', 'no endpoint')}",
            "served by": completion.get("model"),
            "outcome": completion["outcome"] + (f": {completion['detail']}" if "detail" in completion else ""),
            "attempts": ", ".join(f"{a['result']} ({a['duration_ms']} ms)" for a in completion.get("attempts", []))
            or None,
            "tokens": ", ".join(f"{name} {count}" for name, count in usage.items()) or None,
        }
    )


def _print_sections(snapshot: bytes) -> None:
    out.print("\n[bold]known[/]")
    try:
        read = Snapshot.from_evidence(snapshot)
        package = build_package(read)
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # other rules made it, or it was altered
        out.print(f"  this version cannot read it ({escape(str(error))}); --json prints it as it stands")
        return
    for name, section in package.sections.items():
        age = "" if section.age_ms is None else f"{in_words(section.age_ms)} old"
        raw = read.sections[name].raw or b""
        text = " ".join(raw.decode(errors="replace").split())
        out.print(f"  {name:<14} {coloured(section.status):<20} {age:<16} {escape(text)}")
        if section.reason and section.status is not Status.MISSING:
            out.print(f"  {'':<14} {escape(section.reason)}")
