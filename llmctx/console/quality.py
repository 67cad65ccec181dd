"""Quality: how well answers were grounded, how often a guardrail fired, what they cost and how long they took."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from statistics import median, quantiles
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.console.listing import Query, find_entries
from llmctx.llm.price import Price, price_of
from llmctx.llm.usage import Usage
from llmctx.trail.source.filter import time_of
from llmctx.trail.source.source import Source

_FEW = 2


class Group(NamedTuple):
    """The answers of one prompt and model, or of one day."""

    name: str
    """What they have in common."""
    first_ms: int
    """The time of the first."""
    last_ms: int
    """The time of the last."""
    asked: int
    """How many were asked for."""
    failed: int
    """How many had no usable answer."""
    guarded: int
    """How many a guardrail changed."""
    numbers: int
    """Numbers in the answers."""
    cited: int
    """Numbers that equal what they cite."""
    wrong: int
    """Numbers that the facts do not bear out."""
    confidence: float | None
    """Mean confidence."""
    tokens: int
    """Tokens, in and out."""
    cost: Decimal | None
    """What they cost; None if a model has no price."""
    p50_ms: float | None
    """Median time of the model."""
    p95_ms: float | None
    """The time that 95% of the calls stayed under."""


class Quality(NamedTuple):
    """Answers in groups."""

    answers: int
    """How many were read."""
    by_version: Sequence[Group]
    """By prompt and model, in the order in which they were first used."""
    by_day: Sequence[Group]
    """By day, the newest first."""


async def measure(source: Source, query: Query, prices: Mapping[str, Price]) -> Quality:
    """Measure the answers among the records asked for.

    Raises LlmctxError if the source cannot be read.
    """
    records = [entry.record for entry in await find_entries(source, query)]
    asked = [record for record in records if "completion" in record and time_of(record) is not None]
    versions = _groups(asked, _version_of, prices)
    days = _groups(asked, lambda record: clock.iso(record["as_of_ms"])[:10], prices)
    versions.sort(key=lambda group: group.first_ms)
    days.sort(key=lambda group: -group.first_ms)
    return Quality(len(asked), versions, days)


def _version_of(record: Mapping[str, Any]) -> str:
    prompt, request = record["prompt"], record["request"]
    return f"{prompt['template']}/v{prompt['version']} · {request.get('model', 'no model')}"


def _groups(records: Iterable[dict[str, Any]], name_of: Any, prices: Mapping[str, Price]) -> list[Group]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(name_of(record), []).append(record)
    return [_group(name, found, prices) for name, found in groups.items()]


def _group(name: str, records: Sequence[dict[str, Any]], prices: Mapping[str, Price]) -> Group:
    times = [record["as_of_ms"] for record in records]
    groundings = [record["grounding"] for record in records if "grounding" in record]
    confidences = [float(record["decision"]["confidence"]) for record in records if "decision" in record]
    usages = [record["completion"]["usage"] for record in records if "usage" in record["completion"]]
    took = [float(record["timings_ms"]["complete"]) for record in records if "complete" in record.get("timings_ms", {})]
    costs = [_cost_of(record, prices) for record in records if "usage" in record["completion"]]
    counts = {part: sum(int(each.get(part, 0)) for each in groundings) for part in ("cited", "uncited", "unread")}
    wrong = sum(len(each.get(part, ())) for each in groundings for part in ("miscited", "false_prices", "unsupported"))
    return Group(
        name=name,
        first_ms=min(times),
        last_ms=max(times),
        asked=len(records),
        failed=sum("decision" not in record for record in records),
        guarded=sum("guards" in record["verdict"] for record in records),
        numbers=sum(counts.values()) + sum(len(each.get("miscited", ())) for each in groundings),
        cited=counts["cited"],
        wrong=wrong,
        confidence=sum(confidences) / len(confidences) if confidences else None,
        tokens=sum(usage["prompt"] + usage["completion"] for usage in usages),
        cost=None if not costs or None in costs else sum((cost for cost in costs if cost is not None), Decimal(0)),
        p50_ms=median(took) if took else None,
        p95_ms=quantiles(took, n=20)[-1] if len(took) >= _FEW else None,
    )


def _cost_of(record: Mapping[str, Any], prices: Mapping[str, Price]) -> Decimal | None:
    price = price_of(prices, record["completion"].get("model"), record["request"].get("model"))
    return None if price is None else price.of(Usage(**record["completion"]["usage"]))
