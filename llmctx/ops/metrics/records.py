"""Metrics of what a service settles, counted from each record and its timings."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from llmctx.decision.stop import STOP_UNCONFIRMED
from llmctx.leaf_fields import calls_of
from llmctx.llm.failures import FailureCount, failure_of
from llmctx.llm.price import Price, price_of
from llmctx.llm.usage import Usage
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import KINDS, SETTLING

_STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_AGE_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)


class RecordMetrics:
    """Counts each record that a service settles."""

    def __init__(self, registry: CollectorRegistry, prices: Mapping[str, Price]) -> None:
        """`prices` by model; calls of a model without a price are not counted in money."""
        self._prices = prices
        self._failures = FailureCount()

        # The child of each set of labels is looked up once: that is what a metric costs.
        def counter(name: str, says: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(f"llmctx_{name}", says, labels, registry=registry).labels)

        def histogram(name: str, says: str, label: str, buckets: tuple[float, ...]) -> Callable[..., Histogram]:
            return cache(Histogram(f"llmctx_{name}", says, [label], buckets=buckets, registry=registry).labels)

        self._records = counter("records", "Records by kind.", "kind")
        self._ticks = Counter("llmctx_ticks_settled", "Ticks settled, conflated ones included.", registry=registry)
        self._redelivered = Counter("llmctx_redelivered", "Records whose tick was started before.", registry=registry)
        self._decisions = counter("decisions", "What the model wanted and what came of it.", "action", "verdict")
        self._effects = counter("effects", "Effects that were recorded.", "status")
        self._guards = counter("guards", "Guardrails that fired.", "guard")
        self._stages = histogram("stage_seconds", "Duration of each step.", "stage", _STAGE_BUCKETS)
        self._calls = counter("calls", "Calls by outcome.", "model", "outcome")
        self._attempts = counter("call_attempts", "Requests on the wire.", "result")
        self._in_a_row = Gauge("llmctx_calls_failed_in_a_row", "Failures since the last success.", registry=registry)
        self._tokens = counter("tokens", "Tokens as reported.", "model", "kind")
        self._cost = counter("cost", "Cost in the currency of the prices.", "model")
        self._sections = counter("sections", "Sections read.", "section", "status")
        self._ages = histogram("section_age_seconds", "Age when read.", "section", _AGE_BUCKETS)
        # `increase` does not see the step from a series that is not there to 1, and that is the one to be woken by.
        for kind in KINDS:
            self._records(kind)
        self._guards(STOP_UNCONFIRMED)

    def add(self, entry: Entry) -> None:
        """Count a record."""
        record, verdict = entry.record, entry.record["verdict"]
        self._records(record["kind"]).inc()
        self._ticks.inc(len(entry.ticks))
        if record.get("attempts", 1) > 1:
            self._redelivered.inc()
        if record["kind"] in SETTLING:
            self._decisions(record.get("decision", {}).get("action", "none"), verdict["action"]).inc()
        if "effect" in record:
            self._effects(record["effect"]["status"]).inc()
        for guard in verdict.get("guards", ()):
            self._guards(guard["name"]).inc()
        for stage, ms in entry.timings_ms.items():
            self._stages(stage).observe(ms / 1000)
        for name, section in record.get("snapshot", {}).get("sections", {}).items():
            self._sections(name, section["status"]).inc()
            if "age_ms" in section:
                self._ages(name).observe(section["age_ms"] / 1000)
        for model, call in calls_of(record):
            self._add_call(model, call)
        if "completion" in record:
            self._count_failure(record)

    def _add_call(self, model: str, completion: Mapping[str, Any]) -> None:
        self._calls(model, completion["outcome"]).inc()
        for attempt in completion.get("attempts", ()):
            self._attempts(attempt["result"]).inc()
        if (reported := completion.get("usage")) is None:
            return
        for kind, count in reported.items():
            self._tokens(model, kind).inc(count)
        if (price := price_of(self._prices, completion.get("model"), model)) is not None:
            self._cost(model).inc(float(price.of(Usage(**reported))))

    def _count_failure(self, record: Mapping[str, Any]) -> None:
        if record["kind"] == "failed":
            self._failures.fail(failure_of(record["completion"]))
        else:
            self._failures.succeed()
        self._in_a_row.set(self._failures.in_a_row)
