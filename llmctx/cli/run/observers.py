"""Observers of a service's records: none by default."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from llmctx.cli.shared.alerting import service_alerts
from llmctx.cli.shared.output import messages
from llmctx.llm.completion import Completer
from llmctx.llm.fallback import EndpointChain
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry
from llmctx.worker.home import TrailHome

_log = logging.getLogger(__name__)

Observer = Callable[[Entry], None]
"""Is called with each record once it is published."""


@asynccontextmanager
async def observers(
    settings: Settings, home: TrailHome, completer: Completer, metrics: tuple[str, int] | None
) -> AsyncIterator[list[Observer]]:
    """Open the requested observers: alerts, a log line for each record if logs are JSON, metrics, traces.

    Raises LlmctxError if an extra is not installed, or the port cannot be used.
    """
    found: list[Observer] = []
    async with AsyncExitStack() as stack:
        if settings.log_format == "json":
            found.append(_log_record)
        if await stack.enter_async_context(service_alerts(settings, home.redis, home.instance)):
            from llmctx.ops.alerts.watch import telling_halts

            found.append(await stack.enter_async_context(telling_halts(home.redis, home.names)))
        if metrics is not None:
            from llmctx.ops.metrics.endpoint import Address, serve_metrics

            chain = completer.endpoints if isinstance(completer, EndpointChain) else ()
            breakers = {endpoint.name: endpoint.breaker for endpoint in chain}
            serving = serve_metrics(Address(*metrics), home.redis, home.instance.partitions, settings.prices, breakers)
            records, port = await stack.enter_async_context(serving)
            found.append(records.add)
            messages.note(f"metrics are served at http://{metrics[0]}:{port}/metrics")
        if settings.otel.endpoint is not None:
            from llmctx.ops.tracing.spans import open_tracing

            spans = await stack.enter_async_context(open_tracing(settings.otel.endpoint, content=settings.otel.content))
            found.append(spans.add)
        yield found


@asynccontextmanager
async def console_beside(settings: Settings, home: TrailHome, port: int | None) -> AsyncIterator[None]:
    """Serve the console of a service on a port of this machine; without a port, do nothing.

    Raises LlmctxError if its extra is not installed, or the port cannot be used.
    """
    if port is None:
        yield
        return
    from llmctx.cli.shared.consoles import live_subject_of, proxy_of
    from llmctx.console.access import Bind
    from llmctx.console.server import serve_console

    subject = await live_subject_of(settings, home.redis, home.url, home.instance, settings.state_dir / "replays")
    async with serve_console(subject, Bind(port=port, proxy=proxy_of(settings)), settings.state_dir) as url:
        messages.note(f"the console is at {url}")
        yield


def _log_record(entry: Entry) -> None:
    """Log a record as one line."""
    record, verdict = entry.record, entry.record["verdict"]
    said = f"{record['kind']} {record.get('symbol', '')} {verdict['action']}: {verdict['reason']}"
    _log.info(
        said,
        extra={
            "fields": {"index": f"{entry.partition}:{entry.index}", "kind": record["kind"], "action": verdict["action"]}
        },
    )
