"""Parse the answer's text into a decision, or state exactly why it does not fit. Nothing is repaired or guessed."""

import json
from typing import Any, NamedTuple

from pydantic import ValidationError

from llmctx import canonical
from llmctx.context.paths import is_plain
from llmctx.decision.decision import Decision
from llmctx.limits import (
    MAX_DETAIL_CHARS,
    MAX_EVIDENCE_CHARS,
    MAX_EVIDENCE_ITEMS,
    MAX_INVALIDATION_CHARS,
    MAX_REASKED_CHARS,
    MAX_REASONING_CHARS,
    cut,
)
from llmctx.llm.completion import Completion

_LIMITS = {"reasoning": MAX_REASONING_CHARS, "invalidation": MAX_INVALIDATION_CHARS}
_EVIDENCE_LIMITS = dict.fromkeys(("path", "value", "reading"), MAX_EVIDENCE_CHARS)
_MORE = " (further items were cut)"
_MAX_PROBLEMS_SHOWN = 5
_MAX_NAME_CHARS = 80


class Misfit(NamedTuple):
    """An answer that does not fit the schema."""

    reason: str
    """Each field that does not fit, with the rule it breaks."""


def parse(content: str) -> Decision | Misfit:
    """Parse a text as a decision."""
    try:
        document = canonical.loads(content.encode())
    except ValueError as error:
        return Misfit(cut(f"the answer is not one JSON text: {error}", MAX_DETAIL_CHARS))
    try:
        return Decision.model_validate(capped(document))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        reason = "; ".join(f"{_path(p['loc'])}{p['msg']}" for p in problems[:_MAX_PROBLEMS_SHOWN])
        return Misfit(cut(reason, MAX_DETAIL_CHARS))


def capped(document: Any) -> Any:
    """An answer with its texts and its evidence cut to their limits; values of the wrong type stay as they are."""
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
    """Return the decision of a completion, or None and the reason why there is none."""
    if completion.content is None:
        return None, f"{completion.outcome}: {completion.detail}"
    decision = parse(completion.content)
    if isinstance(decision, Misfit):
        return None, f"misfit: {decision.reason}"
    return decision, ""


def misfit_of(completion: Completion) -> str | None:
    """Return why the answer does not fit; None if it fits, is missing, or is too long to be sent back."""
    if completion.content is None or len(completion.content) > MAX_REASKED_CHARS:
        return None
    parsed = parse(completion.content)
    return parsed.reason if isinstance(parsed, Misfit) else None


def _path(location: tuple[int | str, ...]) -> str:
    """The misfit in words, for a reader and for the model; names that are not plain are quoted, on one line."""
    names = [str(part)[:_MAX_NAME_CHARS] for part in location]
    return ".".join(name if is_plain(name) else json.dumps(name) for name in names) + ": " if names else ""
