"""The attributes of a call to the model, from what the record of its tick says."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from llmctx import canonical
from llmctx.llm.completion import read_completion
from llmctx.ops.tracing.names import NO_REASON, PROVIDERS, REQUEST_PARAMETERS, SYSTEM_APART, USAGE, GenAI, Ours

Attributes = dict[str, Any]
ANSWERED = "answered"
"""The outcome of a call that went well."""


def call_attributes(record: Mapping[str, Any], completion: Mapping[str, Any]) -> Attributes:
    """The attributes of one call: the request, the endpoint and the outcome, without content."""
    request, prompt = record.get("request", {}), record.get("prompt", {})
    found: Attributes = {
        GenAI.OPERATION: "chat",
        GenAI.OUTPUT_TYPE: "json",
        GenAI.PROMPT_NAME: prompt.get("template"),
        GenAI.PROMPT_VERSION: None if "version" not in prompt else str(prompt["version"]),
        GenAI.REQUEST_MODEL: request.get("model"),
        GenAI.RESPONSE_MODEL: completion.get("model"),
        GenAI.RESPONSE_ID: completion.get("response_id"),
        GenAI.FINISH_REASONS: [completion.get("finish_reason", NO_REASON)],
        GenAI.ERROR: None if completion["outcome"] == ANSWERED else completion["outcome"],
        Ours.ATTEMPTS: len(completion.get("attempts", ())),
    }
    found |= _server(request.get("endpoint"))
    for name, value in request.get("parameters", {}).items():
        if name in REQUEST_PARAMETERS:
            attribute, kind = REQUEST_PARAMETERS[name]
            found[attribute] = kind(value)
    for name, count in completion.get("usage", {}).items():
        if name in USAGE:
            found[USAGE[name]] = count
    return {str(name): value for name, value in found.items() if value is not None}


def _server(endpoint: str | None) -> Attributes:
    """Provider, address and port of an endpoint."""
    parts = urlsplit(endpoint or "")
    host = parts.hostname or "unknown"
    provider = next((name for end, name in PROVIDERS.items() if re.search(rf"(^|[.-]){re.escape(end)}$", host)), host)
    found: Attributes = {GenAI.PROVIDER: provider}
    if parts.hostname is not None:
        found |= {GenAI.SERVER_ADDRESS: host, GenAI.SERVER_PORT: parts.port or (443 if parts.scheme == "https" else 80)}
    return found


def content_attributes(record: Mapping[str, Any], pieces: Mapping[str, bytes]) -> Attributes:
    """The content of the last call, from a record and its evidence, in the structured form of the conventions.

    System instructions stand apart only where the endpoint's protocol sends them apart from the messages.
    """
    found: Attributes = {}
    if (evidence := pieces.get("messages")) is not None:
        messages = [{"role": said["role"], "parts": [_text(said["content"])]} for said in canonical.loads(evidence)]
        if record.get("request", {}).get("api") in SYSTEM_APART:
            system = [message for message in messages if message["role"] == "system"]
            found[GenAI.SYSTEM_INSTRUCTIONS] = [part for message in system for part in message["parts"]]
            messages = [message for message in messages if message not in system]
        found[GenAI.INPUT_MESSAGES] = messages
    if (body := pieces.get("completion")) is not None:
        answer = read_completion(body, {}, ())
        if answer.content is not None:
            found[GenAI.OUTPUT_MESSAGES] = [{"role": "assistant", "parts": [_text(answer.content)]}]
    return {str(name): value for name, value in found.items()}


def _text(content: Any) -> dict[str, Any]:
    return {"type": "text", "content": content}


def evaluation_attributes(grounding: Mapping[str, Any], response_id: str | None) -> Attributes:
    """The attributes of the event that says how well the answer is grounded: the share of numbers that are."""
    wrong = {name: len(grounding.get(name, ())) for name in ("miscited", "false_prices")}
    counts = {name: grounding[name] for name in ("cited", "uncited", "unread")} | wrong
    judged = counts["cited"] + counts["uncited"] + counts["unread"] + counts["miscited"]
    found = {
        GenAI.EVALUATION_NAME: "grounding",
        GenAI.EVALUATION_SCORE: counts["cited"] / judged if judged else 1.0,
        GenAI.EVALUATION_LABEL: "grounded" if counts["cited"] == judged else "not_grounded",
        GenAI.EVALUATION_EXPLANATION: ", ".join(f"{count} {name}" for name, count in counts.items()),
        GenAI.RESPONSE_ID: response_id,
    }
    return {str(name): value for name, value in found.items() if value is not None}
