"""Where records come from, and which of them a command is about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.shared.options import TIME_FORMS
from llmctx.cli.shared.setup import open_trail
from llmctx.errors import CorpusError, ExportError
from llmctx.replay.recordings import Recordings
from llmctx.replay.selection import Selection, parse_selection, with_absolute_times
from llmctx.settings import Settings
from llmctx.trail.log.people import rows_beside, show_people
from llmctx.trail.source.copies import copy_source, is_copy
from llmctx.trail.source.joined import trail_source
from llmctx.trail.source.source import Source

Selected = Annotated[
    str,
    typer.Argument(
        metavar="SELECTION",
        help="Terms separated by commas: all, 40-80, symbol=ACME, action=reduce, guard=confidence_floor, kind=failed, "
        f"limit=20 (the first 20 that match), since=TIME, until=TIME of the package: {TIME_FORMS}.",
    ),
]


def selection_of(text: str, **terms: str | int | None) -> tuple[str, Selection]:
    """The selection as text and as a value; `terms` are options that add to it.

    Raises CorpusError if a term is unknown or given twice.
    """
    given = [f"{name}={value}" for name, value in terms.items() if value is not None]
    whole = ",".join(part for part in (text if text != "all" or not given else "", *given) if part)
    return with_absolute_times(whole), parse_selection(with_absolute_times(whole))


def no_match(text: str, recordings: Recordings, where: str | None) -> CorpusError:
    """The error for a selection that matches nothing, or only erased records."""
    if recordings.erased:
        return CorpusError(
            f"The evidence of every record of {recordings.name} that {text or 'all'} matches was erased by rule.",
            "`llmctx show N` prints what is left of a record; select newer ones.",
        )
    return CorpusError(f"The selection {text or 'all'} matches no record of {recordings.name}.", listing_hint(where))


def listing_hint(where: str | None) -> str:
    """How to see the contents of a source."""
    return f"`llmctx decisions{'' if where is None else f' --from {where}'}` lists the records."


@asynccontextmanager
async def source_of(settings: Settings, where: str | None) -> AsyncIterator[Source]:
    """The source named by --from, or the trail in Redis.

    Raises CorpusError or TrailError if it cannot be read.
    """
    if where is not None:
        show_people(rows_beside(where, settings.state_dir))
        yield _in_files(where)
        return
    async with open_trail(settings) as (redis, instance):
        yield await trail_source(redis, instance, settings.archive)


@asynccontextmanager
async def recordings_of(settings: Settings, where: str | None) -> AsyncIterator[Recordings]:
    """The recorded decisions of the source that `source_of` opens."""
    async with source_of(settings, where) as source:
        yield Recordings(source)


def copy_in(where: str, command: str) -> str:
    """The copy that --from names, for a command that needs checkpoints.

    Raises ExportError if it is not there, or has none.
    """
    if "://" not in where and not Path(where).exists():
        raise ExportError(f"There is no {where}.", "Check the path given to --from.")
    if not is_copy(where):
        raise ExportError(
            f"{where} is neither an export nor an archive, so `llmctx {command}` finds no checkpoints there.",
            "Name what `llmctx export` or `llmctx archive` made; `llmctx replay` checks the evidence in a corpus.",
        )
    return where


def _in_files(where: str) -> Source:
    if is_copy(where):
        return copy_source(where)
    from llmctx.replay.corpus_source import corpus_source

    return corpus_source(Path(where))
