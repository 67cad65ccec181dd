"""How things stand: read from the server alone, so that it can be asked from anywhere."""

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection import check, server_ms, without_password
from llmctx.errors import CheckpointError, ServerError
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.instance import read_instance
from llmctx.trail.log.lease import read_holder
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import read_note
from llmctx.worker.memory import MemoryWatch

_LOOKED_AT = 200
_MINUTE_MS = 60_000


async def read_status(redis: Redis, url: str) -> dict[str, Any]:
    """Server, instance, and for each partition its owner, backlog, rate, newest record and last trouble.

    Raises ServerError where the server goes away, TrailError where the trail cannot be read.
    """
    try:
        return await _read(redis, url)
    except RedisError as error:
        raise ServerError(
            f"The server at {without_password(url)} went away while it was asked: {error}.", "Ask again."
        ) from error


async def _read(redis: Redis, url: str) -> dict[str, Any]:
    memory = await MemoryWatch(redis).look()
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
        "instance": None if instance is None else instance.id,
        "partitions": []
        if instance is None
        else [await _partition(redis, partition, instance.partitions) for partition in range(instance.partitions)],
    }


async def _partition(redis: Redis, partition: int, partitions: int) -> dict[str, Any]:
    log, stream = Log(redis, partition), keys.ticks(partition)
    holder = await read_holder(redis, partition)
    pending = 0
    if await redis.exists(stream):
        pending = sum(int(group["pending"]) for group in await redis.xinfo_groups(stream))
    now_ms = await server_ms(redis)
    per_minute, looked_at = 0, 0
    newest: Entry | None = None
    trouble: Entry | None = None
    async for entry in log.read_back():
        newest = newest or entry
        if entry.record["recorded_at_ms"] >= now_ms - _MINUTE_MS:
            per_minute += 1
        if trouble is None and entry.record["kind"] in ("failed", "skipped", "dead_letter", "incident"):
            trouble = entry
        looked_at += 1
        if looked_at >= _LOOKED_AT and entry.record["recorded_at_ms"] < now_ms - _MINUTE_MS:
            break
    return {
        "partition": partition,
        "owner": None if holder is None else holder.label,
        "owner_until_ms": None if holder is None else holder.until_ms,
        "backlog": await redis.xlen(stream),
        "pending": pending,
        "records": await log.size(),
        "durable": await log.durable(),
        "checkpoint": _checkpoint(await log.checkpoint()),
        "per_minute": per_minute,
        "newest": None if newest is None else _line(newest, partitions),
        "last_trouble": None if trouble is None else _line(trouble, partitions),
    }


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
    at = clock.iso(record["recorded_at_ms"])
    where = address(entry.index, entry.partition, partitions)
    said = f"{record['verdict']['action']}: {record['verdict']['reason']}"
    return f"{where} at {at}: {record['kind']} {record.get('symbol', '')} {said}"
