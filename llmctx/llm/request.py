"""A request: what is sent to an endpoint for one prompt, and which parts a record keeps.

All that does not change from tick to tick is worked out once, by `plan_request`.
"""

import json
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.llm.output import AskedOutput, OutputSchema, fields_for
from llmctx.llm.profile import Profile
from llmctx.prompt.form import evidence_with
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters

LENGTH_LIMITS = ("max_completion_tokens", "max_tokens")
"""The parameters that limit the length of an answer."""


class RequestPlan(NamedTuple):
    """A request without its messages."""

    head: bytes
    """The body up to the messages."""
    tail: bytes
    """The body behind them."""
    kept: dict[str, Any]
    """The request as a leaf keeps it: no floats, no secrets."""
    asked: AskedOutput
    """What is asked for."""
    blob: bytes
    """The same as the blob that the leaf names."""
    answer_tokens: int
    """The most tokens of an answer, reasoning included; 0 if the prompt sets no limit."""

    def messages(self, prompt: Prompt) -> bytes:
        """The messages as they are sent and kept: those of the prompt, with the form of the answer."""
        return evidence_with(prompt, self.asked.form)

    def body(self, messages: bytes) -> bytes:
        """The body with these messages: what is kept is what was sent."""
        return b"".join((self.head, messages, self.tail))


def plan_request(
    endpoint: str, model: str, profile: Profile, parameters: Parameters, output: OutputSchema
) -> RequestPlan:
    """Work out the request that a profile makes of a prompt with these parameters; the endpoint is only recorded."""
    sent = parameters_sent(parameters, profile)
    asked = output.asked(profile.mode, profile.form)
    tail = _json(fields_for(asked, profile.mode) | profile.body)[1:]
    blob = asked.bundle
    kept = {
        "endpoint": endpoint,
        "model": model,
        "parameters": {name: _recorded(value) for name, value in (sent | profile.body).items()},
        "schema": asked.name,
        "schema_sha256": canonical.sha256(blob),
        "mode": str(profile.mode),
        "profile": profile.name,
    }
    if profile.headers:
        kept["headers"] = sorted(profile.headers)  # their values may be secrets
    return RequestPlan(
        head=_json({"model": model, **sent})[:-1] + b',"messages":',
        tail=b"}" if tail == b"}" else b"," + tail,
        kept=kept,
        asked=asked,
        blob=blob,
        answer_tokens=_length_limit(parameters, profile),
    )


def parameters_sent(parameters: Parameters, profile: Profile) -> dict[str, Any]:
    """Return the parameters of a prompt that a profile sends, under the names that it gives them."""
    sent: dict[str, Any] = {}
    for name, value in parameters.model_dump(exclude_none=True).items():
        if name in profile.drop or name in profile.body:
            continue
        room = profile.reasoning_tokens if name in LENGTH_LIMITS else 0
        sent[profile.rename.get(name, name)] = value + room if room else value
    return sent


def _length_limit(parameters: Parameters, profile: Profile) -> int:
    limits = [getattr(parameters, name) for name in LENGTH_LIMITS]
    limit = max((limit for limit in limits if limit is not None), default=None)
    return 0 if limit is None else limit + profile.reasoning_tokens


def _recorded(value: Any) -> Any:
    """A parameter as a leaf has it: a text, an integer or a boolean."""
    if isinstance(value, float):
        return str(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":")) if isinstance(value, dict | list) else value


def _json(document: dict[str, Any]) -> bytes:
    """A document as JSON, its fields in their own order: that is the order in which models answer."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
