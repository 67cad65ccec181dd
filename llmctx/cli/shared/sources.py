"""Where recorded decisions come from, and which of them a command is about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.shared.setup import open_trail
from llmctx.errors import CorpusError
from llmctx.replay.selection import Selection, parse_selection, with_absolute_times
from llmctx.replay.source import CorpusSource, ExportSource, LogSource, Source
from llmctx.settings import Settings

Selected = Annotated[
    str,
    typer.Argument(
        metavar="SELECTION",
        help="Terms separated by commas: all, 40-80, symbol=ACME, action=reduce, guard=confidence_floor, kind=failed, "
        "since=2026-03-02T14:30:00Z, since=2h, until=..., limit=20 (the first 20 that match).",
    ),
]
From = Annotated[
    Path | None, typer.Option("--from", help="Read an export (folder) or a corpus (file). Default: the trail in Redis.")
]


def selection_of(text: str, **terms: str | int | None) -> tuple[str, Selection]:
    """The selection as text and as a value; `terms` are options that add to it.

    Raises CorpusError if a term is unknown or given twice.
    """
    given = [f"{name}={value}" for name, value in terms.items() if value is not None]
    whole = ",".join(part for part in (text if text != "all" or not given else "", *given) if part)
    return with_absolute_times(whole), parse_selection(with_absolute_times(whole))


def no_match(text: str, source: Source, where: Path | None) -> CorpusError:
    """The error for a selection that matches nothing."""
    return CorpusError(f"The selection {text or 'all'} matches no record of {source.name}.", listing_hint(where))


def listing_hint(where: Path | None) -> str:
    """How to see what a source holds."""
    if where is None:
        return "`llmctx decisions` lists the records."
    if where.is_dir():
        return f"Leave the selection out to take every record of {where}."
    return f"`llmctx corpus list {where}` lists the records."


@asynccontextmanager
async def source_of(settings: Settings, where: Path | None) -> AsyncIterator[Source]:
    """The source named by --from, or the trail in Redis.

    Raises CorpusError, ExportError or TrailError if it cannot be read.
    """
    if where is not None:
        yield _in_files(where)
        return
    from llmctx.trail.log.log import Log
    from llmctx.trail.proof.checkpoint import key_name_of

    async with open_trail(settings) as (redis, instance):
        logs = [Log(redis, partition) for partition in range(instance.partitions)]
        yield LogSource(logs, key_name_of(instance.id))


def _in_files(where: Path) -> Source:
    return ExportSource(where) if where.is_dir() else CorpusSource(where)
