"""A model that answers by a rule and counts what it is asked."""

import asyncio
import json
from collections.abc import Callable

from llmctx.llm.completion import Attempt, Completion, Outcome, read_completion
from llmctx.llm.output import OutputSchema
from llmctx.prompt.render import Prompt
from llmctx.replay.plan import ReplayRequest
from tests.unit.makers import answer_text, body, request_of


class Model:
    """Answers every request; `say` returns the changes of its n-th answer."""

    def __init__(self, say: Callable[[int], dict[str, object]] = lambda _: {}, *, served: str = "served-model") -> None:
        self.say = say
        self.served = served
        self.prompts: list[Prompt] = []
        self.models: list[str] = []
        self.most_at_once = self._now = 0
        self.down = False

    def __call__(self, request: ReplayRequest, _repeat: int) -> "Model":
        self.models.append(request.model)
        return self

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        self.prompts.append(prompt)
        request = request_of(self.models[-1], prompt) | {"schema_sha256": output.sha256}
        attempts = (Attempt("ok", 40, "r1"),)
        if self.down:
            return Completion(
                outcome=Outcome.UNREACHABLE, detail="connection refused", request=request, attempts=attempts
            )
        raw = json.loads(body(answer_text(**self.say(len(self.prompts)))))
        return read_completion(json.dumps(raw | {"model": self.served}).encode(), request, attempts)
