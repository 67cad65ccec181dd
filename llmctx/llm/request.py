"""A request: what is sent to an endpoint for one prompt, and what of it a record keeps."""

import json
from typing import Any

from llmctx.llm.completion import OutputSchema
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters


def body_of(model: str, prompt: Prompt, output: OutputSchema) -> dict[str, Any]:
    """The body of a chat-completions request."""
    return {
        "model": model,
        "messages": [message._asdict() for message in prompt.messages],
        "response_format": output.response_format,
        **sent(prompt.parameters),
    }


def encode_body(model: str, prompt: Prompt, output: OutputSchema) -> bytes:
    """`body_of` as JSON bytes. The messages are the prompt's evidence, byte for byte: what is kept is what was sent."""
    head = json.dumps({"model": model, **sent(prompt.parameters)}, ensure_ascii=False, separators=(",", ":"))
    return b'%b,"messages":%b,"response_format":%b}' % (
        head[:-1].encode(),
        prompt.evidence,
        output.response_format_json,
    )


def sent(parameters: Parameters) -> dict[str, Any]:
    """The parameters as they are sent: what is not set is not there."""
    return parameters.model_dump(exclude_none=True)


def kept(endpoint: str, model: str, parameters: Parameters, output: OutputSchema) -> dict[str, Any]:
    """What is asked for, as a leaf keeps it: no floats, no secrets."""
    return {
        "endpoint": endpoint,
        "model": model,
        "parameters": {
            name: str(value) if isinstance(value, float) else value for name, value in sent(parameters).items()
        },
        "schema": output.name,
        "schema_sha256": output.sha256,
    }
