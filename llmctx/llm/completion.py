"""A completion: the endpoint's response, verbatim, and the outcome of the call.

Every failure is an outcome with a name, not an exception: a tick ends in a record either way.
"""

from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from llmctx.limits import MAX_DETAIL_CHARS, MAX_NAME_CHARS, cut
from llmctx.llm.envelope import field
from llmctx.llm.extract import UNREADABLE, extract, is_object
from llmctx.llm.native.response import read_document
from llmctx.llm.output import OutputSchema
from llmctx.llm.reported import is_filter_reason, is_filtered
from llmctx.llm.usage import Usage, read_usage
from llmctx.prompt.render import Prompt

_FILTERED = "the provider's content filter stopped the answer"
_LENGTH_REASONS = ("length", "max_tokens", "model_length")
_REASONING = ("reasoning_content", "reasoning")
"""Where endpoints put what a model thinks before it answers."""


class Outcome(StrEnum):
    """The outcome of a call."""

    ANSWERED = "answered"
    """There is text that claims to be the answer."""
    REFUSED = "refused"
    """The model declined to answer."""
    TRUNCATED = "truncated"
    """The answer was cut at the length limit."""
    FILTERED = "filtered"
    """The provider's content filter stopped it."""
    UNREADABLE = "unreadable"
    """The endpoint answered 200, but the body is not a chat completion."""
    REJECTED = "rejected"
    """The endpoint refused the request; asking again would not help."""
    UNREACHABLE = "unreachable"
    """No attempt got through: connection, overload or server errors."""
    TIMEOUT = "timeout"
    """The deadline over all attempts expired."""
    LIMITED = "limited"
    """The client's own limit of requests or tokens a minute left no time for the call."""
    ERROR = "error"
    """The call ended with an unexpected error on our side."""


class Attempt(NamedTuple):
    """One request on the wire."""

    result: str
    """ok, http 429, timeout, connection, ..."""
    duration_ms: int
    """Its duration."""
    request_id: str | None
    """The provider's id of the request."""


class Tried(NamedTuple):
    """The result of an endpoint, one of several, that did not give the completion."""

    endpoint: str
    """Its name."""
    outcome: str
    """The outcome of its call; `skipped` if it was not asked, `cancelled` if another one answered first."""
    detail: str | None = None
    """Why it gave no answer, or why it was not asked."""
    url: str | None = None
    """Its address, without secrets; None if it was not asked."""
    model: str | None = None
    """The model asked."""
    attempts: tuple[Attempt, ...] = ()
    """Its requests on the wire, in order."""
    usage: Usage | None = None
    """Tokens; None if unknown, as after a cancelled call."""


class Completion(BaseModel):
    """One call to the model, successful or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    """Its outcome."""
    detail: str | None = None
    """Why there is no answer; None if there is one."""
    content: str | None = None
    """The answer's text."""
    answer_from: tuple[str, ...] = ()
    """The steps by which the text was taken from the body; empty for the text of a plain message."""
    request: dict[str, Any]
    """The request: endpoint, model, parameters, schema."""
    messages: bytes | None = None
    """The messages as sent, if they differ from the prompt's."""
    asked: bytes | None = None
    """The blob of the requested output, which the request names; None means the output's own."""
    attempts: tuple[Attempt, ...] = ()
    """Every request on the wire, in order."""
    body: bytes | None = None
    """The raw body of the last response; None if there was none."""
    model: str | None = None
    """The model that served it, as reported by the endpoint."""
    response_id: str | None = None
    """The endpoint's id of the completion."""
    request_id: str | None = None
    """The provider's id of the request."""
    system_fingerprint: str | None = None
    """The backend's configuration, as reported by the endpoint."""
    service_tier: str | None = None
    """The tier it was served in."""
    finish_reason: str | None = None
    """Why the model stopped."""
    usage: Usage | None = None
    """Tokens; None if the endpoint's counts are missing or unusable."""
    endpoint: str | None = None
    """The name of the endpoint that was asked, if there are several."""
    tried: tuple[Tried, ...] = ()
    """The other endpoints that were asked or skipped, in order."""


class Completer(Protocol):
    """Anything that can answer a prompt: an endpoint's client, or a script in a test."""

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """Complete a prompt; every failure of the call becomes an outcome."""
        ...


class ClosingCompleter(Completer, Protocol):
    """A completer that holds connections."""

    async def aclose(self) -> None:
        """Close them."""
        ...


def read_completion(body: bytes, request: dict[str, Any], attempts: tuple[Attempt, ...]) -> Completion:
    """Read the body of a 200 response. A pure function, so that replay reads it the same way."""
    document: Any = None
    try:
        document, steps = read_document(body)
        choices = document["choices"]
        text, more_steps = extract(choices)
        message = choices[0]["message"]
        refusal = _refusal(message)
        finish_reason = _text(choices[0].get("finish_reason"))
        for mapping, name in ((choices[0], "finish_reason"), (message, "refusal")) if steps else ():
            field(mapping, name)
    except UNREADABLE as error:
        filtered = is_filtered(document)
        why = f"the response is no chat completion: {type(error).__name__}: {error}"
        return Completion(
            outcome=Outcome.FILTERED if filtered else Outcome.UNREADABLE,
            detail=_FILTERED if filtered else cut(why, MAX_DETAIL_CHARS),
            request=request,
            attempts=attempts,
            body=body,
            request_id=attempts[-1].request_id if attempts else None,
        )
    outcome, detail = _judge(text, refusal, finish_reason, message)
    answered = outcome is Outcome.ANSWERED
    return Completion.model_construct(
        outcome=outcome,
        detail=detail,
        content=text if answered else None,
        answer_from=steps + more_steps if answered else (),
        request=request,
        attempts=attempts,
        body=body,
        model=_text(document.get("model")),
        response_id=_text(document.get("id")),
        request_id=attempts[-1].request_id if attempts else None,
        system_fingerprint=_text(document.get("system_fingerprint")),
        service_tier=_text(document.get("service_tier")),
        finish_reason=finish_reason,
        usage=read_usage(document.get("usage")),
    )


def _refusal(message: dict[str, Any]) -> str:
    """What the model said instead of an answer; empty if it did not refuse."""
    said = message.get("refusal")
    if not said and isinstance(content := message.get("content"), list):
        parts = (part for part in content if isinstance(part, dict) and part.get("type") == "refusal")
        said = " ".join(str(part.get("refusal")) for part in parts)
    return str(said).encode(errors="replace").decode() if said else ""


def _judge(
    text: str | None, refusal: str, finish_reason: str | None, message: dict[str, Any]
) -> tuple[Outcome, str | None]:
    if refusal:
        return Outcome.REFUSED, cut(f"the model refused: {refusal}", MAX_DETAIL_CHARS)
    if is_filter_reason(finish_reason):
        return Outcome.FILTERED, _FILTERED
    if finish_reason is not None and finish_reason.lower() in _LENGTH_REASONS and not (text and is_object(text)):
        return Outcome.TRUNCATED, f"the answer was cut at the length limit (finish_reason {finish_reason})"
    if text is None:
        thought = next((name for name in _REASONING if message.get(name)), None)
        beside = f"; only {thought} has text, and reasoning is not the answer" if thought else ""
        return Outcome.UNREADABLE, f"the message has no text (finish_reason {finish_reason}){beside}"
    return Outcome.ANSWERED, None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return cut(value if value.isascii() else value.encode(errors="replace").decode(), MAX_NAME_CHARS)
