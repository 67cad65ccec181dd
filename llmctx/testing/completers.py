"""Completers for tests: a script, the recordings of a corpus, and an endpoint with a budget."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.errors import BudgetError, MissingCompletionError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completion, OutputSchema, read_completion
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters
from llmctx.replay.corpus import Corpus
from llmctx.replay.rerun import Templates


class Scripted:
    """Gives answers in turn, whatever it is asked."""

    def __init__(self, *answers: str | Mapping[str, Any]) -> None:
        self._answers = [answer if isinstance(answer, str) else json.dumps(dict(answer)) for answer in answers]
        self.prompts: list[Prompt] = []
        """What it was asked."""

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002  as a Completer has it
        """The next answer.

        Raises MissingCompletionError where there is none left.
        """
        self.prompts.append(prompt)
        if not self._answers:
            raise MissingCompletionError("The script has no answer left.", "Give it one more.")
        message = {"role": "assistant", "content": self._answers.pop(0), "refusal": None}
        body = {"model": "scripted", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return read_completion(canonical.wire(body), {"model": "scripted"}, ())


class Recordings:
    """What was answered before: by the records of a corpus, and in the file beside it (NAME.answers.jsonl)."""

    def __init__(self, corpus: Corpus, file: Path) -> None:
        self._file = file.with_suffix(".answers.jsonl")
        self._bodies: dict[str, bytes] = {}
        templates = Templates(corpus.blobs)
        for entry in corpus.entries:
            if "prompt" in entry.record and "completion" in entry.pieces:
                parameters = templates.get(entry.record["prompt"]["template_sha256"]).front_matter.parameters
                self._bodies[_question(entry.pieces["messages"], parameters)] = entry.pieces["completion"]
        for line in self._lines():
            kept = canonical.loads(line)
            self._bodies[kept["question"]] = kept["body"].encode()

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002  as a Completer has it
        """What was answered to just these messages, asked with these parameters.

        Raises MissingCompletionError where nothing was.
        """
        body = self._bodies.get(_question(prompt.evidence, prompt.parameters))
        if body is None:
            raise MissingCompletionError(
                f"No answer is recorded to these messages of {prompt.template}/v{prompt.version}.",
                "Record one with --llmctx-live URL --llmctx-model NAME --llmctx-record, or pass a scripted completer.",
            )
        return read_completion(body, {}, ())

    def keep(self, prompt: Prompt, body: bytes) -> None:
        """Keep an answer in the file; it takes the place of an earlier one to the same question."""
        question = _question(prompt.evidence, prompt.parameters)
        others = [line for line in self._lines() if canonical.loads(line)["question"] != question]
        ref = f"{prompt.template}/v{prompt.version}"
        mine = canonical.dumps({"body": body.decode(), "prompt": ref, "question": question})
        self._file.write_bytes(b"".join(line + b"\n" for line in [*others, mine]))
        self._bodies[question] = body

    def _lines(self) -> list[bytes]:
        return [line for line in self._file.read_bytes().split(b"\n") if line] if self._file.exists() else []


def _question(messages: bytes, parameters: Parameters) -> str:
    """The digest of a question: the messages as sent, and what was asked for beside them."""
    return canonical.sha256(messages + b"\n" + parameters.model_dump_json(exclude_none=True).encode())


class Endpoint:
    """A real endpoint, as long as the budget lasts."""

    def __init__(self, client: EndpointClient, budget: int) -> None:
        self._client = client
        self._budget = budget
        self.taken = 0
        """Tokens taken so far, read and written."""

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """What the endpoint says.

        Raises BudgetError once the budget is used up.
        """
        if self.taken >= self._budget:
            raise BudgetError(
                f"The live calls have taken {self.taken} tokens of {self._budget}.", "Raise --llmctx-budget TOKENS."
            )
        completion = await self._client.complete(prompt, output)
        if completion.usage is not None:
            self.taken += completion.usage.prompt + completion.usage.completion
        else:
            self.taken += len(prompt.evidence) // 4  # an estimate, where the endpoint does not count
        return completion


class Keeping:
    """An endpoint whose answers are kept."""

    def __init__(self, endpoint: Endpoint, recordings: Recordings) -> None:
        self._endpoint = endpoint
        self._recordings = recordings

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """What the endpoint says; an answer is kept, a failed call is not."""
        completion = await self._endpoint.complete(prompt, output)
        if completion.body is not None and completion.content is not None:
            self._recordings.keep(prompt, completion.body)
        return completion
