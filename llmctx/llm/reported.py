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
    (r"insufficient.{0,20}(credit|balance|funds)|payment|billing", 402),
    (r"permission|forbidden|moderation", 403),
    (r"not_?found|unexpected endpoint", 404),
    (r"invalid_request|invalid_argument|bad_request|context_length|unsupported|content_filter|new_sensitive", 400),
)
"""The status of an error by its type or code or, if it has neither, by its message."""
_FILTER_CODES = re.compile(
    r"content_filter|content_policy|responsibleaipolicy|data_inspection|prohibited_content", re.IGNORECASE
)
_FILTER_WORDS = re.compile(
    r"by content filter|response was filtered|content exists risk|contentpolicyviolation|flagged as potentially"
    r"|content violates usage|blocked due to security|new_sensitive",
    re.IGNORECASE,
)
"""What messages say about a content filter if the code says only that the request was bad."""
_FILTER_REASONS = frozenset(
    {"content_filter", "safety", "recitation", "prohibited_content", "blocklist", "spii", "sensitive", "error_toxic"}
)
"""The finish reasons of an answer that a content filter stopped, without what some providers add behind a colon."""
_FAILED_REASONS = {
    "error": BAD_GATEWAY,  # OpenRouter, Mistral
    "network_error": BAD_GATEWAY,  # Zhipu
    "insufficient_system_resource": 503,  # DeepSeek
    "abort": 503,  # vLLM, SGLang
}
"""The finish reasons of an answer that the provider could not complete, and the status that each stands for."""
_SIGNS = (b'"error"', b'"base_resp"', *(b'"%b"' % reason.encode() for reason in _FAILED_REASONS if reason != "error"))
"""One of them stands in a 200 response that reports an error; in an answer's text the quotes are escaped."""
_MESSAGES = ("message", "Message", "status_msg", "detail", "error_description", "error")
_RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"')
_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError)


class ReportedError(NamedTuple):
    """What an endpoint says of an error."""

    status: int
    """The status that it names or that its type stands for; 502 by default."""
    message: str
    """What happened, in the endpoint's words."""
    code: str = ""
    """Its code and type."""
    param: str = ""
    """The parameter at fault, if named."""
    is_filter: bool = False
    """Whether a content filter stopped the request."""
    is_answer: bool = False
    """Whether it shows the model's answer, which the endpoint refused because it does not fit the form."""

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
    if body is None or not any(sign in body for sign in _SIGNS):
        return None
    try:
        document: Any = read_envelope(body)[0]
        choice = (document.get("choices") or [{}])[0]
        for said in (document, choice):
            if said.get("error") or _base_status(said):
                return _read(said)
        if (status := _FAILED_REASONS.get(reason := choice.get("finish_reason"))) is not None:
            return ReportedError(status, f"the provider ended the answer with finish_reason {reason}")
    except _UNREADABLE:
        pass
    return None


def is_filter_reason(finish_reason: Any) -> bool:
    """Whether a finish reason says that a content filter stopped the answer."""
    return isinstance(finish_reason, str) and finish_reason.partition(":")[0].lower() in _FILTER_REASONS


def is_filtered(document: Any) -> bool:
    """Whether a response without an answer is one that a content filter stopped.

    Gemini answers a stopped prompt with a completion that has no choices, or with the reason in promptFeedback; Azure
    may leave out the message of a stopped answer.
    """
    if not isinstance(document, dict):
        return False
    if isinstance(feedback := document.get("promptFeedback"), dict) and feedback.get("blockReason"):
        return True
    if document.get("error") or _base_status(document):
        error = _read(document)
        return error is not None and error.is_filter
    choices = document.get("choices", ())
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return is_filter_reason(choices[0].get("finish_reason"))
    return choices in (None, []) and any(document.get(name) for name in ("id", "model", "usage"))


def retry_delay_s(body: bytes | None) -> float | None:
    """The seconds that the body of an error asks to wait, in Google's form; None if it asks for none."""
    found = _RETRY_DELAY.search(body or b"")
    return None if found is None else float(found[1])


def _read(document: dict[str, Any]) -> ReportedError | None:
    error = _error_of(document)
    if isinstance(error, str):
        return ReportedError(_status({}, error), error, is_filter=bool(_FILTER_WORDS.search(error)))
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
        is_filter=flagged or bool(_FILTER_CODES.search(code) or _FILTER_WORDS.search(message)),
        is_answer=isinstance(error.get("failed_generation"), str),
    )


def _error_of(document: dict[str, Any]) -> Any:
    """Where the error is: under its own name, first in a list of errors, or the document itself."""
    error = document.get("error") or document.get("errors")
    if isinstance(error, list) and error and isinstance(error[0], dict):
        return error[0]
    return error or document.get("base_resp") or document


def _base_status(document: dict[str, Any]) -> int:
    """MiniMax's own status; 0 is success."""
    base = document.get("base_resp")
    status = base.get("status_code") if isinstance(base, dict) else 0
    return status if isinstance(status, int) else 0


def _message(error: dict[str, Any]) -> str:
    """The text of an error: its message, followed by the provider's, or FastAPI's detail."""
    said = next((error[name] for name in _MESSAGES if error.get(name)), "")
    if isinstance(said, dict):
        said = said.get("detail")
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
        if isinstance(value, str) and re.fullmatch("[0-9]{3}", value):
            value = int(value)
        if type(value) is int and 400 <= value <= 599:  # noqa: PLR2004  the statuses of errors
            return value
    return next((status for pattern, status in _NAMED if re.search(pattern, said, re.IGNORECASE)), BAD_GATEWAY)
