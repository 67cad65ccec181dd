"""The conclusion of a tick: its answer parsed, checked against the facts, and guarded.

The live pipeline, replay, rebuild and the test plugin all call `conclude`, so a replay decides as the live run did.
"""

from typing import NamedTuple

from llmctx.context.package import Package
from llmctx.context.snapshot import Snapshot, TrailReference
from llmctx.decision.decision import Decision
from llmctx.decision.grounding import Grounding
from llmctx.decision.guards import JUDGING_FAILED, NO_ANSWER, UNASKED, guard
from llmctx.decision.parse import judge
from llmctx.decision.verdict import GuardPolicy, Verdict, refused
from llmctx.errors import in_short
from llmctx.llm.completion import Completion
from llmctx.prompt.render import Prompt


class FirstAnswer(NamedTuple):
    """An answer that stated false prices or did not fit, after which the model was asked once more.

    Its text stands in the messages of the second request.
    """

    completion: Completion
    """The call that returned it."""
    wrong: Grounding | str
    """What was wrong with it: what the facts do not support, or why it does not fit."""


class StandingDecision(NamedTuple):
    """A recorded decision that stands while the model is not asked again."""

    record: TrailReference
    """Its record."""
    action: str
    """The action that its verdict allowed."""


class Conclusion(NamedTuple):
    """Everything known at the end of a tick. Steps that the tick did not reach are None."""

    snapshot: Snapshot
    """What was read."""
    package: Package
    """The typed join of the snapshot."""
    verdict: Verdict
    """What may be acted on."""
    prompt: Prompt | None = None
    """What was asked; None if the call was refused before the LLM."""
    completion: Completion | None = None
    """What the endpoint returned; None if nothing was asked."""
    decision: Decision | None = None
    """What the model decided; None without a usable answer."""
    first_answer: FirstAnswer | None = None
    """The answer that was rejected first, if the model was asked twice."""
    standing: StandingDecision | None = None
    """The decision that stands, if the tick did not deserve a call."""

    @property
    def messages(self) -> bytes | None:
        """The messages as sent, or as they would have been sent; None without a prompt."""
        if self.completion is not None and self.completion.messages is not None:
            return self.completion.messages
        return None if self.prompt is None else self.prompt.evidence

    @property
    def kind(self) -> str:
        """The kind of record: decision, failed, unasked or skipped."""
        if self.completion is None:
            return "skipped" if self.standing is None else "unasked"
        return "failed" if self.decision is None else "decision"


def refuse(snapshot: Snapshot, package: Package, reason: str) -> Conclusion:
    """Conclude a tick without asking the model, for the reason given."""
    return Conclusion(snapshot, package, refused(reason, package))


def conclude_unasked(
    snapshot: Snapshot,
    package: Package,
    reason: str,
    policy: GuardPolicy,
    standing: StandingDecision | None = None,
    fired: str = NO_ANSWER,
) -> Conclusion:
    """Conclude a tick that has no answer, or that is not worth a call because of the `standing` decision.

    `fired` is the guardrail that says so, for the reason given. The guardrails need no answer: a breached stop is an
    exit here too. Without a position and a price they cannot run.
    """
    if package.refusal is not None:
        return refuse(snapshot, package, f"{reason}; {package.refusal}")
    verdict = guard(package, None, policy, reason, fired=fired if standing is None else UNASKED)
    return Conclusion(snapshot, package, verdict, standing=standing)


def conclude(
    snapshot: Snapshot,
    package: Package,
    prompt: Prompt | None,
    completion: Completion,
    policy: GuardPolicy,
    first_answer: FirstAnswer | None = None,
) -> Conclusion:
    """Parse the answer, check it against the facts, and guard it.

    If a step fails, the guardrail judging_failed fires. `package` must have a position and a price (`package.refusal`
    is None).
    """
    try:
        decision, failure = judge(completion)
    except Exception as error:  # noqa: BLE001  the stop is guarded whatever the answer does to its reader
        decision = None
        verdict = guard(package, None, policy, f"the answer cannot be read: {in_short(error)}", fired=JUDGING_FAILED)
    else:
        verdict = guard(package, decision, policy, failure)
    return Conclusion(snapshot, package, verdict, prompt, completion, decision, first_answer)
