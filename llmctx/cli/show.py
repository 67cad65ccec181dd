"""The command that shows one record: show."""

import asyncio
from typing import Annotated, Any

import typer

from llmctx import canonical, clock
from llmctx.cli.look import read_existing_instance
from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import coloured, escape, out, print_json
from llmctx.cli.setup import redis_of, settings_for
from llmctx.errors import LlmctxError
from llmctx.settings import Settings
from llmctx.trail.entry import Entry, address, evidence_text
from llmctx.trail.log import Log


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
                "pieces": pieces,
            }
        )
        return
    _print_entry(entry, partitions)


async def _read(settings: Settings, text: str) -> tuple[Entry, int]:
    async with redis_of(settings) as (redis, _):
        instance = await read_existing_instance(redis)
        partition, index = _parse_address(text, instance.partitions)
        entry = await Log(redis, partition).entry(index)
        if entry is None:
            size = await Log(redis, partition).size()
            raise LlmctxError(
                f"There is no record {text}.",
                f"The log has the records 0 to {size - 1}; `llmctx decisions` lists them.",
            )
        return entry, instance.partitions


def _parse_address(text: str, partitions: int) -> tuple[int, int]:
    partition, _, index = text.rpartition(":")
    try:
        return int(partition or 0), int(index)
    except ValueError as error:
        form = "INDEX" if partitions == 1 else "P:INDEX"
        raise LlmctxError(
            f"{text!r} is no address.", f"Write it as {form}, as `llmctx decisions` prints it."
        ) from error


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
        _print_sections(record, entry.pieces["snapshot"])
    if "messages" in entry.pieces:
        for message in canonical.loads(entry.pieces["messages"]):
            out.rule(f"asked ({message['role']})", align="left")
            out.print(message["content"], markup=False)
    if "completion" in entry.pieces:
        out.rule("answered (raw)", align="left")
        out.print(entry.pieces["completion"].decode(errors="replace"), markup=False)


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
    out.print(f"[bold]verdict[/]   {coloured(verdict['action'])}")
    _print_fields({name: verdict.get(name) for name in ("quantity", "stop_loss", "take_profit")})
    for guard in verdict.get("guards", []):
        _print_fields({"guard": f"{guard['name']}: {guard['detail']}"})
    _print_fields({"reason": verdict["reason"]})


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


def _print_sections(record: dict[str, Any], snapshot: bytes) -> None:
    from llmctx.prompt.render import in_words

    document = canonical.loads(snapshot)
    out.print("\n[bold]known[/]")
    for name, section in record["snapshot"]["sections"].items():
        age = f"{in_words(section['age_ms'])} old" if "age_ms" in section else ""
        raw = document["sections"][name]
        if raw is None:
            raw = document.get("unread", {}).get(name, {}).get("why", "")
        out.print(f"  {name:<14} {coloured(section['status']):<20} {age:<16} {escape(' '.join(raw.split()))}")
