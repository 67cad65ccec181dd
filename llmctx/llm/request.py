"""A request: what is sent to an endpoint for one prompt, and which parts a record keeps.

Everything that stays the same from tick to tick is computed once, by `plan_request`.
"""

import json
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.llm.mode import BOUNDED
from llmctx.llm.native.api import Api
from llmctx.llm.native.request import ANTHROPIC_ANSWER_TOKENS, message_fields, output_fields, parameter_fields
from llmctx.llm.output import AskedOutput, OutputSchema
from llmctx.llm.profile import Profile
from llmctx.prompt.form import evidence_with
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters

LENGTH_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxTokens")
"""The parameters that limit the length of an answer, in every protocol."""
BOUNDED_ANSWER_TOKENS = 2048
"""The least length limit if a grammar enforces the bounds: small models fill them, which takes some 1,800 tokens."""


class RequestPlan(NamedTuple):
    """A request without its messages."""

    head: bytes
    """The body up to the messages; of another protocol than chat completions all of it, without the messages."""
    tail: bytes
    """The body after them."""
    api: Api
    """The protocol."""
    kept: dict[str, Any]
    """The request as a leaf keeps it: no floats, no secrets."""
    asked: AskedOutput
    """The requested output."""
    blob: bytes
    """The same as the blob that the leaf names."""
    answer_tokens: int
    """The most tokens of an answer, reasoning included; 0 if the prompt sets no limit."""

    def messages(self, prompt: Prompt) -> bytes:
        """The messages as they are sent and kept: those of the prompt, with the form of the answer."""
        return evidence_with(prompt, self.asked.form)

    def body(self, messages: bytes) -> bytes:
        """The body with these messages: the recorded ones are those sent."""
        if self.api is Api.CHAT:
            return b"".join((self.head, messages, self.tail))
        fields = message_fields(self.api, self.kept["model"], json.loads(messages))
        return self.head[:-1] + b"," + _json(fields)[1:]


def plan_request(
    endpoint: str, model: str, profile: Profile, parameters: Parameters, output: OutputSchema
) -> RequestPlan:
    """Compute the request that a profile makes from a prompt with these parameters; the endpoint is only recorded."""
    sent, api = parameters_sent(parameters, profile), profile.api
    asked = output.asked(profile.mode, profile.form)
    if api is Api.ANTHROPIC:
        sent.setdefault("max_tokens", ANTHROPIC_ANSWER_TOKENS)
    before = parameter_fields(api, model, sent)
    behind = output_fields(api, asked, profile.mode) | profile.body
    tail = _json(behind)[1:]
    blob = asked.bundle
    parameters_kept = {name: _recorded(value) for name, value in (sent | profile.body).items()}
    kept: dict[str, Any] = {
        "endpoint": endpoint,
        "model": model,
        "parameters": parameters_kept,
        "schema": asked.name,
        "schema_sha256": canonical.sha256(blob),
        "mode": str(profile.mode),
        "profile": profile.name,
    }
    if api is not Api.CHAT:
        kept["api"] = str(api)
    if profile.headers:
        kept["headers"] = sorted(profile.headers)  # their values may be secrets
    return RequestPlan(
        head=_json(before)[:-1] + b',"messages":' if api is Api.CHAT else _json(before | behind),
        tail=b"}" if tail == b"}" else b"," + tail,
        api=api,
        kept=kept,
        asked=asked,
        blob=blob,
        answer_tokens=max(
            (int(kept["parameters"][name]) for name in LENGTH_LIMITS if name in kept["parameters"]), default=0
        ),
    )


def parameters_sent(parameters: Parameters, profile: Profile) -> dict[str, Any]:
    """Return the parameters of a prompt that a profile sends, under the profile's names."""
    sent: dict[str, Any] = {}
    for name, value in parameters.model_dump(exclude_none=True).items():
        if name in profile.drop or name in profile.body:
            continue
        renamed = profile.rename.get(name, name)
        if profile.api is not Api.CHAT:  # a family uses the names of chat completions
            renamed = profile.rename.get(renamed, renamed)
        sent[renamed] = _length_limit(value, profile) if name in LENGTH_LIMITS else value
    return sent


def _length_limit(tokens: int, profile: Profile) -> int:
    least = BOUNDED_ANSWER_TOKENS if profile.mode in BOUNDED else 0
    return max(tokens, least) + profile.reasoning_tokens


def _recorded(value: Any) -> Any:
    """A parameter as a leaf has it: a text, an integer or a boolean."""
    if isinstance(value, float):
        return str(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":")) if isinstance(value, dict | list) else value


def _json(document: dict[str, Any]) -> bytes:
    """A document as JSON, its fields in their own order, because models answer in that order."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
