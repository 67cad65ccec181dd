"""`llmctx restore`: a backup put back."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmctx import clock
from llmctx.cli.shared.long_running import beginning, end_on_sigterm
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, messages, out, print_json
from llmctx.cli.shared.setup import redis_of, settings_for
from llmctx.errors import LlmctxError
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.ops.backup.manifest import Backup
    from llmctx.ops.backup.restore import Restored


def restore(
    place: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="A backup, or the folder or address that collects backups, for its newest."
        ),
    ],
    over: Annotated[bool, typer.Option("--over", help="Replace what the server has. It is lost.")] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into a server, and refill what came later.

    The server loads the snapshot in one step, as a replica would. Missing files of the state directory are restored; an
    existing anchor or spool is newer than the backup and is kept. Records newer than the snapshot are refilled from the
    spool, and the result is verified. Exit code 1: the result is altered, or records are missing; the output names
    them.

    Stop every worker first. Live keys are as old as the snapshot.

    \b
    llmctx restore /mnt/backups
    llmctx restore s3://backups/prod
    llmctx restore /mnt/backups --redis-url embedded:./restored
    llmctx restore /mnt/backups/2026-03-02T15-00-00.000Z --redis-url redis://127.0.0.1:6390/0
    """
    from llmctx.ops.backup.store import open_store

    end_on_sigterm()
    settings = settings_for(redis_url, state_dir)
    where, backup = open_store(place).newest()
    restored = asyncio.run(_restore(settings, backup, over=over, quiet=as_json))
    found = _document(where, backup, restored)
    if as_json:
        print_json(found)
    else:
        _print(found)
    raise typer.Exit(0 if found["verdict"] == "restored" else 1)


async def _restore(settings: Settings, backup: "Backup", *, over: bool, quiet: bool) -> "Restored":
    from llmctx.ops.backup.restore import restore as restore_backup
    from llmctx.trail.proof.key import key_file

    if "+sentinel:" in settings.redis_url:
        raise LlmctxError(
            "A backup cannot be restored through Sentinels: the server is a replica of this command meanwhile.",
            "Restore it into one server, which no Sentinel watches; then let the others replicate it.",
        )
    async with redis_of(settings, makes_folder=True) as (redis, _):
        with beginning(quiet=quiet) as begin:
            restored = await restore_backup(backup, redis, settings.state_dir, over=over, begin=begin)
    if not (private := key_file(settings.state_dir, backup.manifest.instance)).exists():
        messages.warning(
            f"the notary's private key {private} is missing, and no backup holds it. Put it back before `llmctx run` "
            "or `llmctx notary`, which would make another one that nobody trusts"
        )
    return restored


def _document(where: str, backup: "Backup", restored: "Restored") -> dict[str, Any]:
    parts = [
        {
            "partition": part.partition,
            "records": part.records,
            "refilled": part.refilled,
            "missing": part.missing,
            "fault": part.fault,
        }
        for part in restored.partitions
    ]
    verdict = "restored"
    if any(part["missing"] for part in parts):
        verdict = "incomplete"
    if any(part["fault"] for part in parts):
        verdict = "failed"
    return {
        "backup": where,
        "made": clock.iso(backup.manifest.made_ms),
        "verdict": verdict,
        "replaced_keys": restored.replaced_keys,
        "state_files": len(restored.state_files),
        "erased_again": restored.erased_again,
        "partitions": parts,
    }


def _print(found: dict[str, Any]) -> None:
    out.print(f"{escape(found['backup'])}, made at {found['made']}; {found['state_files']} files put back")
    if found["replaced_keys"]:
        out.print(f"replaced {found['replaced_keys']:,} keys")
    if found["erased_again"]:
        out.print(f"erased {found['erased_again']} names again, which were erased after the backup was made")
    for part in found["partitions"]:
        out.print(
            f"partition {part['partition']}: {part['records']:,} records, {part['refilled']:,} of them from the spool"
        )
        if part["missing"]:
            first, last = part["missing"]
            out.print(
                f"[yellow]missing[/]  records {first} to {last}: the anchor has their leaf hashes, but neither backup "
                "nor spool holds them. Try a newer backup; otherwise `llmctx run` will name the loss in an incident"
            )
        if part["fault"]:
            out.print(f"[red]FAILED[/]  {escape(part['fault'])}")
    if found["verdict"] == "restored":
        out.print(
            "[green]restored[/]  and verified. Positions are as old as the snapshot or their last write: let your"
        )
        out.print("execution side rewrite them before `llmctx run`.")
