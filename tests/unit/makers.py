"""Values that the tests of the upper rooms start from: made by the real steps, from one small market."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from llmctx import canonical, clock
from llmctx.assets import asset
from llmctx.context.package import Package, build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.decision.decision import OUTPUT, Decision
from llmctx.llm.completion import Completion, read_completion
from llmctx.llm.output import OutputSchema
from llmctx.prompt.render import Prompt, render
from llmctx.prompt.template import Template, load_template
from llmctx.schema.keys import section_keys
from llmctx.trail.log.entry import FIELD
from llmctx.trail.log.packing import pack

SYMBOL = "AAPL"
NOW = "2025-05-09T10:15:30.123Z"
NOW_MS = clock.to_ms(clock.parse_iso(NOW))
Document = dict[str, Any]


def stored(leaf: bytes, pieces: Mapping[str, bytes]) -> dict[bytes, bytes]:
    """The fields of a log entry."""
    return {FIELD: pack(leaf, dict(pieces))}


def is_canonical(raw: bytes) -> bool:
    """Whether these bytes are the canonical form of their content."""
    try:
        return canonical.is_form_of(canonical.loads(raw), raw)
    except ValueError:
        return False


def market(
    *,
    price: str = "152.5",
    side: str = "long",
    quantity: str = "10",
    entry: str = "150",
    stop: str | None = "145",
    target: str | None = "160",
    market_status: str = "open",
    price_at: str = NOW,
) -> dict[str, Document]:
    """The documents of the sections that a decision needs, by section."""
    last = Decimal(price)
    return {
        "price": {
            "price": {"last": last, "open": last, "high": last, "low": last, "volume": 1000},
            "timestamp": price_at,
        },
        "position": {
            "symbol": SYMBOL,
            "entry_price": Decimal(entry),
            "current_price": last,
            "quantity": Decimal(quantity),
            "side": side,
            "entry_time": "2025-05-09T09:45:32.000Z",
            "unrealized_pnl": 0,
            "unrealized_pnl_pct": 0,
            "stop_loss": None if stop is None else Decimal(stop),
            "take_profit": None if target is None else Decimal(target),
            "last_update": NOW,
        },
        "system": {
            "state": "running",
            "market_status": market_status,
            "active_positions_count": 1,
            "watchlist_count": 1,
            "last_scan_time": None,
            "timestamp": NOW,
            "clock": "bars",
        },
    }


def live_keys(documents: Mapping[str, Document]) -> dict[str, bytes]:
    """The documents as Redis holds them, by key."""
    keys = section_keys(SYMBOL, ReadRules().signal_types, 0)
    return {keys[section]: canonical.wire(document) for section, document in documents.items()}


def snapshot_of(documents: Mapping[str, Document]) -> Snapshot:
    """The snapshot that reading these documents gives."""
    keys = section_keys(SYMBOL, ReadRules().signal_types, 0)
    return Snapshot(
        symbol=SYMBOL,
        partition=0,
        server_ms=NOW_MS,
        as_of_ms=NOW_MS,
        clock="bars",
        rules=ReadRules(),
        sections={
            name: RawSection(key, canonical.wire(documents[name]) if name in documents else None)
            for name, key in keys.items()
        },
    )


def package_of(documents: Mapping[str, Document]) -> Package:
    """The package of these documents."""
    return build_package(snapshot_of(documents))


def template() -> Template:
    """The first template that ships."""
    return load_template(asset("prompts"), "position/v1")


def template_of(user: str, *, parameters: str = "{}", ref: str = "probe/v1") -> Template:
    """A custom template with this user part."""
    name, _, version = ref.partition("/v")
    source = (
        f"---\nname: {name}\nversion: {version}\ndescription: A probe.\nparameters: {parameters}\noutput: decision\n"
        f"---\nsystem:\nYou decide.\nuser:\n{user}\n"
    )
    return Template(ref, {f"{ref}.md.j2": source})


def prompt_of(documents: Mapping[str, Document] | None = None) -> Prompt:
    """The shipped prompt on these documents."""
    return render(template(), package_of(documents or market()))


def request_of(model: str, prompt: Prompt) -> Document:
    """The request of a call that sent the prompt as it is, as a leaf keeps it."""
    parameters = {
        name: str(value) if isinstance(value, float) else value
        for name, value in prompt.parameters.model_dump(exclude_none=True).items()
    }
    return {
        "endpoint": "http://model",
        "model": model,
        "parameters": parameters,
        "schema": OUTPUT.name,
        "schema_sha256": OUTPUT.sha256,
    }


def answer(**changes: Any) -> Document:
    """An answer that fits the schema, with changes; Decimals in it become JSON numbers."""
    return {
        "action": "hold",
        "quantity": None,
        "stop_loss": None,
        "take_profit": None,
        "confidence": 0.8,
        "reasoning": "Nothing speaks for a change.",
        "evidence": [{"path": "price.price.last", "value": "152.5", "reading": "between stop and target"}],
        "invalidation": "A close below the stop.",
        "valid_for": 5,
    } | changes


def answer_text(**changes: Any) -> str:
    """The same as a model writes it."""
    return canonical.wire(answer(**changes)).decode()


def decision(**changes: Any) -> Decision:
    """The same as a decision; numbers as Decimal."""
    return Decision.model_validate(canonical.loads(answer_text(**changes).encode()))


def body(content: str | None = None, **changes: Any) -> bytes:
    """A 200 response of an endpoint."""
    message = {"role": "assistant", "content": answer_text() if content is None else content, "refusal": None}
    document = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served-model",
        "system_fingerprint": "fp_1",
        "service_tier": "default",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 200,
            "prompt_tokens_details": {"cached_tokens": 768},
            "completion_tokens_details": {"reasoning_tokens": 64},
        },
    }
    return json.dumps(document | changes).encode()


def completion(raw: bytes | None = None) -> Completion:
    """The completion that a body makes."""
    return read_completion(body() if raw is None else raw, {"model": "asked-model"}, ())


class Scripted:
    """A completer that returns the given answer, whatever it is asked."""

    def __init__(self, *completions: Completion) -> None:
        self._completions = list(completions)
        self.prompts: list[Prompt] = []

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        assert output.name == "decision"
        self.prompts.append(prompt)
        return self._completions.pop(0)
