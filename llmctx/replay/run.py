"""Ask recorded decisions again: so many at once, within a budget, each answer written down as it comes.

Nothing of it touches the trail or a live key: records come in, results go to their file, and that is all.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import NamedTuple

from llmctx.errors import EndpointError
from llmctx.llm.completion import Completer, Completion
from llmctx.replay.budget import Budget
from llmctx.replay.cause import causes
from llmctx.replay.corpus import Recorded
from llmctx.replay.plan import Draft, Plan, draft
from llmctx.replay.rerun import Templates
from llmctx.replay.results import Result
from llmctx.replay.results_file import ResultsFile
from llmctx.replay.side import side_of_record
from llmctx.replay.trouble import remedy

Answerer = Callable[[Draft, int], Completer | None]
"""Who answers a question for the n-th time; None where nobody can, and it is left out."""

PATIENCE = 8
"""So many calls in a row without an answer, and the endpoint is taken to be away."""


class Summary(NamedTuple):
    """What a run did."""

    asked: int
    """Questions answered by this run."""
    before: int
    """Answers that the results file had already."""
    left_out: int
    """Questions that nobody could answer."""
    stopped: bool
    """Whether the budget ended it before all was asked."""
    unanswered: int = 0
    """Calls of this run that got no answer."""
    trouble: str = ""
    """What the last one of those came to."""


class Replay:
    """One run."""

    def __init__(
        self,
        plan: Plan,
        blobs: dict[str, bytes],
        answerer: Answerer,
        file: ResultsFile,
        budget: Budget | None = None,
        *,
        patience: int | None = PATIENCE,
        on_result: Callable[[Result | None], None] = lambda _: None,
    ) -> None:
        """`blobs` grow with the records; `on_result` is told each result, None for a question left out.

        `patience` None goes on however many calls get no answer: in a batch's output each stands for itself.
        """
        self._plan = plan
        self._blobs = blobs
        self._templates = Templates(blobs)
        self._answerer = answerer
        self._file = file
        self._budget = budget or Budget()
        self._patience = patience
        self._on_result = on_result
        self._changed = asyncio.Condition()
        self._asked = self._left_out = self._unanswered = self._failures = 0
        self._trouble = ""
        self._stopped = False
        self._done = {(result.place, result.repeat) for result in file.before}
        for result in file.before:
            used = result.replayed
            self._budget.count(used.tokens, used.served, used.asked)

    async def run(self, entries: AsyncIterator[Recorded] | Iterable[Recorded], *, concurrency: int = 8) -> Summary:
        """Ask of every record what the plan asks, until all is asked or the budget is used up.

        Raises ReplayError for a record that cannot be asked again, EndpointError where the endpoint stays away;
        what was answered until then is in the file.
        """
        questions = self._questions(entries)
        lock = asyncio.Lock()

        async def work() -> None:
            while not self._stopped:
                async with lock:
                    question = await anext(questions, None)
                if question is None:
                    return
                await self._ask(*question)

        tasks = [asyncio.create_task(work()) for _ in range(concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return Summary(self._asked, len(self._done), self._left_out, self._stopped, self._unanswered, self._trouble)

    async def _questions(
        self, entries: AsyncIterator[Recorded] | Iterable[Recorded]
    ) -> AsyncIterator[tuple[Recorded, int]]:
        async for entry in _each(entries):
            for repeat in range(1, self._plan.repeat + 1):
                if (entry.place, repeat) not in self._done:
                    yield entry, repeat

    async def _ask(self, entry: Recorded, repeat: int) -> None:
        question = draft(entry, self._plan, self._templates, self._blobs)
        completion: Completion | None = None
        if question.prompt is not None:
            completer = self._answerer(question, repeat)
            if completer is None:
                self._left_out += 1
                self._on_result(None)
                return
            completion = await self._complete(completer, question)
            if completion is None:
                return
        self._finish(question, repeat, completion)

    async def _complete(self, completer: Completer, question: Draft) -> Completion | None:
        """The answer; None where the budget has no room for the call."""
        assert question.prompt is not None
        async with self._changed:
            while (room := self._budget.set_aside(question.model, question.prompt)) is None:
                if self._stopped or not self._budget.waits:
                    self._stopped = True
                    return None
                await self._changed.wait()  # a call under way may give back some of what was set aside for it
        try:
            completion = await completer.complete(question.prompt, question.output)
        finally:
            self._budget.settle(room)
        async with self._changed:
            self._changed.notify_all()
        return completion

    def _finish(self, question: Draft, repeat: int, completion: Completion | None) -> None:
        entry, recorded = question.entry, question.grounded(side_of_record(question.entry))
        cost = self._budget.price(recorded.served, recorded.asked)
        if cost is not None and recorded.tokens is not None:
            recorded = recorded._replace(cost=f"{cost.of(recorded.tokens):f}")
        replayed = question.grounded(question.side(completion))
        if completion is not None:
            paid = self._budget.count(completion.usage, completion.model, question.model)
            replayed = replayed._replace(cost=None if paid is None else f"{paid:f}")
        result = Result(
            *entry.place,
            repeat,
            entry.record.get("symbol", ""),
            entry.record["as_of_ms"],
            recorded,
            replayed,
            tuple(causes(recorded, replayed)),
            *question.position,
        )
        self._file.add(result)
        self._on_result(result)
        self._count(result)

    def _count(self, result: Result) -> None:
        if result.final:
            self._asked += 1
            self._failures = 0
            return
        self._unanswered += 1
        self._failures += 1
        self._trouble = result.replayed.detail or result.replayed.outcome
        if self._failures == self._patience:
            raise EndpointError(
                f"{self._failures} calls in a row got no answer, the last one: {self._trouble}.",
                f"{remedy(self._trouble)} The same command goes on where {self._file.path} ends.",
            )


async def _each(entries: AsyncIterator[Recorded] | Iterable[Recorded]) -> AsyncIterator[Recorded]:
    if isinstance(entries, AsyncIterator):
        async for entry in entries:
            yield entry
    else:
        for entry in entries:
            yield entry
