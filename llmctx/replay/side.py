"""One side of a comparison: what was asked, who answered, what came back, what was concluded from it.

A record has a side, and so has every answer of a replay: both have the same form, so that any two can be compared.
"""

from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.decision.conclude import Conclusion
from llmctx.llm.completion import Completion, Usage
from llmctx.record import decision_fields, grounding_fields, verdict_fields
from llmctx.rules import code
from llmctx.trail.log.entry import Entry


class Side(NamedTuple):
    """One answer to one question about one position. What a side does not have is None or empty."""

    kind: str
    """decision, failed, or skipped: nothing was asked."""
    snapshot: str
    """SHA-256 of what was known."""
    verdict: dict[str, Any]
    """What may be acted on, as a leaf has it."""
    code: str
    """The version of llmctx that concluded it."""
    template: str = ""
    """The prompt: NAME/vN."""
    template_sha256: str = ""
    """The digest of its source."""
    messages: tuple[tuple[str, str], ...] = ()
    """Role and text of each message as sent."""
    parameters: dict[str, Any] | None = None
    """What was asked for beside the messages, as a leaf has it."""
    asked: str = ""
    """The model that was asked for."""
    served: str | None = None
    """The model that answered, as its endpoint says."""
    fingerprint: str | None = None
    """The configuration of what served it."""
    outcome: str = ""
    """answered, refused, truncated, ..."""
    detail: str | None = None
    """Why, where it is no answer."""
    answer: str | None = None
    """The answer's text."""
    decision: dict[str, Any] | None = None
    """What the model decided, as a leaf has it."""
    grounding: dict[str, Any] | None = None
    """How its numbers were found in the facts, as a leaf has it."""
    usage: dict[str, int] | None = None
    """Tokens: prompt, completion, cached, reasoning."""
    latency_ms: int | None = None
    """How long the call took, all attempts together."""
    cost: str | None = None
    """What it cost; None where no price is known."""

    @property
    def action(self) -> str:
        """What may be done."""
        return str(self.verdict.get("action"))

    @property
    def decided(self) -> str | None:
        """What the model decided, before any guard."""
        return None if self.decision is None else self.decision["action"]

    @property
    def tokens(self) -> Usage | None:
        """The tokens as a value."""
        return None if self.usage is None else Usage(**self.usage)

    def as_dict(self) -> dict[str, Any]:
        """The side as JSON has it; what it does not have is absent."""
        document = {name: value for name, value in self._asdict().items() if value not in (None, "", ())}
        if self.messages:
            document["messages"] = [list(message) for message in self.messages]
        return document

    @classmethod
    def of_dict(cls, document: dict[str, Any]) -> "Side":
        """The side that `as_dict` wrote."""
        messages = tuple((role, text) for role, text in document.get("messages", ()))
        return cls(**document | {"messages": messages})


def side_of_record(entry: Entry) -> Side:
    """What a record says was asked, answered and concluded."""
    record = entry.record
    prompt, request, completion = record.get("prompt", {}), record.get("request", {}), record.get("completion", {})
    return Side(
        kind=record["kind"],
        snapshot=record["snapshot"]["sha256"],
        verdict=record["verdict"],
        code=record["code"],
        template=f"{prompt['template']}/v{prompt['version']}" if prompt else "",
        template_sha256=prompt.get("template_sha256", ""),
        messages=messages_of(entry),
        parameters=request.get("parameters"),
        asked=request.get("model", ""),
        served=completion.get("model"),
        fingerprint=completion.get("system_fingerprint"),
        outcome=completion.get("outcome", ""),
        detail=completion.get("detail"),
        answer=_answer(entry.pieces.get("completion")),
        decision=record.get("decision"),
        grounding=record.get("grounding"),
        usage=completion.get("usage"),
        latency_ms=_latency_ms(completion.get("attempts", [])),
    )


def side_of(conclusion: Conclusion, *, model: str, snapshot: str) -> Side:
    """What a replay asked, got and concluded; `snapshot` is the digest of what was known."""
    grounding = conclusion.verdict.grounding
    side = Side(
        conclusion.kind, snapshot, verdict_fields(conclusion.verdict), code(),
        grounding=None if grounding is None else grounding_fields(grounding),
    )  # fmt: skip
    prompt, completion = conclusion.prompt, conclusion.completion
    if prompt is not None:
        side = side._replace(
            template=f"{prompt.template}/v{prompt.version}",
            template_sha256=prompt.template_sha256,
            messages=tuple((message.role, message.content) for message in prompt.messages),
        )
    if completion is not None:
        side = _with_completion(side, completion, model)
    if conclusion.decision is not None:
        side = side._replace(decision=decision_fields(conclusion.decision))
    return side


def _with_completion(side: Side, completion: Completion, model: str) -> Side:
    return side._replace(
        parameters=completion.request.get("parameters"),
        asked=completion.request.get("model", model),
        served=completion.model,
        fingerprint=completion.system_fingerprint,
        outcome=str(completion.outcome),
        detail=completion.detail,
        answer=_answer(completion.body),
        usage=None if completion.usage is None else completion.usage._asdict(),
        latency_ms=_latency_ms([attempt._asdict() for attempt in completion.attempts]),
    )


def messages_of(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Role and text of each message that a record's evidence has."""
    piece = entry.pieces.get("messages")
    return () if piece is None else tuple((message["role"], message["content"]) for message in canonical.loads(piece))


def _answer(body: bytes | None) -> str | None:
    """The text of an answer, the raw body where it has none."""
    if body is None:
        return None
    try:
        content = canonical.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        content = None
    return content if isinstance(content, str) else body.decode(errors="replace")


def _latency_ms(attempts: list[dict[str, Any]]) -> int | None:
    return sum(attempt["duration_ms"] for attempt in attempts) or None


def is_by_citation(grounding: dict[str, Any] | None) -> bool:
    """Whether a grounding was made by citation; those of 0.1.0 counted other things."""
    return grounding is not None and "cited" in grounding
