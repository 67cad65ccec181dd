"""From the answer's text to a decision, or to the exact reason why it is none. Nothing is repaired or guessed."""

from typing import NamedTuple

from pydantic import ValidationError

from llmctx import canonical
from llmctx.decision.decision import Decision
from llmctx.llm.completion import Completion

_PROBLEMS_TOLD = 5
_LONGEST_NAME = 80
_LONGEST_REASON = 1000


class Misfit(NamedTuple):
    """An answer that does not fit the schema."""

    reason: str
    """Each field that does not fit, and the rule it breaks."""


def parse(content: str) -> Decision | Misfit:
    """The decision that a text states, or what is wrong with it."""
    try:
        document = canonical.loads(content.encode())
    except ValueError as error:
        return Misfit(f"the answer is not one JSON text: {error}"[:_LONGEST_REASON])
    try:
        return Decision.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        return Misfit("; ".join(f"{_path(p['loc'])}{p['msg']}" for p in problems[:_PROBLEMS_TOLD])[:_LONGEST_REASON])


def judge(completion: Completion) -> tuple[Decision | None, str]:
    """The decision that a completion holds, or None and the reason why it holds none."""
    if completion.content is None:
        return None, f"{completion.outcome}: {completion.detail}"
    decision = parse(completion.content)
    if isinstance(decision, Misfit):
        return None, f"misfit: {decision.reason}"
    return decision, ""


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:_LONGEST_NAME] for part in location) + ": " if location else ""
