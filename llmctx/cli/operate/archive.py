"""`llmctx archive`: old records out of Redis, into Parquet files that prove themselves."""

import asyncio
import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx import clock
from llmctx.cli.shared.long_running import beginning, end_on_sigterm
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir, option
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import open_existing_home, redis_of, settings_for
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.ops.archive.history import ArchivedHistory
    from llmctx.ops.archive.run import ArchivedSegment

_AGE = re.compile(r"(\d+)([smhd])")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_KEPT = 2000


def archive(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Archive what is older: 7d, 12h, 0d. Days are UTC days.")
    ] = "7d",
    keep: Annotated[
        int, typer.Option("--keep", help="Leave the newest N records of each partition in Redis.", min=0)
    ] = _KEPT,
    to: Annotated[
        str | None,
        option(
            "--to",
            metavar="URL",
            help="A folder, or s3://, gs:// or az:// with a bucket. Also LLMCTX_ARCHIVE. Default: ./archive.",
        ),
    ] = None,
    retain_until: Annotated[
        str | None,
        option(
            "--retain-until",
            metavar="DATE",
            help="Let S3 retain what is written until this UTC date, by object lock in COMPLIANCE mode. Default: "
            "retention.locked_d days from now.",
        ),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Archive live history too: bars, fills, closed positions, each day once.")
    ] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Move old records out of Redis into an archive.

    Each UTC day of a partition becomes one Parquet file, with everything that proves it. It is written under a new
    name, read back, compared with Redis, anchor and checkpoint, and noted in the trail. Only then is Redis trimmed.
    Records that no checkpoint covers stay, and so do those that a live position's next decision needs. The command may
    be killed and run again at any time. If a worker is running, it is asked to trim.

    Exit code 1: the file read back differs from the one written, or somebody changed the base of the log.

    \b
    llmctx archive --older-than 7d --to /mnt/archive
    llmctx archive --to s3://trails/prod --retain-until 2033-12-31
    """
    end_on_sigterm()
    settings = settings_for(redis_url, state_dir)
    to = to or settings.archive or "archive"
    retain_until_ms = locked_until(settings) if retain_until is None else _date_ms(retain_until)
    found = asyncio.run(archive_trail(settings, to, _age_ms(older_than), keep, retain_until_ms, quiet=as_json))
    files = asyncio.run(archive_live_history(settings, to, retain_until_ms)) if history else []
    if as_json:
        for file in files:
            print_json({"history": file.file, "rows": file.rows, "size_bytes": file.size_bytes, "to": to})
        for segment in found:
            print_json(segment._asdict() | {"to": to})
        return
    for segment in found:
        out.print(
            f"{escape(segment.file)}: records {segment.first} to {segment.end - 1} of partition {segment.partition}, "
            f"{segment.size_bytes:,} bytes; {segment.trimmed:,} trimmed from Redis"
        )
    for file in files:
        out.print(f"{escape(file.file)}: {file.rows:,} entries of live history, {file.size_bytes:,} bytes")
    if not found:
        out.print("Nothing to archive: no covered record is old enough.")


def _age_ms(text: str) -> int:
    match = _AGE.fullmatch(text)
    if match is None:
        raise typer.BadParameter("--older-than needs a number and s, m, h or d, such as 7d")
    return int(match[1]) * _UNIT_MS[match[2]]


def _date_ms(text: str) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("--retain-until needs a date, such as 2033-12-31") from error
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def locked_until(settings: Settings) -> int | None:
    """Until when what is archived now is retained by object lock; None without."""
    days = settings.retention.locked_d
    return clock.now_ms() + days * _UNIT_MS["d"] if days else None


async def archive_live_history(settings: Settings, to: str, retain_until_ms: int | None) -> "list[ArchivedHistory]":
    """Archive the complete days of live history; returns the new files."""
    from llmctx.ops.archive.history import archive_history
    from llmctx.trail.archive.place import open_place

    async with redis_of(settings) as (redis, _):
        return [file async for file in archive_history(redis, open_place(to, retain_until_ms))]


async def archive_trail(
    settings: Settings, to: str, older_than_ms: int, keep: int, retain_until_ms: int | None = None, *, quiet: bool
) -> "list[ArchivedSegment]":
    """Archive every partition; returns what was archived."""
    from llmctx.ops.archive.run import Archiver
    from llmctx.trail.archive.archived_range import ArchivedRange
    from llmctx.trail.archive.place import open_place
    from llmctx.trail.archive.segment import Trail
    from llmctx.trail.log.log import Log
    from llmctx.trail.proof.anchor import Anchor, anchor_directory
    from llmctx.trail.proof.key import key_file, load_key
    from llmctx.trail.proof.notary_service import cover_and_read_key
    from llmctx.trail.proof.rotation import key_chain
    from llmctx.worker.ask_owner import note_and_trim

    found = []
    async with open_existing_home(settings) as home:
        redis, instance, state_dir = home.redis, home.instance, home.state_dir
        key = await cover_and_read_key(redis, instance, state_dir)
        signing = load_key(state_dir, instance.id) if key_file(state_dir, instance.id).exists() else None
        place = open_place(to, retain_until_ms)

        async def trim(partition: int, archived: ArchivedRange) -> int:
            return await note_and_trim(home, partition, archived)

        with beginning(quiet=quiet) as begin:
            for partition in range(instance.partitions):
                anchor = Anchor(anchor_directory(state_dir, instance.id, partition))
                keys = key_chain(anchor.checkpoints(), key)
                trail = Trail(redis, Log(redis, partition), anchor, instance.id, instance.partitions, keys, signing)
                archiver = Archiver(trail, state_dir, place, home.writer, trim)
                found += [segment async for segment in archiver.run(older_than_ms, keep, begin)]
    return found
