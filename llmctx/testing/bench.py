"""The bench that the fixtures stand on: prompts by name, who answers, and the tally of what flipped."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from llmctx.assets import asset
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.decision import OUTPUT, Decision
from llmctx.decision.guardrail import Verdict, guard, refused
from llmctx.decision.parse import judge
from llmctx.errors import TemplateError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completer, Completion
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Template, load_template
from llmctx.record import policy_of
from llmctx.replay.corpus import Corpus, Recorded
from llmctx.replay.plan import Plan, draft
from llmctx.replay.rerun import Templates
from llmctx.testing.completers import Endpoint, Keeping, Recordings


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

    @property
    def action(self) -> str:
        """What may be done now."""
        return self.verdict.action

    @property
    def flipped(self) -> bool:
        """Whether that is another action than the recorded one."""
        return self.action != str(self.recorded.record["verdict"]["action"])


class Bench:
    """Prompts by name, who answers, and the tally."""

    def __init__(self, folder: Path | None = None, live: Live | None = None) -> None:
        self._folder = folder or asset("prompts")
        self._live = live
        self._client = None if live is None else EndpointClient(live.url, live.key, live.model)
        self._endpoint = None if self._client is None or live is None else Endpoint(self._client, live.budget)
        self._loaded: dict[str, Template] = {}
        self._recordings: dict[Path, Recordings] = {}
        self._thread = ThreadPoolExecutor(1)
        self._loop = asyncio.new_event_loop()
        self.tally: dict[str, Counter[tuple[str, str]]] = {}
        """By prompt: how often a recorded action became another one."""
        self._ungrounded: Counter[str] = Counter()

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
        """Who answers about a corpus."""
        if file not in self._recordings:
            self._recordings[file] = Recordings(corpus, file)
        recordings = self._recordings[file]
        if self._endpoint is None or self._live is None:
            return recordings
        return Keeping(self._endpoint, recordings) if self._live.keep else self._endpoint

    def decide(self, entry: Recorded, corpus: Corpus, template: str | None, completer: Completer) -> Decided:
        """A record, decided again.

        Raises MissingCompletionError where nothing is recorded, BudgetError where the live calls took too much.
        """
        prompt, package = self.prompt_of(entry, corpus, template), _package(entry)
        completion = self._wait_for(completer.complete(prompt, OUTPUT))
        decision, failure = judge(completion)
        policy = policy_of(entry.record)
        if policy.grounding == "off":  # an older record: looking changes nothing
            policy = policy.model_copy(update={"grounding": "flag"})
        verdict = guard(package, decision, policy, failure) if package.refusal is None else refused(package.refusal)
        decided = Decided(entry, package, prompt, completion, decision, failure, verdict)
        self._count(decided)
        return decided

    def _count(self, decided: Decided) -> None:
        ref = f"{decided.prompt.template}/v{decided.prompt.version}"
        flips = self.tally.setdefault(ref, Counter())
        flips[decided.recorded.record["verdict"]["action"], decided.action] += 1
        grounding = decided.verdict.grounding
        self._ungrounded[ref] += grounding is not None and not grounding.grounded

    def summary(self) -> list[str]:
        """The flip matrix of each prompt, recorded actions by row."""
        lines: list[str] = []
        for ref, flips in sorted(self.tally.items()):
            total, same = flips.total(), sum(count for (old, new), count in flips.items() if old == new)
            lines.append(f"{ref}: {same} of {total} as recorded, {self._ungrounded[ref]} with numbers not in the facts")
            names = sorted({name for pair in flips for name in pair})
            lines.append("  recorded \\ now".ljust(18) + "".join(name.rjust(14) for name in names))
            for old in sorted({old for old, _ in flips}):
                counts = "".join(str(flips[old, new] or ".").rjust(14) for new in names)
                lines.append(f"  {old}".ljust(18) + counts)
        if self._endpoint is not None:
            lines.append(f"live calls took {self._endpoint.taken} tokens")
        return lines

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._wait_for(self._client.aclose())
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()

    def _template(self, name: str) -> Template:
        if name not in self._loaded:
            self._loaded[name] = load_template(self._folder, name)
        return self._loaded[name]

    def _wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Its result, from a loop of one's own in a thread of one's own: a test may or may not run in a loop."""
        return self._thread.submit(self._loop.run_until_complete, work).result()


def _package(entry: Recorded) -> Package:
    return build_package(Snapshot.from_evidence(entry.pieces["snapshot"]))
