"""Parse the answer's text into a decision, or state exactly why it does not fit. Nothing is repaired or guessed."""

from typing import NamedTuple

from pydantic import ValidationError

from llmctx import canonical
from llmctx.decision.decision import Decision
from llmctx.llm.completion import Completion

_MAX_PROBLEMS_SHOWN = 5
_MAX_NAME_CHARS = 80
_MAX_REASON_CHARS = 1000


class Misfit(NamedTuple):
    """An answer that does not fit the schema."""

    reason: str
    """Each field that does not fit, with the rule it breaks."""


def parse(content: str) -> Decision | Misfit:
    """Parse a text as a decision."""
    try:
        document = canonical.loads(content.encode())
    except ValueError as error:
        return Misfit(f"the answer is not one JSON text: {error}"[:_MAX_REASON_CHARS])
    try:
        return Decision.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        return Misfit(
            "; ".join(f"{_path(p['loc'])}{p['msg']}" for p in problems[:_MAX_PROBLEMS_SHOWN])[:_MAX_REASON_CHARS]
        )


def judge(completion: Completion) -> tuple[Decision | None, str]:
    """Return the decision of a completion, or None and the reason why there is none."""
    if completion.content is None:
        return None, f"{completion.outcome}: {completion.detail}"
    decision = parse(completion.content)
    if isinstance(decision, Misfit):
        return None, f"misfit: {decision.reason}"
    return decision, ""


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:_MAX_NAME_CHARS] for part in location) + ": " if location else ""
