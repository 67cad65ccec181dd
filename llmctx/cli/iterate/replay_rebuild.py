"""`llmctx replay` without a model: recorded decisions rebuilt from their evidence."""

import json
from contextlib import ExitStack
from pathlib import Path

from llmctx.cli.iterate.replay_request import ReplayRequest
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.progress import progress
from llmctx.cli.shared.sources import no_match, source_of
from llmctx.record import CODE
from llmctx.replay.corpus import Recorded
from llmctx.replay.place import REBUILD, REBUILD_FORMAT, writing
from llmctx.replay.rebuilding import Differing, Rebuilt, rebuild_all
from llmctx.replay.rerun import Difference
from llmctx.replay.source import select
from llmctx.settings import Settings

_MAX_DIFFERING_SHOWN = 20


async def rebuild(settings: Settings, request: ReplayRequest) -> int:
    """Rebuild the records, print the result, and return the exit code: 1 if evidence was altered."""
    with ExitStack() as stack:
        async with source_of(settings, request.where) as source:
            total = await source.count(request.selection)
            advance = stack.enter_context(progress("rebuilding", total, quiet=request.as_json))
            file = None
            if request.out is not None:
                file = stack.enter_context(writing(request.out, "--out", REBUILD, [request.where]))
                file.write(_header(source.name, request))

            def on_record(entry: Recorded, difference: Difference | None) -> None:
                advance()
                if file is not None:
                    file.write(_line(entry, difference))

            rebuilt = await rebuild_all(select(source, request.selection), source.blobs, on_record)
            if not rebuilt.records:
                raise no_match(request.text, source, request.where)
    if request.as_json:
        _print_json(rebuilt, source.name, request)
    else:
        _print(rebuilt, source.name, request)
    return 1 if rebuilt.tampered else 0


def _header(name: str, request: ReplayRequest) -> str:
    return json.dumps({"format": REBUILD_FORMAT, "source": name, "selection": request.text, "code": CODE}) + "\n"


def _line(entry: Recorded, difference: Difference | None) -> str:
    origin, partition, index = entry.place
    document = {"origin": origin, "partition": partition, "index": index, "same": difference is None}
    if difference is not None:
        document |= Differing(entry.place, difference).as_dict()
    return json.dumps(document) + "\n"


def _print_json(rebuilt: Rebuilt, name: str, request: ReplayRequest) -> None:
    print_json(
        {
            "mode": request.mode,
            "source": name,
            "selection": request.text,
            "results": None if request.out is None else str(request.out),
            "records": rebuilt.records,
            "prompts_same": rebuilt.prompts,
            "decisions_same": rebuilt.decisions,
            "differing": [found.as_dict() for found in rebuilt.differing],
            "causes": rebuilt.blame,
            "per_s": round(rebuilt.per_s, 1),
            "per_core_s": round(rebuilt.per_core_s, 1),
            "rebuild_per_core_s": round(rebuilt.rebuild_per_core_s, 1),
        }
    )


def _print(rebuilt: Rebuilt, name: str, request: ReplayRequest) -> None:
    out.print("[bold]mode[/]       rebuild: no model is asked")
    out.print(f"[bold]source[/]     {escape(name)}; selection {escape(request.text)}")
    out.print(
        f"[bold]rebuilt[/]    {rebuilt.records} records: {rebuilt.prompts} prompts the same byte for byte, "
        f"{rebuilt.decisions} answers with the same decision and verdict"
    )
    out.print(
        f"[bold]speed[/]      {rebuilt.per_s:,.0f} records/s including reading and digests; rebuilding alone "
        f"{rebuilt.rebuild_per_core_s:,.0f} records/s on one core"
    )
    for found in rebuilt.differing[:_MAX_DIFFERING_SHOWN]:
        difference = found.difference
        out.print(
            f"[red]differs[/]    record {found.place[2]}, by the [bold]{difference.by}[/]: {escape(difference.cause)}"
            + ("" if difference.tampered else " (not reproducible by this version)")
        )
    if len(rebuilt.differing) > _MAX_DIFFERING_SHOWN:
        more = len(rebuilt.differing) - _MAX_DIFFERING_SHOWN
        out.print(f"           and {more} more; --json or --out lists them all")
    if rebuilt.differing:
        out.print(f"[bold]next[/]       {escape(_next_step(request.where, rebuilt.differing[0].place))}")
    else:
        out.print("[green]the same[/]   nothing differs.")
    if request.out is not None:
        out.print(f"[bold]written[/]    {escape(str(request.out))}, one line for each record")


def _next_step(where: Path | None, place: tuple[str, int, int]) -> str:
    _, partition, index = place
    if where is None:
        address = f"{partition}:{index}" if partition else f"{index}"
        return f"`llmctx show {address}` prints the record, `llmctx verify` checks the whole trail"
    if where.is_dir():
        return f"`llmctx verify {where}` checks the whole export"
    return "compare the file with the one in version control, or with the trail: `llmctx show INDEX`"
