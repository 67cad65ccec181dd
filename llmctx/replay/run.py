"""Run a replay: ask recorded decisions again, several at once, within a budget, writing each answer as it comes.

The trail and the live keys stay untouched: records come in, results go to their file.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from llmctx.errors import EndpointError
from llmctx.llm.completion import Completer, Completion
from llmctx.llm.failures import MAX_CONSECUTIVE_FAILURES, FailureCount
from llmctx.replay.answer import recorded_answer
from llmctx.replay.budget import Budget
from llmctx.replay.corpus import BlobCache, Recorded
from llmctx.replay.difference import causes
from llmctx.replay.plan import Plan, ReplayRequest, build_request, position_of
from llmctx.replay.results import UNANSWERED, Result, ResultsFile

CompleterFor = Callable[[ReplayRequest, int], Completer | None]
"""Returns the completer of a request for the n-th time; None leaves it out."""


class ReplaySummary(NamedTuple):
    """The result of a run."""

    asked: int
    """Questions answered in this run."""
    before: int
    """Answers that the results file already held."""
    left_out: int
    """Questions without a completer."""
    stopped: bool
    """Whether the budget ended the run early."""
    unanswered: int = 0
    """Calls of this run that got no answer."""
    trouble: str = ""
    """Why the last of those got no answer."""


class Replay:
    """One run of a replay."""

    def __init__(
        self,
        plan: Plan,
        blobs: BlobCache,
        completer_for: CompleterFor,
        file: ResultsFile,
        budget: Budget | None = None,
        *,
        max_failures: int | None = MAX_CONSECUTIVE_FAILURES,
        on_result: Callable[[Result | None], None] = lambda _: None,
    ) -> None:
        """`on_result` gets each result, None for a question left out.

        The run ends after `max_failures` calls in a row without an answer; None continues regardless, since the lines
        of a batch output are independent.
        """
        self._plan = plan
        self._blobs = blobs
        self._completer_for = completer_for
        self._file = file
        self._budget = budget or Budget()
        self._max_failures = max_failures
        self._on_result = on_result
        self._budget_changed = asyncio.Condition()
        self._left_out = 0
        self._calls = FailureCount()
        self._stopped = False
        self._done = {(result.place, result.repeat) for result in file.before}
        for result in file.before:
            answer = result.replayed
            self._budget.count(answer.tokens, answer.served, answer.requested)

    async def run(self, entries: Sequence[Recorded], *, concurrency: int = 8) -> ReplaySummary:
        """Ask each record's questions until all are asked or the budget is used up.

        Raises ReplayError for a record that cannot be asked again, EndpointError if the endpoint is down. Answers
        received until then are in the file.
        """
        repeats = range(1, self._plan.repeat + 1)
        questions = iter(
            [(entry, repeat) for entry in entries for repeat in repeats if (entry.place, repeat) not in self._done]
        )

        async def work() -> None:
            for entry, repeat in questions:
                await self._ask(entry, repeat)
                if self._stopped:
                    return

        tasks = [asyncio.create_task(work()) for _ in range(concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return ReplaySummary(
            asked=self._calls.calls - self._calls.failed,
            before=len(self._done),
            left_out=self._left_out,
            stopped=self._stopped,
            unanswered=self._calls.failed,
            trouble=self._calls.last,
        )

    async def _ask(self, entry: Recorded, repeat: int) -> None:
        request = build_request(entry, self._plan, self._blobs)
        completion: Completion | None = None
        if request.prompt is not None:
            completer = self._completer_for(request, repeat)
            if completer is None:
                self._left_out += 1
                self._on_result(None)
                return
            completion = await self._complete(completer, request)
            if completion is None:
                return
        self._finish(request, repeat, completion)

    async def _complete(self, completer: Completer, request: ReplayRequest) -> Completion | None:
        """Return the completion, None if the budget does not suffice for the call."""
        assert request.prompt is not None
        async with self._budget_changed:
            while (reservation := self._budget.reserve(request.model, request.prompt)) is None:
                if self._stopped or not self._budget.has_reservations:
                    self._stopped = True
                    return None
                await self._budget_changed.wait()  # a call under way may release part of its reservation
        try:
            completion = await completer.complete(request.prompt, request.output)
        finally:
            self._budget.release(reservation)
        if completion.usage is None and completion.outcome not in UNANSWERED:
            self._budget.count_unknown(reservation)
        async with self._budget_changed:
            self._budget_changed.notify_all()
        return completion

    def _finish(self, request: ReplayRequest, repeat: int, completion: Completion | None) -> None:
        recorded = request.grounded(recorded_answer(request.entry))
        price = self._budget.price(recorded.served, recorded.requested)
        if price is not None and recorded.tokens is not None:
            recorded = recorded._replace(cost=f"{price.of(recorded.tokens):f}")
        replayed = request.grounded(request.answer(request.conclude(completion)))
        if completion is not None:
            cost = self._budget.count(completion.usage, completion.model, request.model)
            replayed = replayed._replace(cost=None if cost is None else f"{cost:f}")
        held, price_of_share = position_of(request.package)
        result = Result(
            **vars(request.entry.place),
            repeat=repeat,
            symbol=request.entry.record.get("symbol", ""),
            as_of_ms=request.entry.record["as_of_ms"],
            recorded=recorded,
            replayed=replayed,
            causes=tuple(causes(recorded, replayed)),
            held=held,
            price=price_of_share,
        )
        self._file.add(result)
        self._on_result(result)
        self._count(result)

    def _count(self, result: Result) -> None:
        if result.final:
            self._calls.succeed()
            return
        self._calls.fail(result.replayed.detail or result.replayed.outcome)
        if self._calls.in_a_row == self._max_failures:
            raise EndpointError(
                f"{self._calls.in_a_row} calls in a row got no answer; the last one: {self._calls.last}.",
                f"{self._calls.remedy} Run the same command again to resume from {self._file.path}.",
            )
