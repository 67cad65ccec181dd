"""Commands that look at the trail: status, decisions, show."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, NamedTuple

import typer
from redis.asyncio import Redis

from llmctx import clock
from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import escape, out, print_json
from llmctx.cli.serve import line_of
from llmctx.cli.setup import redis_of, settings_for
from llmctx.errors import LlmctxError, TrailError
from llmctx.replay.selection import moment_ms
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.instance import Instance, read_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.verify import KINDS

_DEFAULT_LIMIT = 20
_FOLLOW_PAUSE_S = 0.3


async def read_existing_instance(redis: Redis) -> Instance:
    """The instance of a Redis.

    Raises TrailError where it has none.
    """
    instance = await read_instance(redis)
    if instance is None:
        raise TrailError("This Redis has no trail yet.", "Record something: `llmctx run` or `llmctx decide SYMBOL`.")
    return instance


def status(redis_url: RedisUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Print how things stand, on one screen.

    Server, owner, backlog, rate, newest record, last trouble.

    \b
    llmctx status
    """
    from llmctx.trail.proof.key import read_public_key
    from llmctx.worker.status import read_status

    settings = settings_for(redis_url, state_dir)

    async def read() -> dict[str, Any]:
        async with redis_of(settings) as (redis, url):
            return await read_status(redis, url)

    found = asyncio.run(read())
    public = None if found["instance"] is None else read_public_key(settings.state_dir, found["instance"])
    found["key"] = None if public is None else public.text
    if as_json:
        print_json(found)
        return
    out.print(f"[bold]server[/]      {found['server']} at {found['url']}, {found['memory']}")
    if found["instance"] is None:
        out.print("[bold]trail[/]       none yet; `llmctx run` or `llmctx decide SYMBOL` makes one")
        return
    out.print(f"[bold]instance[/]    {found['instance']}, {len(found['partitions'])} partition(s)")
    out.print(f"[bold]key[/]         {escape(found['key'] or 'none here: `llmctx run` or `llmctx notary` makes one')}")
    for partition in found["partitions"]:
        out.print(f"\n[bold]partition {partition['partition']}[/]")
        out.print(f"  owner        {escape(partition['owner'] or 'nobody: start one with `llmctx run`')}")
        out.print(f"  backlog      {partition['backlog']} ticks, {partition['pending']} of them given out")
        out.print(f"  records      {partition['records']}, checkpoint {partition['checkpoint'] or 'none yet'}")
        out.print(f"  rate         {partition['per_minute']} records in the last minute")
        out.print(f"  newest       {escape(partition['newest'] or 'none')}")
        out.print(f"  last trouble {escape(partition['last_trouble'] or 'none among the last 200 records')}")


def decisions(
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="Only this kind: decision, skipped, failed, dead_letter, incident, notice."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only records made since then: 15m, 2h, 1d, or an ISO 8601 time with zone."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="At most the newest N; 20 for people, all with --json or --since."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing new records until Ctrl-C.")] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List the records, oldest first.

    With --json one leaf a line, with its index and address.

    \b
    llmctx decisions --symbol AAPL --limit 5
    llmctx decisions --since 15m --follow
    """
    since_ms = None if since is None else _since_ms(since)
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"--kind {kind}: name one of {', '.join(KINDS)}")
    if limit is None and not as_json and since is None:
        limit = _DEFAULT_LIMIT
    settings = settings_for(redis_url, state_dir)
    asyncio.run(_decisions(settings, _Filter(symbol, kind, since_ms, limit), follow=follow, as_json=as_json))


def _since_ms(text: str) -> int:
    try:
        return moment_ms(text)
    except ValueError as error:
        raise LlmctxError(f"--since {text}: {error}.", "Write 15m, 2h, 1d, or 2026-03-02T14:30:00Z.") from error


class _Filter(NamedTuple):
    """Which records are asked for."""

    symbol: str | None
    kind: str | None
    since_ms: int | None
    limit: int | None

    def wants(self, entry: Entry) -> bool:
        record = entry.record
        return self.kind in (None, record["kind"]) and self.symbol in (None, record.get("symbol"))

    async def newest(self, log: Log, size: int) -> list[Entry]:
        """The wanted records of a log that has `size` records, newest first."""
        found: list[Entry] = []
        async for entry in log.read_back() if self.symbol is None else log.read_back_of(self.symbol):
            if len(found) == self.limit or entry.record["recorded_at_ms"] < (self.since_ms or 0):
                break
            if entry.index < size and self.wants(entry):
                found.append(entry)
        return found


async def _decisions(settings: Settings, wanted: _Filter, *, follow: bool, as_json: bool) -> None:
    async with redis_of(settings) as (redis, _):
        instance = await read_existing_instance(redis)
        logs = [Log(redis, partition) for partition in range(instance.partitions)]
        sizes = [await log.size() for log in logs]
        found = [entry for log, size in zip(logs, sizes, strict=True) for entry in await wanted.newest(log, size)]
        found.sort(key=lambda entry: (entry.record["recorded_at_ms"], entry.partition, entry.index))
        for entry in found[-wanted.limit :] if wanted.limit else found:
            _print_line(entry, instance.partitions, as_json=as_json)
        if follow:
            async for entry in _follow(logs, sizes):
                if wanted.wants(entry):
                    _print_line(entry, instance.partitions, as_json=as_json)


async def _follow(logs: list[Log], next_index: list[int]) -> AsyncIterator[Entry]:
    while True:
        for i, log in enumerate(logs):
            async for entry in log.read(next_index[i]):
                yield entry
                next_index[i] = entry.index + 1
        await asyncio.sleep(_FOLLOW_PAUSE_S)


def _print_line(entry: Entry, partitions: int, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "address": address(entry.index, entry.partition, partitions),
                "index": entry.index,
                **entry.record,
            }
        )
        return
    at = clock.iso(entry.record.get("as_of_ms", entry.record["recorded_at_ms"]))
    out.print(f"[dim]{at}[/] {line_of(address(entry.index, entry.partition, partitions), entry.record)}")
