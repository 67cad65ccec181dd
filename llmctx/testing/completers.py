"""Completers for tests: scripted answers, the recordings of a corpus, and an endpoint with a budget."""

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import BudgetError, CorpusError, EndpointError, MissingCompletionError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completion, Outcome, read_completion
from llmctx.llm.output import OutputSchema
from llmctx.llm.usage import Usage
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters
from llmctx.replay.budget import Budget
from llmctx.replay.corpus import Corpus
from llmctx.replay.plan import recorded_prompt
from llmctx.replay.results import UNANSWERED

_BYTES_PER_TOKEN = 4
_MAX_ATTEMPTS = 3  # a test must not wait for an endpoint until the deadline


class Scripted:
    """Gives the same answers in turn, whatever it is asked."""

    def __init__(self, *answers: str | Mapping[str, Any]) -> None:
        self._answers = [answer if isinstance(answer, str) else json.dumps(dict(answer)) for answer in answers]
        self.prompts: list[Prompt] = []
        """The prompts it was asked."""

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002  the interface of Completer
        """Return the next answer.

        Raises MissingCompletionError if none is left.
        """
        self.prompts.append(prompt)
        if not self._answers:
            raise MissingCompletionError("All scripted answers were used.", "Script one more.")
        message = {"role": "assistant", "content": self._answers.pop(0), "refusal": None}
        body = {"model": "scripted", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return read_completion(canonical.wire(body), {"model": "scripted"}, ())


class AnswersFile:
    """The answers file beside a corpus (NAME.answers.jsonl): answers of an endpoint, by the digest of the question.

    To keep an answer: take the lock, read the file again, write a draft, rename it to the file. So concurrent runs lose
    no answers, and readers never see an incomplete file.
    """

    def __init__(self, corpus: Path) -> None:
        self.path = corpus.with_suffix(".answers.jsonl")
        """The file, which need not exist."""
        self._corpus = corpus

    def bodies(self) -> dict[str, bytes]:
        """Return the body of each answer, by the digest of its question.

        Raises CorpusError for a malformed line.
        """
        return {question: body for question, (_, body) in self._read().items()}

    def keep(self, prompt: Prompt, body: bytes) -> None:
        """Keep an answer, replacing an earlier one to the same question.

        Raises CorpusError if the file cannot be read or written.
        """
        question = question_of(prompt.evidence, prompt.parameters)
        ref = f"{prompt.template}/v{prompt.version}"
        line = canonical.dumps({"body": body.decode(), "prompt": ref, "question": question})
        draft = self.path.with_name(f"{self.path.name}.new")
        try:
            with self._corpus.open("rb") as lock:  # the corpus exists anyway, so no lock file is left behind
                fcntl.flock(lock, fcntl.LOCK_EX)
                lines = [kept for other, (kept, _) in self._read().items() if other != question]
                draft.write_bytes(b"".join(kept + b"\n" for kept in [*lines, line]))
                draft.replace(self.path)
        except OSError as error:
            raise CorpusError(
                f"{self.path} cannot be written: {error}.", "Check its folder and permissions."
            ) from error

    def _read(self) -> dict[str, tuple[bytes, bytes]]:
        """Return line and body by question, in file order."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CorpusError(f"{self.path} cannot be read: {error}.", "Check its permissions.") from error
        found = {}
        for number, line in enumerate(lines, start=1):
            if line:
                question, body = self._parse(number, line)
                found[question] = line, body
        return found

    def _parse(self, number: int, line: bytes) -> tuple[str, bytes]:
        try:
            kept = canonical.loads(line)
            question, body = kept["question"], kept["body"]
            return str(question), body.encode()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorpusError(
                f"Line {number} of {self.path} is not an answer: {type(error).__name__}: {error}.",
                "Restore the file from version control, or remove the line and record its answer again with "
                "--llmctx-live URL --llmctx-model NAME --llmctx-record.",
            ) from error


def question_of(messages: bytes, parameters: Parameters) -> str:
    """Return the digest of a question: the messages without the form of the answer, and the request parameters."""
    return canonical.sha256(messages + b"\n" + parameters.model_dump_json(exclude_none=True).encode())


class Recordings:
    """Recorded answers: those of a corpus, and those in the answers file beside it."""

    def __init__(self, corpus: Corpus, file: Path) -> None:
        """Raises CorpusError if the answers file has a malformed line."""
        self._answers = AnswersFile(file)
        self._bodies: dict[str, bytes] = {}
        self._unanswered: dict[str, str] = {}
        for entry in corpus.entries:
            if "completion" not in entry.record:
                continue
            asked = recorded_prompt(entry, corpus.blobs)
            if asked is None:
                continue
            question = question_of(asked.evidence, asked.parameters)
            outcome = entry.record["completion"]["outcome"]
            if outcome in UNANSWERED:  # its body, if any, is an error page
                self._unanswered[question] = outcome
            else:
                self._bodies[question] = entry.pieces["completion"]
        self._bodies |= self._answers.bodies()

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002  the interface of Completer
        """Return the answer recorded for exactly these messages and parameters.

        Raises MissingCompletionError if there is none.
        """
        question = question_of(prompt.evidence, prompt.parameters)
        body = self._bodies.get(question)
        if body is None:
            outcome = self._unanswered.get(question)
            why = "" if outcome is None else f"; the recorded call got none ({outcome})"
            raise MissingCompletionError(
                f"No answer is recorded for these messages of {prompt.template}/v{prompt.version}, neither in the "
                f"corpus nor in {self._answers.path.name}{why}.",
                "Record one with --llmctx-live URL --llmctx-model NAME --llmctx-record, or pass a scripted completer.",
            )
        return read_completion(body, {}, ())

    def keep(self, prompt: Prompt, body: bytes) -> None:
        """Keep an answer in the file, replacing an earlier one to the same question."""
        self._answers.keep(prompt, body)
        self._bodies[question_of(prompt.evidence, prompt.parameters)] = body


class LiveEndpoint(NamedTuple):
    """The endpoint to ask."""

    url: str
    """Its base URL."""
    key: str
    """Its API key."""
    model: str
    """The model."""
    budget_tokens: int
    """Tokens that all calls together may use."""
    keep: bool
    """Whether its answers are kept beside the corpus."""


class Endpoint:
    """A real endpoint, within a budget of tokens."""

    def __init__(self, live: LiveEndpoint) -> None:
        """Raises EndpointError for a malformed address or key."""
        self._live = live
        self._client = EndpointClient(live.url, live.key, live.model, max_attempts=_MAX_ATTEMPTS)
        self._budget = Budget(live.budget_tokens)

    @property
    def tokens(self) -> int:
        """Tokens used so far, prompts and answers."""
        return self._budget.tokens

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """Return the model's answer.

        Raises BudgetError if the budget does not suffice for the call, EndpointError if no model answers.
        """
        reservation = self._budget.reserve(self._live.model, prompt)
        if reservation is None:
            raise BudgetError(
                f"The live calls have used {self.tokens} of {self._live.budget_tokens} tokens; "
                "another one might exceed the budget.",
                "Raise --llmctx-budget TOKENS, or select fewer tests with -k.",
            )
        try:
            completion = await self._client.complete(prompt, output)
        finally:
            self._budget.release(reservation)
        if not _is_answered(completion):
            raise EndpointError(
                f"No model answered at {self._live.url}: {completion.detail}.",
                "Correct --llmctx-live, --llmctx-model or --llmctx-key-file, or omit them to use recorded answers.",
            )
        self._budget.count(completion.usage or _estimated(prompt, completion), self._live.model)
        return completion

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _is_answered(completion: Completion) -> bool:
    """Whether a model answered at all, even if it refused or gave a useless answer."""
    if completion.outcome is Outcome.UNREADABLE:  # a login page is no model, a completion without text is
        return completion.model is not None or completion.finish_reason is not None
    return completion.outcome not in UNANSWERED


def _estimated(prompt: Prompt, completion: Completion) -> Usage:
    """Estimate the tokens for an endpoint that does not count them."""
    written = len((completion.content or "").encode())
    return Usage(len(prompt.evidence) // _BYTES_PER_TOKEN, written // _BYTES_PER_TOKEN, 0, 0)


class RecordingEndpoint:
    """An endpoint whose answers are kept."""

    def __init__(self, endpoint: Endpoint, recordings: Recordings) -> None:
        self._endpoint = endpoint
        self._recordings = recordings

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """Return the model's answer. A refusal is kept like any answer, so that the next run finds it."""
        completion = await self._endpoint.complete(prompt, output)
        if completion.body is not None:
            self._recordings.keep(prompt, completion.body)
        return completion
