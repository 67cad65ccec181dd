"""`llmctx export`: the trail for an auditor."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx.cli.shared.long_running import progress
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import messages, out, print_json
from llmctx.cli.shared.setup import open_trail, settings_for
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.trail.export.writer import Exported

_MAX_SHOWN = 20


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.")],
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Export the trail to a folder that an auditor can check alone.

    It holds leaves, evidence, checkpoints, prompt templates and the public key, in files that audit/README.md specifies
    byte by byte. Records that no checkpoint covers yet are left out, with a warning; if the notary's private key is in
    the state directory, they are covered first. Archived records are read from the archive (LLMCTX_ARCHIVE).

    \b
    llmctx export ./export
    """
    parts = asyncio.run(_export(settings_for(redis_url, state_dir), directory, quiet=as_json))
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


async def _export(settings: Settings, directory: Path, *, quiet: bool) -> "list[Exported]":
    from llmctx.trail.export.writer import Exporter
    from llmctx.trail.proof.notary_service import cover_and_read_key
    from llmctx.trail.source.joined import trail_source

    parts = []
    async with open_trail(settings) as (redis, instance):
        key = await cover_and_read_key(redis, instance, settings.state_dir)
        source = await trail_source(redis, instance, settings.archive, whole=True)
        exporter = Exporter(directory, instance, settings.state_dir, key)
        exporter.open()
        for part in source.parts:
            with progress(f"partition {part.partition}", await part.size(), quiet=quiet) as advance:
                parts.append(await exporter.write(part, advance))
    exporter.close(parts)
    return parts
