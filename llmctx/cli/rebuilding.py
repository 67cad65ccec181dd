"""Replay without a model: recorded decisions rebuilt from their evidence."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmctx.cli.output import escape, out, print_json
from llmctx.cli.progress import progress
from llmctx.cli.sources import no_match, source_of
from llmctx.replay.corpus import Recorded
from llmctx.replay.difference import Rebuild
from llmctx.replay.place import REBUILD, REBUILD_FORMAT, writing
from llmctx.replay.rebuilding import Differing, Rebuilt, rebuild_all
from llmctx.replay.source import select
from llmctx.rules import code
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.cli.replay import Asked


async def rebuild(settings: Settings, asked: "Asked") -> int:
    """Rebuild, and tell what came of it; 1 where the evidence was altered, or where rules are unknown and --strict."""
    with ExitStack() as stack:
        async with source_of(settings, asked.where) as source:
            total = await source.count(asked.selection)
            advance = stack.enter_context(progress("rebuilding", total, quiet=asked.as_json))
            file = None
            if asked.out is not None:
                file = stack.enter_context(writing(asked.out, "--out", REBUILD, [asked.where]))
                file.write(_header(source.name, asked))

            def told(entry: Recorded, found: Rebuild) -> None:
                advance()
                if file is not None:
                    file.write(_line(entry, found))

            rebuilt = await rebuild_all(select(source, asked.selection), source.blobs, told)
            if not rebuilt.records:
                raise no_match(asked.text, source, asked.where)
            name = source.name
    _tell_rebuilt(rebuilt, name, asked)
    return 1 if rebuilt.tampered or (asked.strict and rebuilt.reproduction.unknown) else 0


def _header(name: str, asked: "Asked") -> str:
    return json.dumps({"format": REBUILD_FORMAT, "source": name, "selection": asked.text, "code": code()}) + "\n"


def _line(entry: Recorded, found: Rebuild) -> str:
    origin, partition, index = entry.place
    document: dict[str, Any] = {"origin": origin, "partition": partition, "index": index, "same": found.same}
    if not found.same:
        document |= Differing(entry.place, found).as_dict()
    return json.dumps(document) + "\n"


def _tell_rebuilt(rebuilt: Rebuilt, name: str, asked: "Asked") -> None:
    if asked.as_json:
        print_json(
            {
                "mode": asked.mode,
                "source": name,
                "selection": asked.text,
                "results": None if asked.out is None else str(asked.out),
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
        return
    out.print("[bold]mode[/]       rebuild: no model is asked")
    out.print(f"[bold]source[/]     {escape(name)}; selection {escape(asked.text)}")
    out.print(
        f"[bold]rebuilt[/]    {rebuilt.records} records: {rebuilt.prompts} prompts the same byte for byte, "
        f"{rebuilt.decisions} answers with the same decision and verdict"
    )
    out.print(
        f"[bold]speed[/]      {rebuilt.per_s:,.0f} records a second with reading and digests; rebuilding alone "
        f"{rebuilt.rebuild_per_core_s:,.0f} a second of one core"
    )
    altered = [found for found in rebuilt.differing if found.difference.tampered]
    for found in altered[:20]:
        difference = found.difference
        out.print(
            f"[red]differs[/]    record {found.place[2]}, by the [bold]{difference.by}[/]: {escape(difference.what)}"
        )
    if len(altered) > 20:  # noqa: PLR2004  a screen is enough
        out.print(f"           and {len(altered) - 20} more; --json or --out lists them all")
    for line in rebuilt.reproduction.lines():
        out.print(f"[yellow]other rules[/] {escape(line)}")
    for warning in rebuilt.reproduction.warnings():
        out.print(f"[yellow]warning:[/] {escape(warning)}")
    if rebuilt.differing:
        out.print(f"[bold]next[/]       {escape(_next_step(asked.where, rebuilt.differing[0].place))}")
    else:
        out.print("[green]the same[/]   nothing differs.")
    if asked.out is not None:
        out.print(f"[bold]written[/]    {escape(str(asked.out))}, a line for each record")


def _next_step(where: Path | None, place: tuple[str, int, int]) -> str:
    """Where to look at a record that differs."""
    _, partition, index = place
    if where is None:
        return (
            f"`llmctx show {f'{partition}:' if partition else ''}{index}` prints a record, `llmctx verify` checks all"
        )
    if where.is_dir():
        return f"`llmctx verify {where}` checks the whole export"
    return "compare the file with the one in version control, or with the trail: `llmctx show INDEX`"
