"""A completer that answers as the stand-in does, without the way over HTTP; bodies and ids as long as a provider's."""

import json
import os
import time

from llmctx.llm.completion import Attempt, Completion, read_completion
from llmctx.llm.output import OutputSchema
from llmctx.llm.rulebook import Facts, decide
from llmctx.prompt.render import Prompt


class ByRules:
    """Answers by the stand-in's rules."""

    def __init__(self) -> None:
        self._count = 0

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """The answer to a prompt, as the client would read it from a response."""
        self._count += 1
        text = prompt.messages[1].content
        answer = json.dumps(decide(Facts(text)))
        body = {
            "id": f"chatcmpl-{os.urandom(12).hex()}", "object": "chat.completion", "created": int(time.time()),
            "model": "llmctx-standin", "system_fingerprint": "rules-1",
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": answer, "refusal": None},
                "finish_reason": "stop", "logprobs": None,
            }],
            "usage": {"prompt_tokens": len(text) // 4, "completion_tokens": len(answer) // 4},
        }  # fmt: skip
        request = {
            "endpoint": "http://127.0.0.1:8700/v1", "model": "llmctx-standin",
            "parameters": {"max_completion_tokens": 1200, "temperature": "0"},
            "schema": output.name, "schema_sha256": output.sha256,
        }  # fmt: skip
        attempts = (Attempt("ok", 400 + self._count % 900, f"standin-{self._count}"),)
        return read_completion(json.dumps(body).encode(), request, attempts)
