"""Requests in the providers' own protocols, built from the same messages, parameters and output as a chat completion.

Sources: OpenAI, platform.openai.com/docs/api-reference/responses; Anthropic, platform.claude.com/docs/en/api/messages
and platform.claude.com/docs/en/build-with-claude/prompt-caching; Amazon,
docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

import json
import re
from typing import Any

from llmctx.llm.mode import SENDS_SCHEMA, Mode
from llmctx.llm.native.api import Api
from llmctx.llm.output import AskedOutput, fields_for

ANTHROPIC_ANSWER_TOKENS = 8192
"""The length limit for Anthropic, which needs one, if the prompt sets none."""
_CACHES = re.compile(r"anthropic\.|amazon\.nova", re.IGNORECASE)
"""The models on Bedrock that take cache points."""
_INFERENCE = ("maxTokens", "temperature", "topP")
_DESCRIPTION = "Give the answer."


def output_fields(api: Api, asked: AskedOutput, mode: Mode) -> dict[str, Any]:  # noqa: PLR0911  one a form
    """Return the fields of a request's body that ask for this output; none if the protocol has none for the mode."""
    match api, mode in SENDS_SCHEMA, mode:
        case Api.CHAT, _, _:
            return fields_for(asked, mode)
        case Api.RESPONSES, True, _:
            schema = {"type": "json_schema", "name": asked.name, "strict": True, "schema": asked.schema}
            return {"text": {"format": schema}}
        case Api.RESPONSES, _, Mode.JSON_OBJECT:
            return {"text": {"format": {"type": "json_object"}}}
        case Api.RESPONSES, _, Mode.TOOL:
            tool = {"name": asked.name, "description": _DESCRIPTION, "parameters": asked.schema, "strict": True}
            return {"tools": [{"type": "function", **tool}], "tool_choice": "required"}
        case Api.ANTHROPIC, True, _:
            return {"output_config": {"format": {"type": "json_schema", "schema": asked.schema}}}
        case Api.ANTHROPIC, _, Mode.TOOL:
            tool = {"name": asked.name, "description": _DESCRIPTION, "input_schema": asked.schema}
            return {"tools": [tool], "tool_choice": {"type": "tool", "name": asked.name}}
        case Api.BEDROCK, True, _:
            structure = {"jsonSchema": {"name": asked.name, "schema": json.dumps(asked.schema)}}
            return {"outputConfig": {"textFormat": {"type": "json_schema", "structure": structure}}}
        case Api.BEDROCK, _, Mode.TOOL:
            tool = {"name": asked.name, "description": _DESCRIPTION, "inputSchema": {"json": asked.schema}}
            return {"toolConfig": {"tools": [{"toolSpec": tool}], "toolChoice": {"tool": {"name": asked.name}}}}
    return {}


def parameter_fields(api: Api, model: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request's body for a model and these parameters, under the names used on the wire."""
    match api:
        case Api.RESPONSES:
            fields = {"model": model, **parameters}
            if (effort := fields.pop("reasoning_effort", None)) is not None:
                fields["reasoning"] = {"effort": effort}
            return fields
        case Api.BEDROCK:
            inference = {name: parameters[name] for name in _INFERENCE if name in parameters}
            others = {name: value for name, value in parameters.items() if name not in inference}
            return {"inferenceConfig": inference, **others} if inference else others
    return {"model": model, **parameters}


def message_fields(api: Api, model: str, messages: list[dict[str, str]]) -> dict[str, Any]:
    """Return the fields of a request's body that hold the messages. The system message, which does not change from tick
    to tick, is marked for the provider's cache where the protocol has a mark.
    """
    if api is Api.RESPONSES:
        return {"input": messages}
    system = [message["content"] for message in messages if message["role"] == "system"]
    others = [message for message in messages if message["role"] != "system"]
    if api is Api.ANTHROPIC:
        blocks: list[dict[str, Any]] = [{"type": "text", "text": text} for text in system]
        if blocks:
            blocks[-1]["cache_control"] = {"type": "ephemeral"}
        return ({"system": blocks} if blocks else {}) | {"messages": others}
    blocks = [{"text": text} for text in system]
    if blocks and _CACHES.search(model):
        blocks.append({"cachePoint": {"type": "default"}})
    said = [{"role": message["role"], "content": [{"text": message["content"]}]} for message in others]
    return ({"system": blocks} if blocks else {}) | {"messages": said}
