"""Errors as endpoints report them: the status, the message and the parameter, in any of the forms that they use.

Sources: OpenAI, platform.openai.com/docs/guides/error-codes; OpenRouter, openrouter.ai/docs/api/errors (an error in a
200 response or in a choice); Azure, learn.microsoft.com/azure/ai-services/openai/concepts/content-filter; Google,
cloud.google.com/apis/design/errors; FastAPI's `detail`.
"""

import re
from typing import Any, NamedTuple

from llmctx.llm.envelope import read_envelope

BAD_GATEWAY = 502
"""The status of an error that names none: the endpoint answered for a model that failed."""

_NAMED = (
    (r"insufficient_quota|rate.?limit|too.many.requests|resource_exhausted|throttl", 429),
    (r"overloaded|unavailable|loading|capacity|engine_overload", 503),
    (r"timeout|timed.out|deadline", 504),
    (r"authentication|invalid_api_key|unauthori[sz]ed|unauthenticated", 401),
    (r"insufficient.*(credit|balance|funds)|payment|billing", 402),
    (r"permission|forbidden|moderation", 403),
    (r"not_?found", 404),
    (r"invalid_request|invalid_argument|bad_request|context_length|unsupported|content_filter", 400),
)
"""The status of an error by its type or code, or, where it has neither, by its message."""
_FILTERS = re.compile(
    r"content_filter|content_policy|responsibleaipolicy|data_inspection|prohibited_content", re.IGNORECASE
)
_RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"')
_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError)


class ReportedError(NamedTuple):
    """What an endpoint says of an error."""

    status: int
    """The status that it names or that its type stands for; 502 if there is none."""
    message: str
    """What happened, as the endpoint says it."""
    code: str = ""
    """Its code and type."""
    param: str = ""
    """The parameter that is at fault, if it is named."""
    is_filter: bool = False
    """Whether a content filter stopped the request."""

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" if self.code and self.code not in self.message else self.message


def read_error(body: bytes | None) -> ReportedError | None:
    """The error that a body reports; None if it reports none in a known form."""
    try:
        document: Any = read_envelope(body or b"")[0]
        if isinstance(document, list):
            document = document[0]
        return _read(document)
    except _UNREADABLE:
        return None


def error_in_success(body: bytes | None) -> ReportedError | None:
    """The error that the body of a 200 response holds instead of a completion; None if there is none."""
    if body is None or b'"error"' not in body:  # in an answer's text the quotes are escaped
        return None
    try:
        document: Any = read_envelope(body)[0]
        choices = document.get("choices") or [{}]
        if document.get("error") or choices[0].get("error"):
            return _read(document if document.get("error") else choices[0])
    except _UNREADABLE:
        pass
    return None


def is_filtered(document: Any) -> bool:
    """Whether a response without choices is one that a content filter stopped.

    Gemini answers a stopped prompt with a completion that has no choices, or with the reason in promptFeedback.
    """
    if not isinstance(document, dict):
        return False
    if isinstance(feedback := document.get("promptFeedback"), dict) and feedback.get("blockReason"):
        return True
    if document.get("error"):
        error = _read(document)
        return error is not None and error.is_filter
    empty = "choices" in document and document["choices"] in (None, [])
    return empty and any(document.get(name) for name in ("id", "model", "usage"))


def retry_delay_s(body: bytes | None) -> float | None:
    """The seconds that the body of an error asks to wait, as Google writes them; None if it asks for none."""
    found = _RETRY_DELAY.search(body or b"")
    return None if found is None else float(found[1])


def _read(document: dict[str, Any]) -> ReportedError | None:
    error = document.get("error", document)
    if isinstance(error, str):
        return ReportedError(_status({}, error), error)
    if not isinstance(error, dict):
        return None
    message = _message(error)
    if not message:
        return None
    names = [error.get(name) for name in ("code", "type", "status")]
    inner = error.get("innererror")
    names.append(inner.get("code") if isinstance(inner, dict) else None)
    code = " ".join(dict.fromkeys(name for name in names if isinstance(name, str) and not name.isdigit()))
    flagged = isinstance(error.get("metadata"), dict) and bool(error["metadata"].get("flagged_input"))
    param = error.get("param")
    return ReportedError(
        status=_status(error, f"{code} {message}"),
        message=message,
        code=code,
        param=param if isinstance(param, str) else "",
        is_filter=flagged or bool(_FILTERS.search(code)),
    )


def _message(error: dict[str, Any]) -> str:
    """What an error says: its message, with that of the provider behind it, or FastAPI's detail."""
    said = error.get("message") or error.get("detail") or error.get("error_description") or error.get("error")
    if isinstance(said, list):
        said = "; ".join(_detail(item) for item in said)
    text = said if isinstance(said, str) else ""
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and isinstance(raw := metadata.get("raw"), str) and raw not in text:
        text = f"{text}: {metadata.get('provider_name') or 'provider'}: {raw}"
    return text


def _detail(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    where = item.get("loc")
    place = ".".join(str(part) for part in where) if isinstance(where, list) else ""
    return f"{place}: {item.get('msg', '')}" if place else str(item.get("msg", ""))


def _status(error: dict[str, Any], said: str) -> int:
    for name in ("code", "status", "status_code"):
        value = error.get(name)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if type(value) is int and 400 <= value <= 599:  # noqa: PLR2004  the statuses of errors
            return value
    return next((status for pattern, status in _NAMED if re.search(pattern, said, re.IGNORECASE)), BAD_GATEWAY)
