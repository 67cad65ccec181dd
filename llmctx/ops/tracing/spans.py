"""The spans of a tick, made once it is settled: their times come from the durations of its steps."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.errors import LlmctxError
from llmctx.ops.tracing.chat import ANSWERED, call_attributes, content_attributes, evaluation_attributes
from llmctx.ops.tracing.names import CONVENTIONS, GenAI, Ours
from llmctx.trail.log.entry import Entry
from llmctx.version import VERSION

try:
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
except ImportError as error:
    raise LlmctxError(
        "The packages for traces are not installed.", "pip install 'llmctx[otel]', or unset the setting otel.endpoint."
    ) from error

_PATH = "/v1/traces"
_CALLS = ("complete", "reask")
_NS_PER_MS = 1_000_000


class _Step(NamedTuple):
    """One step of a tick, in nanoseconds since 1970."""

    name: str
    began: int
    ended: int


class TickSpans:
    """Makes the spans of each record that a service settles."""

    def __init__(self, tracer: Tracer, *, content: bool) -> None:
        """With `content`, spans carry prompts and answers."""
        self._tracer = tracer
        self._content = content

    def add(self, entry: Entry) -> None:
        """Make the spans of a record that was settled just now."""
        steps = list(_steps(entry.timings_ms, clock.now_ms() * _NS_PER_MS))
        if not steps:
            return
        # An empty context: a tick begins a separate trace, whatever surrounds the service.
        root = self._tracer.start_span("tick", Context(), start_time=steps[0].began, attributes=_tick(entry))
        for step in steps:
            self._step(entry, step, set_span_in_context(root, Context()))
        root.end(steps[-1].ended)

    def _step(self, entry: Entry, step: _Step, parent: Context) -> None:
        record = entry.record
        if step.name in _CALLS and (completion := _completion(record, step.name)) is not None:
            self._call(entry, step, completion, parent)
            return
        span = self._tracer.start_span(step.name, parent, start_time=step.began, attributes=_of(step.name, record))
        span.end(step.ended)

    def _call(self, entry: Entry, step: _Step, completion: Mapping[str, Any], parent: Context) -> None:
        record = entry.record
        attributes = call_attributes(record, completion)
        is_last = completion is record["completion"]
        if self._content and is_last:
            attributes |= content_attributes(record, entry.pieces)
        name = f"chat {attributes.get(GenAI.REQUEST_MODEL, '')}".rstrip()
        span = self._tracer.start_span(name, parent, SpanKind.CLIENT, start_time=step.began, attributes=attributes)
        if completion["outcome"] != ANSWERED:
            span.set_status(Status(StatusCode.ERROR, completion.get("detail")))
        grounding = record.get("grounding") if is_last else record["reasked"].get("grounding")
        if grounding is not None:
            _add_evaluation(span, grounding, completion, step.ended)
        span.end(step.ended)


def _add_evaluation(span: Span, grounding: Mapping[str, Any], completion: Mapping[str, Any], at: int) -> None:
    span.add_event(GenAI.EVALUATION, evaluation_attributes(grounding, completion.get("response_id")), at)


def _steps(timings_ms: Mapping[str, float], ended: int) -> Iterator[_Step]:
    """The steps of a tick that ended now, one after another."""
    at = ended - round(sum(timings_ms.values()) * _NS_PER_MS)
    for name, ms in timings_ms.items():
        began, at = at, at + round(ms * _NS_PER_MS)
        yield _Step(name, began, at)


def _completion(record: Mapping[str, Any], step: str) -> Mapping[str, Any] | None:
    """The completion of a step: the first of two, if the model was asked again."""
    found: Mapping[str, Any] | None = record.get("completion")
    if step == _CALLS[0] and "reasked" in record:
        found = record["reasked"]["completion"]
    return found


def _tick(entry: Entry) -> dict[str, Any]:
    record = entry.record
    return {
        Ours.TICK: record.get("tick", ""),
        Ours.CONFLATED: len(record.get("conflated", ())),
        Ours.SYMBOL: record.get("symbol", ""),
        Ours.CAUSE: record.get("cause", ""),
        Ours.PARTITION: entry.partition,
        Ours.INDEX: entry.index,
        Ours.KIND: record["kind"],
        Ours.ACTION: record["verdict"]["action"],
    }


def _of(step: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a step besides its duration."""
    if step == "read":
        sections = record.get("snapshot", {}).get("sections", {})
        return {Ours.STALE: [name for name, section in sections.items() if section["status"] != "fresh"]}
    if step == "judge":
        return {Ours.GUARDS: [guard["name"] for guard in record["verdict"].get("guards", ())]}
    return {}


@asynccontextmanager
async def open_tracing(endpoint: str, *, content: bool = False) -> AsyncIterator[TickSpans]:
    """Make spans and send them to a collector, OTLP over HTTP, in the background; what is left is sent at the end.

    The SDK reads OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and so on by itself. A
    collector that does not answer costs spans, never a decision.
    """
    resource = Resource.create({"service.version": VERSION})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "llmctx"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
    tracer = provider.get_tracer("llmctx", VERSION, attributes={"llmctx.conventions": CONVENTIONS})
    try:
        yield TickSpans(tracer, content=content)
    finally:
        await asyncio.to_thread(provider.shutdown)
