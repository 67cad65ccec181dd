"""`llmctx replay` without a model: recorded decisions rebuilt from their evidence."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from llmctx.cli.iterate.replay_options import ReplayOptions
from llmctx.cli.shared.long_running import progress
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.sources import no_match, recordings_of
from llmctx.replay.corpus import Place, Recorded
from llmctx.replay.difference import Rebuild
from llmctx.replay.reproduction import DifferingRecord, RebuildSummary, rebuild_all
from llmctx.replay.safe_write import REBUILD, REBUILD_FORMAT, Destination, replacing
from llmctx.rules import code
from llmctx.settings import Settings

_MAX_ALTERED_SHOWN = 20


async def rebuild(settings: Settings, options: ReplayOptions) -> int:
    """Rebuild the records and print the result.

    Returns the exit code: 1 if evidence was altered, or with --strict if a record that differs names unknown rules.
    """
    with ExitStack() as stack:
        async with recordings_of(settings, options.where) as recordings:
            total = await recordings.count(options.selection)
            advance = stack.enter_context(progress("rebuilding", total, quiet=options.as_json))
            file = None
            if options.out is not None:
                file = stack.enter_context(replacing(Destination(options.out, "--out", REBUILD, options.inputs)))
                head = {"format": REBUILD_FORMAT, "source": recordings.name, "selection": options.text, "code": code()}
                file.write(json.dumps(head) + "\n")

            def on_record(entry: Recorded, found: Rebuild) -> None:
                advance()
                if file is not None:
                    file.write(_line(entry, found))

            rebuilt = await rebuild_all(recordings.select(options.selection), recordings.blobs, on_record)
            if not rebuilt.records:
                raise no_match(options.text, recordings, options.where)
    if options.as_json:
        _print_json(rebuilt, recordings.name, options)
    else:
        _print(rebuilt, recordings.name, options)
    return 1 if rebuilt.tampered or (options.strict and rebuilt.reproduction.unknown) else 0


def _line(entry: Recorded, found: Rebuild) -> str:
    document: dict[str, Any] = {**vars(entry.place), "same": found.same}
    if not found.same:
        document |= DifferingRecord(entry.place, found).as_dict()
    return json.dumps(document) + "\n"


def _print_json(rebuilt: RebuildSummary, name: str, options: ReplayOptions) -> None:
    print_json(
        {
            "mode": options.mode,
            "source": name,
            "selection": options.text,
            "results": None if options.out is None else str(options.out),
            "records": rebuilt.records,
            "prompts_same": rebuilt.prompts,
            "decisions_same": rebuilt.decisions,
            "differing": [found.as_dict() for found in rebuilt.differing],
            "causes": rebuilt.blame,
            "reproduction": rebuilt.reproduction.as_dict(),
            "per_s": round(rebuilt.per_s, 1),
            "per_core_s": round(rebuilt.per_core_s, 1),
            "rebuild_per_core_s": round(rebuilt.rebuild_per_core_s, 1),
        }
    )


def _print(rebuilt: RebuildSummary, name: str, options: ReplayOptions) -> None:
    out.print("[bold]mode[/]       rebuild: no model is asked")
    out.print(f"[bold]source[/]     {escape(name)}; selection {escape(options.text)}")
    out.print(
        f"[bold]rebuilt[/]    {rebuilt.records} records: {rebuilt.prompts} prompts the same byte for byte, "
        f"{rebuilt.decisions} answers with the same decision, grounding and verdict"
    )
    out.print(
        f"[bold]speed[/]      {rebuilt.per_s:,.0f} records/s including reading and digests; rebuilding alone "
        f"{rebuilt.rebuild_per_core_s:,.0f} records/s on one core"
    )
    altered = [found for found in rebuilt.differing if found.difference.tampered]
    for found in altered[:_MAX_ALTERED_SHOWN]:
        difference = found.difference
        out.print(
            f"[red]differs[/]    record {found.place.index}, by the [bold]{difference.by}[/]: {escape(difference.what)}"
        )
    if len(altered) > _MAX_ALTERED_SHOWN:
        out.print(f"           and {len(altered) - _MAX_ALTERED_SHOWN} more; --json or --out lists them all")
    for line in rebuilt.reproduction.lines():
        out.print(f"[yellow]other rules[/] {escape(line)}")
    for warning in rebuilt.reproduction.warnings():
        out.print(f"[yellow]warning:[/] {escape(warning)}")
    if rebuilt.differing:
        out.print(f"[bold]next[/]       {escape(_next_step(options.where, rebuilt.differing[0].place))}")
    else:
        out.print("[green]the same[/]   nothing differs.")
    if options.out is not None:
        out.print(f"[bold]written[/]    {escape(str(options.out))}, one line for each record")


def _next_step(where: str | None, place: Place) -> str:
    address = f"{place.partition}:{place.index}" if place.partition else str(place.index)
    if where is None:
        return f"`llmctx show {address}` prints the record, `llmctx verify` checks the whole trail"
    if Path(where).is_dir():
        return f"`llmctx verify {where}` checks the whole export"
    return f"compare the file with the one in version control, or with the trail: `llmctx show {address}`"
