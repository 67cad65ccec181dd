"""The bench behind the fixtures: prompts by name, the completer, and the summary of flips."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from llmctx.assets import asset
from llmctx.context.package import Package
from llmctx.decision.decision import OUTPUT, Decision
from llmctx.decision.verdict import Verdict
from llmctx.errors import TemplateError
from llmctx.llm.completion import Completer, Completion
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Template, load_template, versions_of
from llmctx.replay.answer import Answer, recorded_answer
from llmctx.replay.corpus import Corpus, Recorded
from llmctx.replay.plan import Plan, ReplayRequest, build_request
from llmctx.replay.results import Result
from llmctx.replay.sides import Pair
from llmctx.testing.completers import Endpoint, LiveEndpoint, RecordingEndpoint, Recordings
from llmctx.testing.flip_summary import FlipSummary


class ReplayedDecision(NamedTuple):
    """A recorded decision, decided again."""

    recorded: Recorded
    """The record."""
    package: Package
    """The package."""
    prompt: Prompt
    """The prompt."""
    completion: Completion
    """The completion."""
    decision: Decision | None
    """The model's decision; None if its answer is unusable."""
    failure: str
    """Why the answer is unusable; empty otherwise."""
    verdict: Verdict
    """The verdict; `verdict.grounding` compares the answer's numbers with the facts."""
    result: Result
    """The recorded answer beside the new one, as in `llmctx compare`."""

    @property
    def action(self) -> str:
        """The verdict's action."""
        return self.verdict.action

    @property
    def flipped(self) -> bool:
        """Whether it acts differently from the record."""
        return Pair(self.result, self.result.recorded, self.result.replayed).flipped


class Bench:
    """Prompts by name, the completer, and the summary of flips."""

    def __init__(self, folder: Path | None = None, live: LiveEndpoint | None = None) -> None:
        """`folder` holds the user's own prompts; prompts that it lacks are those shipped with llmctx.

        Raises EndpointError for a malformed address or key.
        """
        self._folders = [asset("prompts")] if folder is None else [folder, asset("prompts")]
        self._keep = live is not None and live.keep
        self._endpoint = None if live is None else Endpoint(live)
        self._templates: dict[str, Template] = {}
        self._recordings: dict[Path, Recordings] = {}
        self._summary = FlipSummary()
        # Work runs in a loop in its own thread, because the test may itself run in a loop.
        self._loop = asyncio.new_event_loop()
        self._thread = ThreadPoolExecutor(1)

    @property
    def summary(self) -> FlipSummary:
        """The summary of the decisions so far."""
        self._summary.tokens = None if self._endpoint is None else self._endpoint.tokens
        return self._summary

    def prompt_of(self, entry: Recorded, corpus: Corpus, template: str | None) -> Prompt:
        """Render a template with a record's data; without a template, return the prompt as it was sent.

        Raises TemplateError if the template does not exist, or uses what the data lacks.
        """
        return self._request(entry, corpus, template)[1]

    def completer_of(self, file: Path, corpus: Corpus) -> Completer:
        """Return the completer for questions about a corpus. Raises CorpusError if the answers file beside it cannot be
        read.
        """
        if self._endpoint is not None and not self._keep:
            return self._endpoint
        if file not in self._recordings:
            self._recordings[file] = Recordings(corpus, file)
        recordings = self._recordings[file]
        return recordings if self._endpoint is None else RecordingEndpoint(self._endpoint, recordings)

    def decide(self, entry: Recorded, corpus: Corpus, template: str | None, completer: Completer) -> ReplayedDecision:
        """Decide a record again.

        Raises MissingCompletionError if no answer is recorded, BudgetError if the budget of live calls is used up,
        EndpointError if no model answers.
        """
        request, prompt = self._request(entry, corpus, template)
        completion = self._wait_for(completer.complete(prompt, OUTPUT))
        decided = _decided(request, prompt, completion)
        if isinstance(completer, Recordings | Endpoint | RecordingEndpoint):
            self._summary.count(decided.result)
        else:
            self._summary.scripted += 1
        return decided

    def close(self) -> None:
        """Close the connections."""
        if self._endpoint is not None:
            self._wait_for(self._endpoint.aclose())
        self._thread.shutdown()
        self._loop.close()

    def _request(self, entry: Recorded, corpus: Corpus, template: str | None) -> tuple[ReplayRequest, Prompt]:
        plan = Plan(None if template is None else self._template(template), model="recorded")
        request = build_request(entry, plan, corpus.blobs)
        if request.prompt is None:
            raise TemplateError(request.reason, "Correct the template, or remove the record from the corpus.")
        return request, request.prompt

    def _template(self, name: str) -> Template:
        if name not in self._templates:
            self._templates[name] = load_template(self._folder_of(name), name)
        return self._templates[name]

    def _folder_of(self, name: str) -> Path:
        """Return the first folder that has a prompt of this name."""
        for folder in self._folders:
            versions = versions_of(folder)
            if name in versions or name in {version.partition("/")[0] for version in versions}:
                return folder
        known = sorted({version for folder in self._folders for version in versions_of(folder)})
        raise TemplateError(
            f"There is no prompt {name!r} in {' or '.join(str(folder) for folder in self._folders)}.",
            f"Name one of: {', '.join(known)}; or name the folder: --llmctx-prompts DIR, or llmctx_prompts in the ini.",
        )

    def _wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._thread.submit(self._loop.run_until_complete, work).result()


def _decided(request: ReplayRequest, prompt: Prompt, completion: Completion) -> ReplayedDecision:
    policy = request.policy
    if policy.grounding == "off":  # in older records; flagging changes no verdict
        policy = policy.model_copy(update={"grounding": "flag"})
    conclusion = request.conclude(completion, policy)
    record = request.entry.record
    result = Result(
        **vars(request.entry.place),
        repeat=1,
        symbol=record["symbol"],
        as_of_ms=record["as_of_ms"],
        recorded=_without_texts(recorded_answer(request.entry)),
        replayed=_without_texts(request.answer(conclusion)),
    )
    return ReplayedDecision(
        recorded=request.entry,
        package=request.package,
        prompt=prompt,
        completion=completion,
        decision=conclusion.decision,
        failure=next((fired.detail for fired in conclusion.verdict.guards if fired.name == "no_answer"), ""),
        verdict=conclusion.verdict,
        result=result,
    )


def _without_texts(answer: Answer) -> Answer:
    """Drop the texts, which the summary does not compare."""
    return answer._replace(messages=(), text=None, detail=None)
