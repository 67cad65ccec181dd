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
from llmctx.trail.source.source import Source, log_source

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
    """The error for a selection that matches nothing."""
    return CorpusError(f"The selection {text or 'all'} matches no record of {recordings.name}.", listing_hint(where))


def listing_hint(where: str | None) -> str:
    """How to see what a source holds."""
    return f"`llmctx decisions{'' if where is None else f' --from {where}'}` lists the records."


@asynccontextmanager
async def source_of(settings: Settings, where: str | None) -> AsyncIterator[Source]:
    """The source named by --from, or the trail in Redis.

    Raises CorpusError, ExportError or TrailError if it cannot be read.
    """
    if where is not None:
        yield _in_files(Path(where))
        return
    async with open_trail(settings) as (redis, instance):
        yield log_source(redis, instance)


@asynccontextmanager
async def recordings_of(settings: Settings, where: str | None) -> AsyncIterator[Recordings]:
    """The recorded decisions of the source that `source_of` opens."""
    async with source_of(settings, where) as source:
        yield Recordings(source)


def export_in(where: str, command: str) -> Path:
    """The export named by --from, for a command that needs its checkpoints.

    Raises ExportError if it is something else.
    """
    if not Path(where).is_dir():
        raise ExportError(
            f"{where} is not an export, and nothing else has checkpoints: `llmctx {command}` cannot use it.",
            "Name a folder that `llmctx export` made. `llmctx replay --from FILE` checks the evidence in a corpus.",
        )
    return Path(where)


def _in_files(where: Path) -> Source:
    if where.is_dir():
        from llmctx.trail.export.records import export_source

        return export_source(where)
    from llmctx.replay.corpus_source import corpus_source

    return corpus_source(where)
