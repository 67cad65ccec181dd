"""The state of a service, read only from its server, so that it can be queried from anywhere."""

import statistics
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection import check, server_ms
from llmctx.connection.address import without_password
from llmctx.errors import CheckpointError, ServerError
from llmctx.replay.reconcile import NO_REASON, reconcile
from llmctx.schema import keys
from llmctx.symbols.memory import SymbolMemory
from llmctx.trail.log import unreadable
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.instance import read_instance
from llmctx.trail.log.lease import of_another_type, read_holder
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import read_note
from llmctx.worker.budget import read_budget
from llmctx.worker.controls import halted
from llmctx.worker.memory import MemoryWatch
from llmctx.worker.unconfirmed import unconfirmed_stops

_MAX_EXAMINED = 200
_MAX_NEIGHBOURS = 8
_TROUBLES = ("failed", "skipped", "dead_letter", "incident")
_MINUTE_MS = 60_000


async def read_status(redis: Redis, url: str) -> dict[str, Any]:
    """Read the state: server, instance, daily budget, and each partition's owner, backlog, rate, newest record and
    trouble.

    Raises ServerError if the server goes away, TrailError if the trail cannot be read.
    """
    try:
        return await _read(redis, url)
    except RedisError as error:
        raise ServerError(
            f"The server at {without_password(url)} went away while it was asked: {error}.", "Ask again."
        ) from error


async def _read(redis: Redis, url: str) -> dict[str, Any]:
    memory = await MemoryWatch(redis).measure()
    instance = await read_instance(redis)
    limit = memory.limit
    used = f"{memory.used / 2**20:.1f} MB used" + (f" of {limit / 2**20:.0f} MB, {memory}" if limit else "")
    return {
        "server": await check(redis, url),
        "url": without_password(url),
        "memory": used,
        "used_memory_bytes": memory.used,
        "maxmemory_bytes": limit,
        "lasting_memory_bytes": memory.lasting,
        "takes_ticks": not memory.is_full(),
        "halted": await halted(redis),
        "instance": None if instance is None else instance.id,
        "budget": await read_budget(redis),
        "partitions": []
        if instance is None
        else [await _partition(redis, partition, instance.partitions) for partition in range(instance.partitions)],
    }


async def _partition(redis: Redis, partition: int, partitions: int) -> dict[str, Any]:
    log, stream = Log(redis, partition), keys.ticks(partition)
    holder = await read_holder(redis, partition)
    backlog = pending = 0
    with of_another_type():  # the owner removes it
        backlog = await redis.xlen(stream)
        groups = await redis.xinfo_groups(stream) if await redis.exists(stream) else []
        pending = sum(int(group["pending"]) for group in groups)
    size, minute_ago_ms = await log.size(), await server_ms(redis) - _MINUTE_MS
    recent = await recent_records(log)
    trouble = next((entry for entry in recent if entry.record["kind"] in _TROUBLES), None)
    unreadable_ones = [entry for entry in recent if entry.record["kind"] == unreadable.KIND]
    return {
        "partition": partition,
        "owner": None if holder is None else holder.label,
        "owner_until_ms": None if holder is None else holder.until_ms,
        "backlog": backlog,
        "pending": pending,
        "records": size,
        "archived": await log.first(),
        "durable": await log.durable(),
        "checkpoint": _checkpoint(await log.checkpoint()),
        "per_minute": size - await first_since(log, size, minute_ago_ms),
        "newest": _line(recent[0], partitions) if recent else None,
        "repairs": await log.repairs(),
        "effects": await _effects(redis, partition, recent, partitions),
        "last_trouble": None if trouble is None else _line(trouble, partitions),
        "unconfirmed_stops": await unconfirmed_stops(redis, partition, partitions, SymbolMemory(log, partitions)),
        "unreadable": [_line(entry, partitions) for entry in unreadable_ones],
    }


async def _effects(redis: Redis, partition: int, recent: list[Entry], partitions: int) -> dict[str, Any]:
    """Effects waiting to be recorded, fills and mean slippage among the last 200 records, and disagreements.

    Without any effect among them, apparently nobody reports effects, and decisions without one are no finding. An
    effect may be about an older decision, so by itself only an effect that names none can be a finding.
    """
    waiting = 0
    with of_another_type():
        waiting = await redis.xlen(keys.effects(partition))
    trades = (
        reconcile(reversed(recent), partitions) if any(entry.record["kind"] == "effect" for entry in recent) else []
    )
    wrong = [each for each in trades if each.findings and (each.action != "none" or NO_REASON in each.findings)]
    slippages = [trade.slippage_bps for trade in trades if trade.slippage_bps is not None]
    return {
        "waiting": waiting,
        "trades": len([trade for trade in trades if trade.filled]),
        "slippage_bps": None if not slippages else float(f"{statistics.fmean(slippages):.1f}"),
        "findings": [f"{trade.address} {trade.symbol} {trade.action}: {trade.findings[0]}" for trade in wrong],
    }


async def recent_records(log: Log) -> list[Entry]:
    """The last 200 records, newest first.

    Raises TrailError if the server does not answer.
    """
    recent: list[Entry] = []
    async for entry in log.read_back():
        recent.append(entry)
        if len(recent) == _MAX_EXAMINED:
            break
    return recent


async def first_since(log: Log, size: int, since_ms: int) -> int:
    """The index of the first record that was made at `since_ms` or later, `size` if there is none.

    Searches by halves, because a busy minute has thousands of records: 20 reads find one in a million.

    Raises TrailError if the server does not answer.
    """
    low, high = await log.first(), size
    while low < high:
        middle = (low + high) // 2
        recorded_ms = await _recorded_ms(log, middle, high)
        if recorded_ms is None or recorded_ms < since_ms:
            low = middle + 1
        else:
            high = middle
    return low


async def _recorded_ms(log: Log, index: int, stop: int) -> int | None:
    """When the record at an index was made, or the next one whose time can be read."""
    for near in range(index, min(index + _MAX_NEIGHBOURS, stop)):
        entry = await log.entry(near)
        if entry is not None and "recorded_at_ms" in entry.record:
            return int(entry.record["recorded_at_ms"])
    return None


def _checkpoint(note: str | None) -> str | None:
    if note is None:
        return None
    try:
        checkpoint = read_note(note)
        return f"over {checkpoint.size} at {clock.iso(checkpoint.time_ms)}"
    except CheckpointError as error:
        return f"unusable: {error.why}"


def _line(entry: Entry, partitions: int) -> str:
    record = entry.record
    where = address(entry.index, entry.partition, partitions)
    if record["kind"] == unreadable.KIND:
        return f"{where}: {record['verdict']['reason']}"
    at = clock.iso(record["recorded_at_ms"])
    said = f"{record['verdict']['action']}: {record['verdict']['reason']}"
    return f"{where} at {at}: {record['kind']} {record.get('symbol', '')} {said}"
