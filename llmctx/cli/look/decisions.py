"""`llmctx decisions`: the list of records."""

import asyncio
from typing import Annotated, NamedTuple

import typer

from llmctx import clock
from llmctx.cli.shared.options import TIME_FORMS, AsJson, From, RedisUrl, Since, StateDir, Until, option, parse_time
from llmctx.cli.shared.output import messages, out, print_json
from llmctx.cli.shared.record_text import record_line
from llmctx.cli.shared.setup import settings_for
from llmctx.cli.shared.sources import source_of
from llmctx.replay.selection import check_known
from llmctx.settings import Settings
from llmctx.trail.log import unreadable
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.leaf_schema import KINDS
from llmctx.trail.source.filter import Filter, time_of
from llmctx.trail.source.lookup import follow, in_force, newest
from llmctx.trail.source.source import Source

_DEFAULT_LIMIT = 20


def decisions(
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Only this kind: decision, skipped, failed, unasked, dead_letter, incident, notice, effect, "
            "approval, override, annotation, unreadable."
        ),
    ] = None,
    action: Annotated[str | None, typer.Option(help="Only verdicts with this action.")] = None,
    guard: Annotated[str | None, typer.Option(help="Only records in which this guardrail fired.")] = None,
    since: Since = None,
    until: Until = None,
    at: Annotated[
        str | None, option(help=f"Each symbol's verdict that was in force at this time: {TIME_FORMS}.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most the newest N. Default: 20; with --json, --since or --until all.")
    ] = None,
    follow_new: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new records until Ctrl-C.")] = False,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List recorded decisions, oldest first.

    All kinds of records are listed: decisions, failed and skipped ticks, incidents. A record's time is that of its
    package; one without a package has the time when it was recorded. With --json each line is one leaf with its index
    and address.

    \b
    llmctx decisions --symbol AAPL --limit 5
    llmctx decisions --since 15m --follow
    llmctx decisions --action exit --since 2026-03-02T14:30:00Z --from ./export
    llmctx decisions --at 14:31
    """
    _check(kind, action, guard)
    if at is not None and (follow_new or any(given is not None for given in (since, until, limit))):
        raise typer.BadParameter("--at names one time: leave out --since, --until, --limit and --follow")
    if limit is None and not as_json and since is None and until is None:
        limit = _DEFAULT_LIMIT
    if follow_new and where is not None:
        raise typer.BadParameter(f"--follow: {where} does not grow; leave out --from to follow the trail in Redis")
    times = parse_time("--since", since), parse_time("--until", until)
    wanted = _Wanted(Filter(symbol, kind, action, guard, *times), limit, parse_time("--at", at), follow_new, as_json)
    asyncio.run(wanted.print_from(settings_for(redis_url, state_dir), where))


def _check(kind: str | None, action: str | None, guard: str | None) -> None:
    if kind is not None and kind not in (*KINDS, unreadable.KIND):
        raise typer.BadParameter(f"--kind {kind}: give one of {', '.join((*KINDS, unreadable.KIND))}")
    for name, value in (("action", action), ("guard", guard)):
        if value is not None:
            check_known(name, value)


class _Wanted(NamedTuple):
    """What to print."""

    records: Filter
    """Which records."""
    limit: int | None
    """At most this many, the newest."""
    at_ms: int | None
    """Only records in force at this time."""
    follow: bool
    """Whether to follow new ones."""
    as_json: bool
    """Whether to print JSON."""

    async def print_from(self, settings: Settings, where: str | None) -> None:
        async with source_of(settings, where) as source:
            if self.at_ms is not None:
                for entry in await in_force(source.parts, self.at_ms, self.records):
                    self._print(entry, source)
                return
            listing = await newest(source.parts, self.records, self.limit)
            for entry in listing.entries:
                self._print(entry, source)
            if not listing.entries:
                messages.note("No record matches.")
            if self.follow:
                async for entry in follow(source.parts, listing.sizes, self.records):
                    self._print(entry, source)

    def _print(self, entry: Entry, source: Source) -> None:
        where, record = address(entry.index, entry.partition, source.partitions), entry.record
        if self.as_json:
            print_json({"address": where, "index": entry.index, **record})
            return
        time_ms = time_of(record)
        at = f"{'unknown time':<24}" if time_ms is None else clock.iso(time_ms)
        out.print(f"[dim]{at}[/] {record_line(where, record)}")
