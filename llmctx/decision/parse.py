"""From the answer's text to a decision, or to the exact reason why it is none. Nothing is repaired or guessed."""

from typing import NamedTuple

from pydantic import ValidationError

from llmctx import canonical
from llmctx.decision.decision import Decision


class Misfit(NamedTuple):
    """An answer that does not fit the schema."""

    reason: str
    """Each field that does not fit, and the rule it breaks."""


def parse(content: str) -> Decision | Misfit:
    """The decision that a text states, or what is wrong with it."""
    try:
        document = canonical.loads(content.encode())
    except ValueError as error:
        return Misfit(f"the answer is not one JSON text: {error}")
    try:
        return Decision.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        return Misfit("; ".join(f"{_path(p['loc'])}{p['msg']}" for p in problems[:5]))


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) + ": " if location else ""
