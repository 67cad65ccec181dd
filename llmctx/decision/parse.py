"""From the answer's text to a decision, or to the exact reason why it is none. Nothing is repaired or guessed."""

from typing import Any, NamedTuple

from pydantic import ValidationError

from llmctx import canonical
from llmctx.decision.decision import Decision
from llmctx.limits import (
    MAX_EVIDENCE_CHARS,
    MAX_EVIDENCE_ITEMS,
    MAX_INVALIDATION_CHARS,
    MAX_REASONING_CHARS,
    cut,
)
from llmctx.llm.completion import Completion

_LIMITS = {"reasoning": MAX_REASONING_CHARS, "invalidation": MAX_INVALIDATION_CHARS}
_EVIDENCE_LIMITS = dict.fromkeys(("path", "value", "reading"), MAX_EVIDENCE_CHARS)
_MORE = " (further items were cut)"
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
        return Decision.model_validate(capped(document))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        return Misfit("; ".join(f"{_path(p['loc'])}{p['msg']}" for p in problems[:_PROBLEMS_TOLD])[:_LONGEST_REASON])


def capped(document: Any) -> Any:
    """An answer with its texts and its list of evidence cut to their limits; what is not of the right type is left."""
    if not isinstance(document, dict):
        return document
    evidence = document.get("evidence")
    if isinstance(evidence, list):
        kept = [_capped(item, _EVIDENCE_LIMITS) for item in evidence[:MAX_EVIDENCE_ITEMS]]
        last = kept[-1] if len(evidence) > MAX_EVIDENCE_ITEMS else None
        if isinstance(last, dict) and isinstance(last.get("reading"), str):
            last["reading"] = cut(last["reading"], MAX_EVIDENCE_CHARS - len(_MORE)) + _MORE
        document = document | {"evidence": kept}
    return _capped(document, _LIMITS)


def _capped(document: Any, limits: dict[str, int]) -> Any:
    if not isinstance(document, dict):
        return document
    return document | {
        name: cut(document[name], limit) for name, limit in limits.items() if isinstance(document.get(name), str)
    }


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
