"""`llmctx erase`: pieces of evidence whose retention has ended."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx.cli.shared.long_running import end_on_sigterm
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import messages, out, print_json
from llmctx.cli.shared.setup import open_existing_home, settings_for
from llmctx.errors import ArchiveError
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.ops.archive.erasing import ErasedSegment


def erase(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be erased, and change nothing.")] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Erase archived evidence whose retention has ended.

    The table [retention] of llmctx.toml says after how many days each piece is erased: snapshot_d, messages_d,
    completion_d, foreign_d; 0 keeps it forever. Each day's file in the archive (LLMCTX_ARCHIVE) is rewritten without
    these pieces, the trail gets a notice, and then the old file is deleted. Leaves stay, with the digests in them.
    `llmctx verify` and audit/verify.py say what was erased by rule. `llmctx hold` protects records from erasure.

    \b
    llmctx erase --dry-run
    LLMCTX_RETENTION__SNAPSHOT_D=400 LLMCTX_RETENTION__MESSAGES_D=400 llmctx erase
    """
    end_on_sigterm()
    found = asyncio.run(erase_due(settings_for(redis_url, state_dir), apply=not dry_run))
    for segment in found:
        if as_json:
            print_json(segment._asdict())
            continue
        what = f"{', '.join(segment.pieces)} of records {segment.first} to {segment.end - 1}"
        many = "would be erased" if segment.records is None else f"erased from {segment.records:,} records"
        out.print(f"partition {segment.partition}: {what} {many}")
    if any(segment.version_stays for segment in found):
        messages.warning(
            "the object store keeps versions: what was erased can be read there until a lifecycle rule removes what is "
            "no longer current, and no one can before an object lock ends"
        )
    if not found and not as_json:
        out.print("Nothing to erase: no piece in the archive is past its time.")


async def erase_due(settings: Settings, *, apply: bool) -> "list[ErasedSegment]":
    """Erase what is past its time; returns the segments that lost something.

    Raises ArchiveError if the archive is not named or cannot be used.
    """
    from llmctx.connection import server_ms
    from llmctx.ops.archive.erasing import Eraser
    from llmctx.trail.archive.place import open_place

    if settings.archive is None:
        raise ArchiveError("No archive is named.", "Name it with LLMCTX_ARCHIVE.")
    async with open_existing_home(settings) as home:
        eraser = Eraser(home, open_place(settings.archive), settings.retention)
        return [segment async for segment in eraser.run(await server_ms(home.redis), apply=apply)]
