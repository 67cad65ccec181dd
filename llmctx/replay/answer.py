"""One answer to one recorded decision: the question, who answered, the response, and the conclusion.

Records and replays have answers of the same form, so any two can be compared.
"""

from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.context.tick import Tick
from llmctx.decision.conclude import Conclusion
from llmctx.llm.extract import text_in
from llmctx.llm.usage import Usage
from llmctx.record import RecordMetadata, compose
from llmctx.trail.log.entry import Entry

NO_ANSWER = "no answer"
NOT_ASKED = "not asked"
ACTIONS = ("exit", "reduce", "hold", "adjust_stops", "add", NO_ANSWER, NOT_ASKED)
"""The rows and columns of a flip matrix, from the smallest resulting position to the largest."""
_STOPS_MOVED = Decimal("0.05")
_JSON_NAMES = {"requested": "asked", "text": "answer"}


class Answer(NamedTuple):
    """One answer to one question about one position. Fields that do not apply are None or empty."""

    kind: str
    """decision, failed, or skipped or unasked if nothing was asked."""
    snapshot: str
    """SHA-256 of the snapshot."""
    verdict: dict[str, Any]
    """What may be acted on, as in a leaf."""
    code: str
    """The version of llmctx that reached the conclusion."""
    template: str = ""
    """The prompt: NAME/vN."""
    template_sha256: str = ""
    """The digest of the template's source."""
    messages: tuple[tuple[str, str], ...] = ()
    """Role and text of each message sent."""
    parameters: dict[str, Any] | None = None
    """The request parameters beside the messages, as in a leaf."""
    schema_sha256: str = ""
    """The digest of the requested output: the schema, and the form of the answer in the messages."""
    requested: str = ""
    """The model that was requested."""
    served: str | None = None
    """The model that answered, as reported by the endpoint."""
    fingerprint: str | None = None
    """The system fingerprint reported by the endpoint."""
    outcome: str = ""
    """answered, refused, truncated, ...; empty if nothing was asked."""
    detail: str | None = None
    """Why the call has no answer, if it has none."""
    text: str | None = None
    """The answer's text."""
    decision: dict[str, Any] | None = None
    """What the model decided, as in a leaf."""
    grounding: dict[str, Any] | None = None
    """How the answer's numbers compare with the facts, as in a leaf."""
    usage: dict[str, int] | None = None
    """Tokens: prompt, completion and, if known, cached, reasoning, cache_write."""
    latency_ms: int | None = None
    """Duration of the call, all attempts together."""
    cost: str | None = None
    """Cost of the call; None if no price is known."""
    mandate: str = ""
    """The digest of the mandate; empty if there was none."""

    @property
    def action(self) -> str:
        """The verdict's action; none if the model was not asked."""
        return str(self.verdict.get("action"))

    @property
    def label(self) -> str:
        """The row or column in a flip matrix: the action, `no answer` or `not asked`."""
        return {"failed": NO_ANSWER, "skipped": NOT_ASKED, "unasked": NOT_ASKED}.get(self.kind, self.action)

    @property
    def effective_action(self) -> str:
        """What happens to the position.

        Without a usable answer the guards hold, or exit if the stop is breached. If nothing was asked, the position
        stays as after a hold.
        """
        return "hold" if self.action == "none" else self.action

    @property
    def decided(self) -> str | None:
        """The action the model decided on, before any guard."""
        return None if self.decision is None else self.decision["action"]

    @property
    def confidence(self) -> float | None:
        """The model's confidence, 0 to 1."""
        return None if self.decision is None else float(self.decision["confidence"])

    @property
    def tokens(self) -> Usage | None:
        """The tokens as a value."""
        return None if self.usage is None else Usage(**self.usage)

    @property
    def grounded_by_citation(self) -> bool:
        """Whether its grounding counts citations; records of version 0.1.0 counted other things."""
        return self.grounding is not None and "cited" in self.grounding

    def exposure_change(self, held: Decimal) -> Decimal:
        """Return the change of a position of `held` shares, as a share of it: -1 closes it, 0 keeps it, 1 doubles it.

        Moved stops count 0.05.
        """
        quantity = Decimal(self.verdict.get("quantity") or 0)
        share = min(Decimal(1), quantity / held) if held else Decimal(0)
        match self.effective_action:
            case "exit":
                return Decimal(-1)
            case "reduce":
                return -share
            case "add":
                return share
            case "adjust_stops":
                return _STOPS_MOVED
            case _:
                return Decimal(0)

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values, without empty fields."""
        fields = self._asdict() | {"messages": [list(message) for message in self.messages]}
        return {_JSON_NAMES.get(name, name): value for name, value in fields.items() if value not in (None, "", [])}

    @classmethod
    def of_dict(cls, document: dict[str, Any]) -> "Answer":
        """Return the answer that `as_dict` wrote."""
        fields = {name: document[json] for name, json in _JSON_NAMES.items() if json in document}
        fields |= {name: value for name, value in document.items() if name not in _JSON_NAMES.values()}
        return cls(**fields | {"messages": tuple((role, text) for role, text in document.get("messages", ()))})


def recorded_answer(entry: Entry) -> Answer:
    """Return the answer that a record holds."""
    record = entry.record
    prompt, request, completion = record.get("prompt", {}), record.get("request", {}), record.get("completion", {})
    return Answer(
        kind=record["kind"],
        snapshot=record["snapshot"]["sha256"],
        verdict=record["verdict"],
        code=record["code"],
        template=f"{prompt['template']}/v{prompt['version']}" if prompt else "",
        template_sha256=prompt.get("template_sha256", ""),
        messages=messages_of(entry),
        parameters=request.get("parameters"),
        schema_sha256=request.get("schema_sha256", ""),
        requested=request.get("model", ""),
        served=completion.get("model"),
        fingerprint=completion.get("system_fingerprint"),
        outcome=completion.get("outcome", ""),
        detail=completion.get("detail"),
        text=_text_of(entry.pieces.get("completion")),
        decision=record.get("decision"),
        grounding=record.get("grounding"),
        usage=completion.get("usage"),
        latency_ms=sum(attempt["duration_ms"] for attempt in completion.get("attempts", [])) or None,
        mandate=record.get("mandate", {}).get("sha256", ""),
    )


def answer_of(conclusion: Conclusion, *, model: str, snapshot: str) -> Answer:
    """Return the answer of a replay as the record that a live run would compose.

    `model` is the one requested, `snapshot` the digest of the snapshot's original evidence.
    """
    tick = Tick(id="replay", symbol=conclusion.snapshot.symbol)
    draft = compose(tick, conclusion, RecordMetadata(recorded_at_ms=0, worker="replay"), ())
    answer = recorded_answer(Entry(draft.leaf, draft.pieces, index=0))
    return answer._replace(snapshot=snapshot, requested=answer.requested or (model if answer.outcome else ""))


def messages_of(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Return role and text of each message in a record's evidence."""
    piece = entry.pieces.get("messages")
    return () if piece is None else tuple((message["role"], message["content"]) for message in canonical.loads(piece))


def _text_of(body: bytes | None) -> str | None:
    """Return the answer's text in a body, or the raw body if it holds none."""
    if body is None:
        return None
    text = text_in(body)
    return body.decode(errors="replace") if text is None else text
