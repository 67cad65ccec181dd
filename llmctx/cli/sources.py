"""Where recorded decisions come from on the command line, and which of them are meant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.look import read_existing_instance
from llmctx.cli.setup import redis_of
from llmctx.errors import CorpusError
from llmctx.replay.selection import Selection, parse_selection, with_absolute_times
from llmctx.replay.source import CorpusSource, ExportSource, LogSource, Source
from llmctx.settings import Settings

Selected = Annotated[
    str,
    typer.Argument(
        metavar="SELECTION",
        help="Terms with commas between: all, 40-80, symbol=ACME, action=reduce, guard=confidence_floor, kind=failed, "
        "since=2026-03-02T14:30:00Z, since=2h, until=..., limit=20 (the first that match).",
    ),
]
From = Annotated[
    Path | None,
    typer.Option("--from", help="An export (folder) or a corpus (file); the trail in Redis otherwise."),
]
Symbol = Annotated[str | None, typer.Option(help="The same as symbol=... in SELECTION.")]
Action = Annotated[str | None, typer.Option(help="The same as action=..., the verdict's.")]
Guard = Annotated[str | None, typer.Option(help="The same as guard=..., one that fired.")]
Since = Annotated[
    str | None, typer.Option(help="The same as since=..., by the time of the package: 15m, 2h, 1d ago, or a time.")
]
Until = Annotated[str | None, typer.Option(help="The same as until=...")]
Limit = Annotated[int | None, typer.Option(help="The same as limit=...", min=1)]


def selection_of(text: str, **terms: str | int | None) -> tuple[str, Selection]:
    """The selection as text and as value, with the options that were given among its terms.

    Raises CorpusError for a term that is none, or stands twice.
    """
    given = [f"{name}={value}" for name, value in terms.items() if value is not None]
    whole = ",".join(part for part in (text if text != "all" or not given else "", *given) if part)
    return with_absolute_times(whole), parse_selection(with_absolute_times(whole))


def no_match(text: str, source: Source, where: Path | None) -> CorpusError:
    """What to say of a selection in which nothing is."""
    return CorpusError(f"The selection {text or 'all'} matches no record of {source.name}.", listing_of(where))


def listing_of(where: Path | None) -> str:
    """How to see what a source has."""
    if where is None:
        return "`llmctx decisions` lists what there is."
    if where.is_dir():
        return f"Without a selection all is taken that {where} has."
    return f"`llmctx corpus list {where}` lists what there is."


@asynccontextmanager
async def source_of(settings: Settings, where: Path | None) -> AsyncIterator[Source]:
    """The source that was named.

    Raises CorpusError, ExportError or TrailError where it cannot be read.
    """
    if where is not None:
        yield _in_files(where)
        return
    from llmctx.trail.log.log import Log
    from llmctx.trail.proof.checkpoint import key_name_of

    async with redis_of(settings) as (redis, _):
        instance = await read_existing_instance(redis)
        logs = [Log(redis, partition) for partition in range(instance.partitions)]
        yield LogSource(logs, key_name_of(instance.id))


def _in_files(where: Path) -> Source:
    return ExportSource(where) if where.is_dir() else CorpusSource(where)
