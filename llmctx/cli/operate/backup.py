"""`llmctx backup`: a proven copy of the server and the state directory."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmctx.cli.shared.alerting import alerting
from llmctx.cli.shared.long_running import beginning, end_on_sigterm
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, messages, out, print_json
from llmctx.cli.shared.setup import EMBEDDED, redis_of, settings_for
from llmctx.errors import LlmctxError, in_short
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.ops.backup.make import Made

_log = logging.getLogger(__name__)


def backup(
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="URL", help="What collects backups: a folder, or s3://, gs:// or az:// with a bucket."
        ),
    ] = "backups",
    daily: Annotated[
        int | None, typer.Option("--keep-daily", help="Keep the newest backup of each of the last N days.", min=0)
    ] = None,
    weekly: Annotated[
        int | None, typer.Option("--keep-weekly", help="Keep the newest backup of each of the last N weeks.", min=0)
    ] = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Back up server and state directory, and prove the copy.

    It holds a snapshot of the whole server, the instance file, anchor, spool and public key, compressed, with sizes and
    digests. The private key is not in it. Before a backup counts, it is restored into an embedded server and verified.
    Exit code 1: the proof failed; the backup is kept under a name that ends with .bad, and no older one is removed.

    Without --keep-daily and --keep-weekly no older backup is removed; the newest good one always stays.

    \b
    llmctx backup --to /mnt/backups --keep-daily 7 --keep-weekly 8
    llmctx backup --to s3://backups/prod --keep-daily 7
    """
    end_on_sigterm()
    settings = settings_for(redis_url, state_dir)
    found = asyncio.run(watched(settings, back_up(settings, to, daily, weekly, quiet=as_json)))
    if as_json:
        print_json(found)
    else:
        _print(found)
    raise typer.Exit(0 if found["fault"] is None else 1)


async def watched(settings: Settings, backing_up: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """What the backup ends with; whoever receives alerts is told if it failed."""
    async with alerting(settings, "") as is_told:
        try:
            found = await backing_up
        except Exception as error:
            if is_told:
                why = error.what if isinstance(error, LlmctxError) else in_short(error)
                _log.error(f"The backup failed: {why}", extra={"alert": "backup"})
            raise
        if found["fault"] is not None and is_told:
            _log.error(f"The backup {found['backup']} is bad: {found['fault']}", extra={"alert": "backup"})
        return found


async def back_up(settings: Settings, to: str, daily: int | None, weekly: int | None, *, quiet: bool) -> dict[str, Any]:
    """Make a backup and rotate out older ones, if it is good; returns what `--json` prints."""
    from llmctx.connection import check, primary_url
    from llmctx.ops.backup.make import make_backup
    from llmctx.ops.backup.store import open_store
    from llmctx.trail.log.instance import check_state_instance, require_instance

    store = open_store(to, settings.state_dir)
    if not settings.redis_url.startswith(EMBEDDED):  # one server's snapshot, whoever is the primary later
        settings = settings.model_copy(update={"redis_url": await primary_url(settings.redis_url)})
    async with redis_of(settings) as (redis, url):
        instance = await require_instance(redis)
        if check_state_instance(settings.state_dir, instance) is None:
            messages.warning(
                f"{settings.state_dir} is not a state directory of this trail, so only the server is backed up"
            )
        server = await check(redis, url)
        with store.draft() as directory:
            with beginning(quiet=quiet) as begin:
                made = await make_backup(redis, server, instance, settings.state_dir, directory, begin=begin)
            found = _document(made, await asyncio.to_thread(store.keep, made.backup))
    removed = []
    if made.fault is None and (daily is not None or weekly is not None):
        removed = await asyncio.to_thread(store.rotate, instance.id, daily or 0, weekly or 0)
    return found | {"removed": removed}


def _document(made: "Made", where: str) -> dict[str, Any]:
    manifest = made.backup.manifest
    return {
        "backup": where,
        "verdict": "good" if made.fault is None else "bad",
        "fault": made.fault,
        "instance": manifest.instance,
        "records": [part.records for part in made.partitions],
        "from_spool": [part.refilled for part in made.partitions],
        "method": made.method,
        "size_bytes": sum(file.size_bytes for file in manifest.files),
        "stored_bytes": made.backup.stored_bytes,
    }


def _print(found: dict[str, Any]) -> None:
    for folder in found["removed"]:
        out.print(f"removed {escape(folder)}")
    sizes = f"{found['stored_bytes']:,} bytes, {found['size_bytes']:,} uncompressed"
    out.print(f"{escape(found['backup'])}: {sizes}, snapshot by {found['method']}")
    if found["fault"] is not None:
        out.print(f"[red]BAD[/]  {escape(found['fault'])}")
        return
    records = ", ".join(f"{count:,}" for count in found["records"])
    out.print(f"[green]good[/]  restored into an embedded server and verified: {records} records.")
