"""A request: what is sent to an endpoint for one prompt, and which parts a record keeps."""

import json
from typing import Any

from llmctx.llm.completion import OutputSchema
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters


def body_of(model: str, prompt: Prompt, output: OutputSchema) -> dict[str, Any]:
    """Return the body of a chat-completions request."""
    return {
        "model": model,
        "messages": [message._asdict() for message in prompt.messages],
        "response_format": output.response_format,
        **sent(prompt.parameters),
    }


def encode_body(model: str, prompt: Prompt, output: OutputSchema) -> bytes:
    """Return `body_of` as JSON bytes, with the prompt's evidence as its messages: what is kept is what was sent."""
    head = json.dumps({"model": model, **sent(prompt.parameters)}, ensure_ascii=False, separators=(",", ":"))
    return b'%b,"messages":%b,"response_format":%b}' % (
        head[:-1].encode(),
        prompt.evidence,
        output.response_format_json,
    )


def sent(parameters: Parameters) -> dict[str, Any]:
    """Return the parameters as sent, without unset ones."""
    return parameters.model_dump(exclude_none=True)


def kept(endpoint: str, model: str, parameters: Parameters, output: OutputSchema) -> dict[str, Any]:
    """Return the request as a leaf keeps it: no floats, no secrets."""
    return {
        "endpoint": endpoint,
        "model": model,
        "parameters": {
            name: str(value) if isinstance(value, float) else value for name, value in sent(parameters).items()
        },
        "schema": output.name,
        "schema_sha256": output.sha256,
    }
