"""`llmctx cleanup`: what live data leaves behind."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx.cli.shared.long_running import progress
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, out, plain_table, print_json
from llmctx.cli.shared.setup import partitions_of, redis_of, settings_for
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.ops.cleanup.run import CleanupStep

_SAYS = {
    "expire": "live keys without a TTL, which got one",
    "closed_positions": "monitoring and signals of closed positions",
    "stale_lists": "stale rankings, screened symbols and headlines",
    "streams": "entries of streams that were too long",
    "consumers": "consumers idle for a week with nothing pending",
    "replays": "results of old replays in the state directory",
}


def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be done, and change nothing.")] = False,
    replays_days: Annotated[
        int,
        typer.Option("--keep-replays", help="Keep the results of replays for N days after their last write.", min=0),
    ] = 30,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Clean up what live data leaves behind, never the trail.

    It touches no position either. Keys that should expire but do not get the TTL of their family (`llmctx schema`).
    Monitoring and signals of closed positions, stale lists, entries beyond a stream's maximum, dead consumers and old
    replays are removed. Workers, feeds and collectors may run meanwhile: a key that changes in between is left alone.

    \b
    llmctx cleanup --dry-run
    llmctx cleanup --json
    """
    settings = settings_for(redis_url, state_dir)
    steps = asyncio.run(clean_up_keys(settings, replays_days, apply=not dry_run, quiet=as_json))
    if as_json:
        for step in steps:
            print_json(step._asdict() | {"dry_run": dry_run})
    else:
        _print(steps, dry_run=dry_run)


async def clean_up_keys(settings: Settings, replays_days: int, *, apply: bool, quiet: bool) -> "list[CleanupStep]":
    """Take every step of a cleanup; returns what each did."""
    from llmctx.ops.cleanup.run import STEPS, clean_up

    done = []
    async with redis_of(settings) as (redis, _):
        partitions = await partitions_of(redis, settings)
        with progress("cleaning up", len(STEPS), quiet=quiet) as advance:
            async for step in clean_up(
                redis,
                partitions,
                settings.state_dir,
                apply=apply,
                replays_kept_days=replays_days,
                read_only=frozenset(settings.sections),
            ):
                done.append(step)
                advance()
    return done


def _print(steps: "list[CleanupStep]", *, dry_run: bool) -> None:
    table = plain_table("what", right=("keys", "items", "bytes"))
    for step in steps:
        table.add_row(_SAYS[step.step], f"{step.keys:,}", f"{step.items:,}", f"{step.bytes:,}")
    out.print(table)
    for step in steps:
        for name in step.names:
            out.print(f"[dim]{step.step}[/]  {escape(name)}")
    if dry_run:
        out.print("Nothing was changed. Without --dry-run this is done.")
