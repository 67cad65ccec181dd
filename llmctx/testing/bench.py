"""The bench that the fixtures stand on: prompts by name, who answers, and the summary of what flipped."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.assets import asset
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.conclude import conclude, refuse
from llmctx.decision.decision import OUTPUT, Decision
from llmctx.decision.guards import Verdict
from llmctx.decision.parse import judge
from llmctx.errors import TemplateError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completer, Completion
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Template, load_template, versions_of
from llmctx.record import policy_of
from llmctx.replay.corpus import Corpus, Recorded
from llmctx.replay.pair import Pair
from llmctx.replay.plan import Plan, draft
from llmctx.replay.rerun import Templates
from llmctx.replay.results import Result
from llmctx.replay.side import side_of, side_of_record
from llmctx.testing.completers import Endpoint, Keeping, Recordings
from llmctx.testing.summary import Summary, result_of


class Live(NamedTuple):
    """The endpoint to ask."""

    url: str
    """Its base URL."""
    key: str
    """Its key."""
    model: str
    """The model."""
    budget: int
    """Tokens that all calls together may take."""
    keep: bool
    """Whether its answers are kept beside the corpus."""


class Decided(NamedTuple):
    """A recorded decision, decided again."""

    recorded: Recorded
    """The record."""
    package: Package
    """What was known."""
    prompt: Prompt
    """What was asked."""
    completion: Completion
    """What came back."""
    decision: Decision | None
    """What it decides; None where it is not usable."""
    failure: str
    """Why it is not; empty otherwise."""
    verdict: Verdict
    """What may be acted on; `verdict.grounding` says what of it stands in the facts."""
    result: Result
    """Both as `llmctx compare` sets them side by side."""

    @property
    def action(self) -> str:
        """What may be done now."""
        return self.verdict.action

    @property
    def flipped(self) -> bool:
        """Whether something else would be done than was recorded."""
        return Pair(self.result, self.result.recorded, self.result.replayed).flipped


class Bench:
    """Prompts by name, who answers, and the summary."""

    def __init__(self, folder: Path | None = None, live: Live | None = None) -> None:
        """`folder` has prompts of one's own; what it has not is taken from those that ship with llmctx.

        Raises EndpointError for an address or a key that cannot be used.
        """
        self._folders = [asset("prompts")] if folder is None else [folder, asset("prompts")]
        self._live = live
        self._client = None if live is None else EndpointClient(live.url, live.key, live.model)
        self._endpoint = (
            None if self._client is None or live is None else Endpoint(self._client, live.url, live.model, live.budget)
        )
        self._loaded: dict[str, Template] = {}
        self._recordings: dict[Path, Recordings] = {}
        self._summary = Summary()

    @property
    def summary(self) -> Summary:
        """What became of the decisions so far."""
        self._summary.tokens = None if self._endpoint is None else self._endpoint.taken
        return self._summary

    def prompt_of(self, entry: Recorded, corpus: Corpus, template: str | None) -> Prompt:
        """What a template makes of a record's data; without one, what was sent.

        Raises TemplateError for a template that is not there, or that asks for what the data has not.
        """
        plan = Plan(None if template is None else self._template(template), "recorded")
        asked = draft(entry, plan, Templates(corpus.blobs), corpus.blobs)
        if asked.prompt is None:
            raise TemplateError(asked.reason, "Correct the template, or leave the record out of the corpus.")
        return asked.prompt

    def completer_of(self, file: Path, corpus: Corpus) -> Completer:
        """Who answers about a corpus.

        Raises CorpusError where the answers beside it cannot be read.
        """
        if self._endpoint is not None and self._live is not None and not self._live.keep:
            return self._endpoint
        if file not in self._recordings:
            self._recordings[file] = Recordings(corpus, file)
        recordings = self._recordings[file]
        return recordings if self._endpoint is None else Keeping(self._endpoint, recordings)

    def decide(self, entry: Recorded, corpus: Corpus, template: str | None, completer: Completer) -> Decided:
        """A record, decided again.

        Raises MissingCompletionError where nothing is recorded, BudgetError where the live calls have no room left,
        EndpointError where no model answers.
        """
        prompt = self.prompt_of(entry, corpus, template)
        completion = self._wait_for(completer.complete(prompt, OUTPUT))
        decided = _decided(entry, prompt, completion)
        if isinstance(completer, Recordings | Endpoint | Keeping):
            self._summary.count(decided.result)
        else:
            self._summary.scripted += 1
        return decided

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._wait_for(self._client.aclose())
        if "_loop" in vars(self):
            self._thread.submit(self._loop.close).result()
            self._thread.shutdown()

    def _template(self, name: str) -> Template:
        if name not in self._loaded:
            self._loaded[name] = load_template(self._folder_of(name), name)
        return self._loaded[name]

    def _folder_of(self, name: str) -> Path:
        """The first folder that has a prompt of this name."""
        for folder in self._folders:
            versions = versions_of(folder)
            if name in versions or name in {version.partition("/")[0] for version in versions}:
                return folder
        known = sorted({version for folder in self._folders for version in versions_of(folder)})
        raise TemplateError(
            f"There is no prompt {name!r} in {' or '.join(str(folder) for folder in self._folders)}.",
            f"Name one of: {', '.join(known)}; or name the folder: --llmctx-prompts DIR, or llmctx_prompts in the ini.",
        )

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1)

    def _wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Its result, from a loop of one's own in a thread of one's own: a test may or may not run in a loop."""
        return self._thread.submit(self._loop.run_until_complete, work).result()


def _decided(entry: Recorded, prompt: Prompt, completion: Completion) -> Decided:
    snapshot = Snapshot.from_evidence(entry.pieces["snapshot"])
    package = build_package(snapshot)
    policy = policy_of(entry.record)
    if policy.grounding == "off":  # an older record: looking changes nothing
        policy = policy.model_copy(update={"grounding": "flag"})
    if package.refusal is None:
        conclusion = conclude(snapshot, package, prompt, completion, policy)
    else:
        conclusion = refuse(snapshot, package, package.refusal)
    _, failure = judge(completion)
    known = canonical.sha256(entry.pieces["snapshot"])
    result = result_of(entry, side_of_record(entry), side_of(conclusion, model="", snapshot=known))
    return Decided(entry, package, prompt, completion, conclusion.decision, failure, conclusion.verdict, result)
