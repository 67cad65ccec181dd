"""Metrics of the server and the trail, read for each scrape, so that none is older than it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.connection.streams import read_stream
from llmctx.errors import CheckpointError, in_short
from llmctx.schema import keys
from llmctx.trail.log.lease import read_holder
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import read_note
from llmctx.worker.budget import read_budget
from llmctx.worker.controls import ALL, halted
from llmctx.worker.memory import MemoryWatch

_log = logging.getLogger(__name__)

_TIMEOUT_S = 3.0
_COUNTERS = {
    "keyspace_hits": "Keys that were looked up and there.",
    "keyspace_misses": "Keys that were looked up and missing.",
    "evicted_keys": "Keys that the server evicted.",
    "expired_keys": "Keys whose TTL ended.",
    "aof_delayed_fsync": "Writes that waited for the disk.",
}
_VERBS = ("fcall", "fcall_ro", "get", "xreadgroup")
_PARTITION = {
    "held": "Whether a worker holds the partition.",
    "backlog_ticks": "Ticks that are not settled.",
    "pending_ticks": "Ticks that are being decided.",
    "oldest_tick_seconds": "How long the oldest unsettled tick has waited; 0 if there is none.",
    "effects_waiting": "Reported effects that are not recorded.",
    "log_records": "Records in the log.",
    "durable_records": "Records that are in the spool.",
    "unsigned_records": "Records that no checkpoint covers.",
    "checkpoint_age_seconds": "Age of the newest checkpoint; absent if there is none.",
}


class ServerCollector(Collector):
    """Reads the server in the event loop of the service, from the thread that answers a scrape."""

    def __init__(self, redis: Redis, partitions: int) -> None:
        """Must be made in the service's event loop."""
        self._redis = redis
        self._partitions = partitions
        self._memory = MemoryWatch(redis)
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; for a server that does not answer in time only that it is down."""
        up = GaugeMetricFamily("llmctx_redis_up", "Whether the server answered.")
        reading = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
        try:
            families = reading.result(_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001  a scrape reports what it can, whatever the server does
            reading.cancel()
            _log.info(f"the server could not be measured: {in_short(error)}")
            families = []
        up.add_metric([], float(bool(families)))
        yield up
        yield from families

    async def _read(self) -> list[Metric]:
        began_s = clock.monotonic_s()
        now_ms = await server_ms(self._redis)
        round_trip = _gauge("round_trip_seconds", "Duration of one command, there and back.", _since(began_s))
        memory, info = await self._memory.measure(), await self._redis.info("everything")
        return [
            round_trip,
            _gauge("memory_used_bytes", "Memory in use.", memory.used),
            _gauge("memory_max_bytes", "maxmemory; 0 if there is no limit.", memory.limit),
            _gauge("memory_lasting_bytes", "Memory that cannot expire.", memory.lasting),
            *(
                CounterMetricFamily(f"llmctx_redis_{name}", says, value=info.get(name, 0))
                for name, says in _COUNTERS.items()
            ),
            _latencies(info),
            *_budget(await read_budget(self._redis)),
            _halts(await halted(self._redis)),
            *await self._trail(now_ms),
        ]

    async def _trail(self, now_ms: int) -> list[Metric]:
        families = {
            name: GaugeMetricFamily(f"llmctx_{name}", says, labels=["partition"]) for name, says in _PARTITION.items()
        }
        for partition in range(self._partitions):
            for name, value in (await self._partition(partition, now_ms)).items():
                families[name].add_metric([str(partition)], value)
        return list(families.values())

    async def _partition(self, partition: int, now_ms: int) -> dict[str, float]:
        log, stream = Log(self._redis, partition), keys.ticks(partition)
        oldest = await read_stream(self._redis, stream, count=1)
        groups = await self._redis.xinfo_groups(stream) if oldest else []
        note, size = await log.checkpoint(), await log.size()
        found = {
            "held": float(await read_holder(self._redis, partition) is not None),
            "backlog_ticks": await self._redis.xlen(stream),
            "pending_ticks": sum(int(group["pending"]) for group in groups),
            "oldest_tick_seconds": max(0, now_ms - oldest[0].number) / 1000 if oldest else 0.0,
            "effects_waiting": await self._redis.xlen(keys.effects(partition)),
            "log_records": size,
            "durable_records": await log.durable(),
            "unsigned_records": size,
        }
        try:
            checkpoint = None if note is None else read_note(note)
        except CheckpointError:
            checkpoint = None  # an unusable one covers nothing
        if checkpoint is not None:
            found["unsigned_records"] = max(0, size - checkpoint.size)
            found["checkpoint_age_seconds"] = max(0, now_ms - checkpoint.time_ms) / 1000
        return found


def _latencies(info: dict[str, Any]) -> Metric:
    family = GaugeMetricFamily(
        "llmctx_redis_command_seconds", "Duration inside the server since it started.", labels=["command", "quantile"]
    )
    for verb in _VERBS:
        for percentile, micros in info.get(f"latency_percentiles_usec_{verb}", {}).items():
            family.add_metric([verb, str(float(percentile[1:]) / 100)], micros / 1_000_000)
    return family


def _budget(found: dict[str, Any] | None) -> tuple[Metric, ...]:
    """The amounts of the daily budget used today, and the number of refused calls; none without a budget."""
    used = GaugeMetricFamily("llmctx_budget_used", "Used and reserved of the daily budget.", labels=["unit"])
    limit = GaugeMetricFamily("llmctx_budget_limit", "The daily budget.", labels=["unit"])
    refused = GaugeMetricFamily("llmctx_budget_refused_calls", "Calls not made today.", labels=["scope"])
    for unit, amount in ({} if found is None else found["used"]).items():
        if amount is not None:
            used.add_metric([unit], float(amount))
        if found is not None and unit in found["limits"]:
            limit.add_metric([unit], float(found["limits"][unit]))
    counts = Counter[str]()
    for name, count in (
        {} if found is None else found["refused"]
    ).items():  # "symbol AAPL tokens": symbols are no labels
        counts[name.partition(" ")[0]] += count
    for scope in ("all", "symbol", "prompt"):
        refused.add_metric([scope], counts[scope])
    return used, limit, refused


def _halts(names: list[str]) -> Metric:
    """The number of halts: of everything, and of single symbols, which are no labels."""
    family = GaugeMetricFamily("llmctx_halts", "Halts that are set.", labels=["scope"])
    family.add_metric(["all"], names.count(ALL))
    family.add_metric(["symbol"], len(names) - names.count(ALL))
    return family


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"llmctx_redis_{name}", says, value=value)


def _since(began_s: float) -> float:
    return clock.elapsed_ms(began_s) / 1000
