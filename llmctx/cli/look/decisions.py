"""`llmctx decisions`: the list of records."""

import asyncio
from typing import Annotated

import typer

from llmctx import clock
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import out, print_json
from llmctx.cli.shared.record_text import record_line
from llmctx.cli.shared.setup import open_trail, settings_for
from llmctx.errors import LlmctxError
from llmctx.replay.selection import moment_ms
from llmctx.settings import Settings
from llmctx.trail.log import unreadable
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.leaf_schema import KINDS
from llmctx.trail.log.log import Log
from llmctx.trail.log.lookup import Filter, follow, newest

_DEFAULT_LIMIT = 20


def decisions(
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="Only this kind: decision, skipped, failed, dead_letter, incident, notice, unreadable."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only records made since then: 15m, 2h or 1d ago, or an ISO 8601 time with a zone."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most the newest N. Default: 20; with --json or --since all.")
    ] = None,
    follow_new: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new records until Ctrl-C.")] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List recorded decisions, oldest first.

    All kinds of records are listed: decisions, failed and skipped ticks, incidents. With --json each line is one leaf
    with its index and address.

    \b
    llmctx decisions --symbol AAPL --limit 5
    llmctx decisions --since 15m --follow
    """
    if kind is not None and kind not in (*KINDS, unreadable.KIND):
        raise typer.BadParameter(f"--kind {kind}: give one of {', '.join((*KINDS, unreadable.KIND))}")
    if limit is None and not as_json and since is None:
        limit = _DEFAULT_LIMIT
    wanted = Filter(symbol, kind, None if since is None else _since_ms(since), limit)
    asyncio.run(_decisions(settings_for(redis_url, state_dir), wanted, follow_new=follow_new, as_json=as_json))


def _since_ms(text: str) -> int:
    try:
        return moment_ms(text)
    except ValueError as error:
        raise LlmctxError(f"--since {text}: {error}.", "Write 15m, 2h, 1d, or 2026-03-02T14:30:00Z.") from error


async def _decisions(settings: Settings, wanted: Filter, *, follow_new: bool, as_json: bool) -> None:
    async with open_trail(settings) as (redis, instance):
        logs = [Log(redis, partition) for partition in range(instance.partitions)]
        listing = await newest(logs, wanted)
        for entry in listing.entries:
            _print_line(entry, instance.partitions, as_json=as_json)
        if follow_new:
            async for entry in follow(logs, listing.sizes, wanted):
                _print_line(entry, instance.partitions, as_json=as_json)


def _print_line(entry: Entry, partitions: int, *, as_json: bool) -> None:
    where = address(entry.index, entry.partition, partitions)
    if as_json:
        print_json({"address": where, "index": entry.index, **entry.record})
        return
    at_ms = entry.record.get("as_of_ms", entry.record.get("recorded_at_ms"))
    at = f"{'unknown time':<24}" if at_ms is None else clock.iso(at_ms)
    out.print(f"[dim]{at}[/] {record_line(where, entry.record)}")
