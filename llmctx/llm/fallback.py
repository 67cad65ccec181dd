"""Several endpoints as one: the first that gives an answer, within one deadline.

They are asked in order. One without an answer of its model (unreachable, timeout, rejected, unreadable, limited, error)
is followed by the next; what a model said, a misfit or a refusal included, is never put to another one. An endpoint
without a timeout of its own gets an equal share of the time that is left. One whose circuit breaker is open is passed
over, and where none may be asked the guardrails need not wait.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from llmctx import clock
from llmctx.errors import in_short
from llmctx.llm.breaker import Breaker
from llmctx.llm.completion import Attempt, ClosingCompleter, Completion, Outcome, Tried
from llmctx.llm.output import OutputSchema
from llmctx.prompt.render import Prompt

_log = logging.getLogger(__name__)

SKIPPED = "skipped"
CANCELLED = "cancelled"
FALLS_BACK = frozenset(
    {Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.REJECTED, Outcome.UNREADABLE, Outcome.LIMITED, Outcome.ERROR}
)
"""The outcomes after which the next endpoint is asked."""
_KEPT = 200
_FEWEST = 20
"""With fewer answers than this, nothing counts as late."""


class Latencies:
    """How long an endpoint's latest answers took, to tell when one is late."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_KEPT)

    def add(self, seconds: float) -> None:
        """Add the duration of one answer."""
        self._seconds.append(seconds)

    def percentile(self, percent: float) -> float | None:
        """The seconds within which this percentage of the answers arrived; None while there are too few of them."""
        if len(self._seconds) < _FEWEST:
            return None
        rank = math.ceil(percent / 100 * len(self._seconds))
        return sorted(self._seconds)[max(0, rank - 1)]


class Endpoint(NamedTuple):
    """One endpoint of several, and its state."""

    name: str
    """Its name in settings and records."""
    completer: ClosingCompleter
    """Its client."""
    breaker: Breaker
    """Its circuit breaker."""
    latencies: Latencies
    """How long its latest answers took."""
    timeout_s: float | None = None
    """Its own deadline; None means an equal share of the time that is left."""


class Hedge(NamedTuple):
    """When a second call is made beside one that is late."""

    percentile: float
    """A call is late once it takes longer than this percentage of the endpoint's latest answers."""
    is_valid: Callable[[Completion], bool]
    """Whether a completion ends the race."""


class EndpointChain:
    """Asks several endpoints in order."""

    def __init__(self, endpoints: Sequence[Endpoint], *, timeout_s: float, hedge: Hedge | None = None) -> None:
        """`timeout_s` is the deadline over all of them; without `hedge` one is asked at a time."""
        self.endpoints = tuple(endpoints)
        """The endpoints, in order."""
        self._timeout_s = timeout_s
        self._hedge = hedge

    async def aclose(self) -> None:
        """Close the connections."""
        for endpoint in self.endpoints:
            await endpoint.completer.aclose()

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """The first completion that a model gave; if none did, the last failure.

        It names its endpoint and all others that were tried.
        """
        timeout_s = self._timeout_s if prompt.within_s is None else min(prompt.within_s, self._timeout_s)
        return await _Call(self.endpoints, self._hedge, prompt, output, timeout_s).run()


class _Call:
    """One prompt on its way through the endpoints."""

    def __init__(
        self, endpoints: Sequence[Endpoint], hedge: Hedge | None, prompt: Prompt, output: OutputSchema, timeout_s: float
    ) -> None:
        self._waiting = list(endpoints)
        self._hedge = hedge
        self._prompt = prompt
        self._output = output
        self._ends_s = clock.monotonic_s() + timeout_s
        self._log: list[Tried | Completion] = []

    async def run(self) -> Completion:
        last = None
        while (endpoint := self._next()) is not None:
            last = await (self._ask(endpoint) if self._hedge is None else self._race(endpoint, self._hedge))
            self._log.append(last)
            if last.outcome not in FALLS_BACK:
                break
        tried = tuple(_tried(item) for item in self._log if item is not last)
        return self._not_asked(tried) if last is None else last.model_copy(update={"tried": tried})

    def _next(self) -> Endpoint | None:
        """The next endpoint that may be asked; None if no other one may."""
        while self._waiting:
            endpoint = self._waiting.pop(0)
            why = "no time was left" if self._left_s() <= 0 else endpoint.breaker.refuse()
            if why is None:
                return endpoint
            self._log.append(Tried(endpoint.name, SKIPPED, why))
        return None

    async def _ask(self, endpoint: Endpoint) -> Completion:
        share_s = self._left_s() / (1 + sum(not other.breaker.is_open for other in self._waiting))
        within_s = round(share_s if endpoint.timeout_s is None else min(endpoint.timeout_s, self._left_s()), 3)
        began_s, counted = clock.monotonic_s(), False
        try:
            try:
                prompt = self._prompt.model_copy(update={"within_s": within_s})
                completion = await endpoint.completer.complete(prompt, self._output)
            except Exception as error:  # noqa: BLE001  whatever a client does, the next endpoint is asked
                completion = Completion(outcome=Outcome.ERROR, detail=in_short(error), request=_request(self._output))
            counted = self._count(endpoint, completion, clock.elapsed_ms(began_s) / 1000)
        finally:
            if not counted:
                endpoint.breaker.release()
        return completion.model_copy(update={"endpoint": endpoint.name})

    def _count(self, endpoint: Endpoint, completion: Completion, seconds: float) -> bool:
        """Tell the breaker the outcome of a call, unless that says nothing about the endpoint; return whether it did
        so.
        """
        if completion.outcome not in FALLS_BACK:
            if endpoint.breaker.succeed():
                _log.info(f"The endpoint {endpoint.name} answers again.")
            endpoint.latencies.add(seconds)
            return True
        # A second question has only the time that the first one left.
        hurried = completion.outcome is Outcome.TIMEOUT and self._prompt.within_s is not None
        if hurried or completion.outcome is Outcome.LIMITED:
            return False
        if endpoint.breaker.fail():
            _log.warning(f"The endpoint {endpoint.name} failed again and again and is skipped: {completion.detail}")
        return True

    async def _race(self, endpoint: Endpoint, hedge: Hedge) -> Completion:
        """The completion of an endpoint or, if that is late, the first valid one of it and the next endpoint.

        If no other endpoint may be asked, the same one is asked a second time.
        """
        late_s = endpoint.latencies.percentile(hedge.percentile)
        if late_s is None:
            return await self._ask(endpoint)
        runners = [self._start(endpoint)]
        try:
            await asyncio.wait([runners[0].task], timeout=late_s)
            if not runners[0].task.done():
                runners.append(self._start(self._next() or endpoint))
            return await self._winner(runners, hedge)
        finally:
            for runner in runners:
                runner.task.cancel()
            await asyncio.gather(*(runner.task for runner in runners), return_exceptions=True)

    def _start(self, endpoint: Endpoint) -> "_Runner":
        return _Runner(endpoint.name, asyncio.create_task(self._ask(endpoint)), clock.monotonic_s())

    async def _winner(self, runners: "list[_Runner]", hedge: Hedge) -> Completion:
        pending = {runner.task for runner in runners}
        ended: list[Completion] = []
        while pending and not any(map(hedge.is_valid, ended)):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            ended += [runner.task.result() for runner in runners if runner.task in done]
        # Without a valid one, a model's answer comes before a failed call.
        best = next(filter(hedge.is_valid, ended), None) or min(ended, key=lambda one: one.outcome in FALLS_BACK)
        self._log += [completion for completion in ended if completion is not best]
        self._log += [runner.cancelled for runner in runners if runner.task in pending]
        return best

    def _left_s(self) -> float:
        return self._ends_s - clock.monotonic_s()

    def _not_asked(self, tried: tuple[Tried, ...]) -> Completion:
        why = "; ".join(f"{one.endpoint}: {one.detail}" for one in tried)
        return Completion(
            outcome=Outcome.UNREACHABLE,
            detail=f"no endpoint was asked: {why}",
            request=_request(self._output),
            tried=tried,
        )


class _Runner(NamedTuple):
    """One of two calls that race."""

    name: str
    task: "asyncio.Task[Completion]"
    began_s: float

    @property
    def cancelled(self) -> Tried:
        """The call as it is recorded if it is cancelled now."""
        attempt = Attempt(CANCELLED, round(clock.elapsed_ms(self.began_s)), None)
        return Tried(self.name, CANCELLED, "another call answered first", attempts=(attempt,))


def _request(output: OutputSchema) -> dict[str, str]:
    return {"schema": output.name, "schema_sha256": output.sha256}


def _tried(item: Tried | Completion) -> Tried:
    """A completion other than the returned one, as it is recorded."""
    if isinstance(item, Tried):
        return item
    return Tried(
        item.endpoint or "",
        str(item.outcome),
        item.detail,
        item.request.get("endpoint"),
        item.request.get("model"),
        item.attempts,
        item.usage,
    )
