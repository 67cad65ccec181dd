"""The address at which Prometheus scrapes a service's metrics."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx.errors import LlmctxError
from llmctx.llm.breaker import Breaker
from llmctx.llm.price import Price
from llmctx.version import VERSION

try:
    from prometheus_client import CollectorRegistry, Gauge, Info, ProcessCollector, start_http_server

    from llmctx.ops.metrics.records import RecordMetrics
    from llmctx.ops.metrics.server import ServerCollector
except ImportError as error:
    raise LlmctxError(
        "The package for metrics is not installed.", "pip install 'llmctx[metrics]', or leave out --metrics."
    ) from error


class Address(NamedTuple):
    """Where metrics are served."""

    host: str
    """The address to listen on."""
    port: int
    """The port; 0 takes a free one."""


@asynccontextmanager
async def serve_metrics(
    address: Address, redis: Redis, partitions: int, prices: Mapping[str, Price], breakers: Mapping[str, Breaker]
) -> AsyncIterator[tuple[RecordMetrics, int]]:
    """Serve metrics at http://HOST:PORT/metrics; yields the counter of records, and the port.

    `breakers` are those of several endpoints, by name. Raises LlmctxError if the port cannot be used.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Info("build", "The version of llmctx.", namespace="llmctx", registry=registry).info({"version": VERSION})
    records = RecordMetrics(registry, prices)
    _add_breakers(registry, breakers)
    registry.register(ServerCollector(redis, partitions))
    try:
        server, thread = start_http_server(address.port, address.host, registry)
    except OSError as error:
        raise LlmctxError(
            f"Metrics cannot be served on {address.host}:{address.port}: {error}.", "Name a free port with --metrics."
        ) from error
    try:
        yield records, server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


def _add_breakers(registry: CollectorRegistry, breakers: Mapping[str, Breaker]) -> None:
    says = "Whether the endpoint's circuit breaker is open: 1 until a call succeeds again."
    state = Gauge("llmctx_endpoint_open", says, ["endpoint"], registry=registry)
    for name, breaker in breakers.items():
        state.labels(name).set_function(partial(_is_open, breaker))


def _is_open(breaker: Breaker) -> float:
    return float(not breaker.is_closed)
