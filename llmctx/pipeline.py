"""One tick, from snapshot to trail entry.

No step may lose a stop: whatever breaks between the snapshot and the record, the guardrails still judge the position.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx import clock
from llmctx.context.ledger import Ledger
from llmctx.context.package import Package, build_package
from llmctx.context.read_rules import Clock, ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.context.snapshot import Known, Snapshot
from llmctx.context.staleness import Status
from llmctx.context.tick import Tick
from llmctx.dead_letter import DeadLetter, write_dead_letter, write_unjudged
from llmctx.decision.approved import Approved
from llmctx.decision.conclude import Conclusion, FirstAnswer, conclude, conclude_unasked, refuse
from llmctx.decision.decision import OUTPUT
from llmctx.decision.halt import HALTED, halt_in
from llmctx.decision.parse import misfit_of
from llmctx.decision.reask import ask_again
from llmctx.decision.reservation import Reserve, with_room
from llmctx.decision.trigger import TriggerPolicy
from llmctx.decision.verdict import GuardPolicy, Verdict
from llmctx.errors import SnapshotError, TemplateError, TrailError, in_short
from llmctx.llm.budget import BudgetTerms, CallBudget
from llmctx.llm.completion import Completer, Completion, Outcome
from llmctx.prompt.book import PromptChoice
from llmctx.prompt.render import Prompt, render
from llmctx.prompt.template import Template
from llmctx.record import RecordMetadata, compose, compose_confirmation
from llmctx.symbols.memory import SymbolMemory
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Draft

_log = logging.getLogger(__name__)

Settle = Callable[[Draft, tuple[str, ...]], Awaitable[Entry]]
"""Appends a record, settles the stream entries with these ids, and publishes the record."""
FixClock = Callable[[Clock], Awaitable[Clock]]
"""Fixes the trail's clock unless it is already fixed, and returns the one in force."""


class DecisionConfig(NamedTuple):
    """How decisions are made: the prompt, the endpoint, the data and the limits."""

    prompts: PromptChoice
    """The prompt for each symbol; a single template serves all symbols."""
    completer: Completer
    """The endpoint that answers prompts."""
    rules: ReadRules = ReadRules()
    """Which sections are read, and when they are stale."""
    policy: GuardPolicy = GuardPolicy()
    """The guardrails."""
    reask_misfits: bool = True
    """Whether the model is asked once more if its answer does not fit the schema."""
    answer_within_s: float = 60.0
    """The time allowed for all calls of one tick, including a second question."""
    budget: BudgetTerms | None = None
    """The daily budget shared by the workers of a server; None for no limit."""
    trigger: TriggerPolicy | None = None
    """What makes a tick worth a call; None to ask on every tick."""


class Pipeline:
    """The steps that every tick of a partition goes through."""

    def __init__(
        self,
        redis: Redis,
        config: DecisionConfig,
        settle: Settle,
        *,
        partition: int = 0,
        worker: str = "",
        memory: SymbolMemory | None = None,
        fix_clock: FixClock | None = None,
        budget: CallBudget | None = None,
        reserve: Reserve | None = None,
        people_sha256: str = "",
    ) -> None:
        """`settle` stores each record, which carries `worker` and `people_sha256`. Without `memory` nothing is known of
        a symbol before its first tick. `fix_clock` is told the clock of the first decision, unless the rules name one.
        Each call is reserved in `budget` first; `reserve` finds room for an add in the limits of several positions.

        Raises TemplateError if a template asks for another output than a decision.
        """
        for template in config.prompts.templates:
            check_output(template)
        self._redis = redis
        self._partition = partition
        self._config = config
        self._settle = settle
        self._worker, self._people_sha256 = worker, people_sha256
        self._rules = config.rules
        self._fix_clock = fix_clock
        self._reserve = reserve
        self._budget = budget
        self.memory = memory or SymbolMemory()
        """The memory of each symbol before this tick."""
        self.memory.length = config.rules.memory

    async def decide(
        self,
        tick: Tick,
        *,
        conflated: tuple[str, ...] = (),
        entry_ids: tuple[str, ...] = (),
        attempts: int = 1,
    ) -> Entry:
        """Decide on a tick and return the record that settles it: a decision, or why there is none.

        `conflated` are older ticks that the same record settles, `entry_ids` the stream entries of all of them.

        Raises SnapshotError or TrailError if Redis does not answer; then the tick is not settled.
        """
        steps = clock.Stopwatch()
        snapshot = await self._read(tick.symbol)
        steps.lap("read")
        package = build_package(snapshot)
        template = self._config.prompts.of(tick.symbol)
        not_due = await self.memory.standing.instead_of_asking(tick, package, self._config.trigger)
        if not_due is None:
            conclusion = await self._conclude(template, snapshot, package, steps)
        else:
            conclusion = conclude_unasked(snapshot, package, not_due.why, self._config.policy, not_due.decision)
        conclusion = await with_room(self._reserve, tick.id, conclusion)
        metadata = RecordMetadata(
            recorded_at_ms=snapshot.server_ms + round(steps.since("read")),
            worker=self._worker,
            conflated=conflated,
            attempts=attempts,
            timings_ms=steps.laps,
            people_sha256=self._people_sha256,
        )
        draft = compose(tick, conclusion, metadata, (template.bundle,))
        steps.lap("judge")
        entry = await self._settle(draft, entry_ids)
        entry.timings_ms = steps.laps | entry.timings_ms
        self._remember(package, conclusion.verdict, entry)
        await self._fix_clock_by(package, snapshot.clock)
        return entry

    def _remember(self, package: Package, verdict: Verdict, entry: Entry | None = None) -> None:
        """Remember what was judged, and its record. The verdict stands even if this fails."""
        try:
            self.memory.add(package, verdict, entry)
            if self._config.trigger is not None and entry is not None:
                self.memory.standing.add(entry, package)
        except Exception as error:  # noqa: BLE001  the tick is settled
            _log.warning(f"{package.symbol}: what was judged is not remembered: {in_short(error)}")

    async def judge(self, act_id: str, symbol: str, approved: Approved) -> Conclusion:
        """Judge what a person approves, by the current limits and data; raises as `decide` does."""
        package = build_package(snapshot := await self._read(symbol))
        conclusion = Conclusion(snapshot, package, approved.judge(package, self._config.policy))
        return await with_room(self._reserve, act_id, conclusion)

    async def _fix_clock_by(self, package: Package, clock: Clock) -> None:
        """Fix the trail's clock by a settled tick, unless it is fixed or the tick does not show it."""
        if self._rules.clock is not None or self._fix_clock is None or package.refusal is not None:
            return
        if package.sections["system"].status is Status.INVALID:
            return
        try:
            fixed = await self._fix_clock(clock)
        except Exception as error:  # noqa: BLE001  the tick is settled; the next one shows the clock too
            _log.warning(f"The trail's clock is not fixed yet: {in_short(error)}")
        else:
            self._rules = self._rules.model_copy(update={"clock": fixed})

    async def confirm(self, tick: Tick, metadata: RecordMetadata) -> None:
        """Record a price that a person confirms with a tick, and believe it from now on; a repeat changes nothing.

        Raises TrailError if Redis does not answer.
        """
        confirmed = tick.confirmation
        if confirmed is None or (await self.memory.of(tick.symbol)).marks.believed == confirmed:
            return
        await self._settle(compose_confirmation(tick, confirmed, metadata), ())
        self.memory.confirm(tick.symbol, confirmed)

    async def _read(self, symbol: str, *, plainly: bool = False) -> Snapshot:
        known = Known() if plainly else await self.memory.of(symbol)
        rules = self._rules.plain() if plainly else self._rules
        ledger = None if self._config.policy.mandate is None else known.ledger or Ledger()
        return await read_snapshot(self._redis, symbol, self._partition, rules, known._replace(ledger=ledger))

    async def give_up(self, tick: Tick, reason: str, metadata: RecordMetadata) -> DeadLetter:
        """The dead letter of a tick that cannot be decided, with the guardrails' verdict on its position.

        If they cannot run, price and stop are compared plainly; if not even these can be read, it says that the stop
        could not be judged. Raises SnapshotError or TrailError if Redis does not answer.
        """
        policy = self._config.policy
        for plainly in (False, True):  # an error in anything that a stop does not need must not cost the stop
            try:
                snapshot = await self._read(tick.symbol, plainly=plainly)
                break
            except (SnapshotError, TrailError):
                raise
            except Exception as error:  # noqa: BLE001  a tick that breaks everything is settled all the same
                broken = in_short(error)
        else:
            return write_unjudged(tick, f"{reason}; nothing could be read: {broken}", metadata, policy)
        letter = write_dead_letter(tick, snapshot, reason, metadata, policy)
        if letter.package is not None:
            self._remember(letter.package, letter.verdict)
        return letter

    async def _conclude(
        self, template: Template, snapshot: Snapshot, package: Package, steps: clock.Stopwatch
    ) -> Conclusion:
        if package.refusal is not None:
            return refuse(snapshot, package, package.refusal)
        if (halt := halt_in(package, self._config.policy.mandate)) is not None:
            return conclude_unasked(snapshot, package, halt, self._config.policy, fired=HALTED)
        try:
            prompt = render(template, package)
        except TemplateError as error:
            return conclude_unasked(snapshot, package, error.what, self._config.policy)
        except Exception as error:  # noqa: BLE001  the stop is guarded whatever a template does
            reason = f"the prompt cannot be rendered: {in_short(error)}"
            return conclude_unasked(snapshot, package, reason, self._config.policy)
        steps.lap("render")
        completion = await self._ask(snapshot.symbol, prompt)
        if isinstance(completion, str):
            return conclude_unasked(snapshot, package, completion, self._config.policy)
        steps.lap("complete")
        conclusion = conclude(snapshot, package, prompt, completion, self._config.policy)
        # If the guardrails close the position without an answer anyway, they do not wait for another one.
        misfits = self._config.reask_misfits and conclusion.decision is None and conclusion.verdict.action != "exit"
        if conclusion.verdict.asks_again or misfits:
            return await self._ask_again(conclusion, prompt, completion, steps)
        return conclusion

    async def _ask_again(
        self, first: Conclusion, prompt: Prompt, completion: Completion, steps: clock.Stopwatch
    ) -> Conclusion:
        """Ask once more, telling the model what was wrong with its first answer, in the time that is left."""
        within_s = self._config.answer_within_s - steps.laps["complete"] / 1000
        try:
            wrong = first.verdict.grounding if first.verdict.asks_again else misfit_of(completion)
            if wrong is None or within_s <= 0:
                return first
            prompt = ask_again(prompt, completion.content or "", wrong).model_copy(update={"within_s": within_s})
        except Exception as error:  # noqa: BLE001  the first answer's verdict is a hold already, or an exit
            _log.warning(f"{first.snapshot.symbol}: the model cannot be asked again: {in_short(error)}")
            return first
        second = await self._ask(first.snapshot.symbol, prompt)
        if isinstance(second, str):
            _log.warning(f"{first.snapshot.symbol}: the model is not asked again: {second}")
            return first
        steps.lap("reask")
        return conclude(
            first.snapshot, first.package, prompt, second, self._config.policy, FirstAnswer(completion, wrong)
        )

    async def _ask(self, symbol: str, prompt: Prompt) -> Completion | str:
        """The completion of a prompt, or why the budget allows no call; an error of the completer is an outcome too."""
        if self._budget is None:
            return await self._complete(prompt)
        reserved = await self._budget.reserve(symbol, prompt)
        if isinstance(reserved, str):
            return reserved
        completion = await self._complete(prompt)
        await self._budget.settle(reserved, completion)
        return completion

    async def _complete(self, prompt: Prompt) -> Completion:
        try:
            return await self._config.completer.complete(prompt, OUTPUT)
        except Exception as error:  # noqa: BLE001  a completer's defect must not cost the stop
            request = {"schema": OUTPUT.name, "schema_sha256": OUTPUT.sha256}
            return Completion(outcome=Outcome.ERROR, detail=in_short(error), request=request)


def check_output(template: Template) -> None:
    """Raises TemplateError if the template asks for another output than a decision."""
    if template.front_matter.output != OUTPUT.name:
        raise TemplateError(
            f"{template.ref} asks for the output {template.front_matter.output!r}.",
            f"Write `output: {OUTPUT.name}` in its front matter.",
        )
