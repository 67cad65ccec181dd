"""`llmctx export`: the trail for an auditor."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx.cli.shared.long_running import progress
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import messages, out, print_json
from llmctx.cli.shared.setup import open_trail, settings_for
from llmctx.cli.shared.sources import copy_in
from llmctx.settings import Settings
from llmctx.trail.log.people import Rows, rows_beside

if TYPE_CHECKING:
    from llmctx.trail.export.writer import Exported

_MAX_SHOWN = 20


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.")],
    where: Annotated[
        str | None,
        typer.Option("--from", metavar="PATH", help="Export what this archive or export holds, without Redis."),
    ] = None,
    people: Annotated[
        bool,
        typer.Option("--people/--without-people", help="Export the names of the people whom the records name by id."),
    ] = True,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Export the trail to a folder that an auditor can check alone.

    It holds leaves, evidence, checkpoints, prompt templates and the public key, in files that audit/README.md specifies
    byte by byte. Records that no checkpoint covers yet are left out, with a warning; if the notary's private key is in
    the state directory, they are covered first. The export includes the names of the people in its records, unless
    --without-people is given. Archived records are read from the archive (LLMCTX_ARCHIVE).

    \b
    llmctx export ./export
    llmctx export ./export --from s3://trails/prod
    """
    from llmctx.trail.export.writer import export_errors

    settings = settings_for(redis_url, state_dir)
    with export_errors(directory):
        if where is None:
            parts = asyncio.run(_export(settings, directory, people=people, quiet=as_json))
        else:
            rows = rows_beside(where, settings.state_dir) if people else {}
            parts = asyncio.run(_export_copy(where, directory, rows, quiet=as_json))
    for part in parts:
        if as_json:
            print_json(part._asdict())
            continue
        lost = f", {part.lost} of them lost" if part.lost else ""
        out.print(f"partition {part.partition}: {part.size} records{lost} in {directory / str(part.partition)}")
        if part.unreadable:
            indices = ", ".join(map(str, part.unreadable[:_MAX_SHOWN]))
            messages.warning(
                f"{len(part.unreadable)} records of partition {part.partition} cannot be read: {indices}; "
                "the export holds their bytes, and verification names them"
            )
        if part.uncovered:
            text = f"{part.uncovered} records of partition {part.partition} are not covered yet and were left out"
            messages.warning(text)


async def _export(settings: Settings, directory: Path, *, people: bool, quiet: bool) -> "list[Exported]":
    from llmctx.trail.export.writer import Exporter, Proven
    from llmctx.trail.log.people import NameTable
    from llmctx.trail.proof.anchor import Anchor, anchor_directory
    from llmctx.trail.proof.checkpoint import key_name_of
    from llmctx.trail.proof.notary_service import cover_and_read_key
    from llmctx.trail.source.copies import erasures_in
    from llmctx.trail.source.joined import JoinedRecords, trail_source

    parts = []
    async with open_trail(settings) as (redis, instance):
        key = await cover_and_read_key(redis, instance, settings.state_dir)
        source = await trail_source(redis, instance, settings.archive, whole=True)
        is_joined = any(isinstance(part, JoinedRecords) for part in source.parts)
        erasures = erasures_in(settings.archive) if is_joined and settings.archive is not None else {}
        rows = await NameTable(redis, settings.state_dir).rows() if people else {}
        exporter = Exporter(directory, key_name_of(instance.id), key, rows)
        exporter.open()
        for part in source.parts:
            proven = Proven.by(Anchor(anchor_directory(settings.state_dir, instance.id, part.partition)))
            proven = proven._replace(erasures=erasures.get(part.partition, ()))
            with progress(f"partition {part.partition}", await part.size(), quiet=quiet) as advance:
                parts.append(await exporter.write(part, proven, advance))
    exporter.close()
    return parts


async def _export_copy(where: str, directory: Path, people: Rows, *, quiet: bool) -> "list[Exported]":
    """Write what a copy holds as an export."""
    from llmctx.trail.export.writer import Exporter
    from llmctx.trail.source.copies import copied_parts, open_copy
    from llmctx.trail.source.source import source_errors

    parts = []
    with source_errors(where):
        copy = open_copy(copy_in(where, "export"))
        exporter = Exporter(directory, copy.origin, copy.key, people)
        exporter.open()
        for part in copied_parts(copy):
            with progress(f"partition {part.partition}", await part.size(), quiet=quiet) as advance:
                parts.append(await exporter.write(part, part.proven(), advance))
        exporter.close()
    return parts
