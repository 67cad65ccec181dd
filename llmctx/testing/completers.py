"""Completers for tests: a script, the recordings of a corpus, and an endpoint with a budget."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.errors import BudgetError, EndpointError, MissingCompletionError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completion, Outcome, OutputSchema, Usage, read_completion
from llmctx.prompt.render import Prompt
from llmctx.replay.budget import Budget
from llmctx.replay.corpus import Corpus, Recorded
from llmctx.replay.rerun import Templates
from llmctx.testing.answers import Answers, question_of

_NO_ANSWER = {Outcome.REJECTED, Outcome.UNREACHABLE, Outcome.TIMEOUT}
_BYTES_A_TOKEN = 4


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
        """Raises CorpusError where the file beside it holds a line that is no answer."""
        self._answers = Answers(file)
        self._bodies: dict[str, bytes] = {}
        self._unanswered: dict[str, str] = {}
        templates = Templates(corpus.blobs)
        for entry in corpus.entries:
            if "completion" in entry.record:
                parameters = templates.get(entry.record["prompt"]["template_sha256"]).front_matter.parameters
                self._add(entry, question_of(entry.pieces["messages"], parameters))
        self._bodies |= self._answers.bodies()

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002  as a Completer has it
        """What was answered to just these messages, asked with these parameters.

        Raises MissingCompletionError where nothing was.
        """
        question = question_of(prompt.evidence, prompt.parameters)
        body = self._bodies.get(question)
        if body is None:
            outcome = self._unanswered.get(question)
            why = "" if outcome is None else f": the recorded call got none ({outcome})"
            raise MissingCompletionError(
                f"No answer is recorded to these messages of {prompt.template}/v{prompt.version}, neither in the "
                f"corpus nor in {self._answers.path.name} beside it{why}.",
                "Record one with --llmctx-live URL --llmctx-model NAME --llmctx-record, or pass a scripted completer.",
            )
        return read_completion(body, {}, ())

    def _add(self, entry: Recorded, question: str) -> None:
        outcome = entry.record["completion"]["outcome"]
        if outcome in _NO_ANSWER:  # its body, if any, is an error page
            self._unanswered[question] = outcome
        else:
            self._bodies[question] = entry.pieces["completion"]

    def keep(self, prompt: Prompt, body: bytes) -> None:
        """Keep an answer in the file; it takes the place of an earlier one to the same question."""
        self._answers.keep(prompt, body)
        self._bodies[question_of(prompt.evidence, prompt.parameters)] = body


class Endpoint:
    """A real endpoint, as long as the budget lasts. Room is set aside before each call, as a replay does."""

    def __init__(self, client: EndpointClient, url: str, model: str, tokens: int) -> None:
        self._client = client
        self._url = url
        self._model = model
        self._tokens = tokens
        self._budget = Budget(tokens)

    @property
    def taken(self) -> int:
        """Tokens taken so far, read and written."""
        return self._budget.tokens

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """What the model says.

        Raises BudgetError where the budget has no room for the call, EndpointError where no model answers it.
        """
        room = self._budget.set_aside(self._model, prompt)
        if room is None:
            raise BudgetError(
                f"The live calls have taken {self.taken} tokens of {self._tokens}, and one more may not fit.",
                "Raise --llmctx-budget TOKENS, or select fewer tests with -k.",
            )
        try:
            completion = await self._client.complete(prompt, output)
        finally:
            self._budget.settle(room)
        if not _answered(completion):
            raise EndpointError(
                f"No model answered at {self._url}: {completion.detail}.",
                "Correct --llmctx-live, --llmctx-model or --llmctx-key-file; without them recorded answers are taken.",
            )
        self._budget.count(completion.usage or _estimated(prompt, completion), self._model)
        return completion


def _answered(completion: Completion) -> bool:
    """Whether a model spoke at all, even if it refused or said nothing of use."""
    if completion.outcome is Outcome.UNREADABLE:  # a login page is no model; a completion without a text is one's
        return completion.model is not None or completion.finish_reason is not None
    return completion.outcome not in _NO_ANSWER


def _estimated(prompt: Prompt, completion: Completion) -> Usage:
    """For an endpoint that does not count."""
    written = len((completion.content or "").encode())
    return Usage(len(prompt.evidence) // _BYTES_A_TOKEN, written // _BYTES_A_TOKEN, 0, 0)


class Keeping:
    """An endpoint whose answers are kept."""

    def __init__(self, endpoint: Endpoint, recordings: Recordings) -> None:
        self._endpoint = endpoint
        self._recordings = recordings

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """What the model says; a refusal is kept like any answer, so that the next run finds it."""
        completion = await self._endpoint.complete(prompt, output)
        if completion.body is not None:
            self._recordings.keep(prompt, completion.body)
        return completion
