"""The conclusion of a tick: its answer parsed, checked against the facts, and guarded.

The live pipeline, replay, rebuild and the test plugin all call `conclude`, so a replay decides as the live run did.
"""

from typing import NamedTuple

from llmctx.context.package import Package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.decision import Decision
from llmctx.decision.grounding import Grounding
from llmctx.decision.guards import GuardPolicy, Verdict, guard, refused
from llmctx.decision.parse import judge
from llmctx.llm.completion import Completion
from llmctx.prompt.render import Prompt


class FirstAnswer(NamedTuple):
    """An answer that stated false prices, after which the model was asked once more.

    Its text stands in the messages of the second request.
    """

    completion: Completion
    """The call that returned it."""
    grounding: Grounding
    """What was wrong with it."""


class Conclusion(NamedTuple):
    """Everything known at the end of a tick. What the tick did not reach is None."""

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

    @property
    def kind(self) -> str:
        """The kind of record: decision, failed or skipped."""
        if self.completion is None:
            return "skipped"
        return "failed" if self.decision is None else "decision"


def refuse(snapshot: Snapshot, package: Package, reason: str) -> Conclusion:
    """Conclude a tick without asking the model, for the reason given."""
    return Conclusion(snapshot, package, refused(reason))


def conclude(
    snapshot: Snapshot,
    package: Package,
    prompt: Prompt | None,
    completion: Completion,
    policy: GuardPolicy,
    first_answer: FirstAnswer | None = None,
) -> Conclusion:
    """Parse the answer, check it against the facts, and guard it.

    `package` must have a position and a price (`package.refusal` is None).
    """
    decision, failure = judge(completion)
    verdict = guard(package, decision, policy, failure)
    return Conclusion(snapshot, package, verdict, prompt, completion, decision, first_answer)
