"""Phrases about a comparison that `llmctx compare` and `llmctx replay` share."""

from llmctx.cli.shared.output import coloured
from llmctx.replay.answer import NO_ANSWER, Answer
from llmctx.replay.compare import Comparison

_MAX_REASONS_SHOWN = 4


def cause_counts(comparison: Comparison) -> str:
    """How often each cause explains a difference, and how often a flip."""
    if not comparison.blame:
        return "nothing differs"
    differences, flips = (
        ", ".join(f"{by} {count}" for by, count in counts.items())
        for counts in (comparison.blame, comparison.flip_blame)
    )
    return f"{differences} (prompt, answer or verdict differs); flips: {flips or 'none'}"


def top_reasons(comparison: Comparison) -> list[str]:
    """The most frequent reasons in full, one a line."""
    lines = [f"{count} by {reason}" for reason, count in comparison.reasons]
    more = len(lines) - _MAX_REASONS_SHOWN
    return lines[:_MAX_REASONS_SHOWN] + ([f"and {more} more; --json lists them"] if more > 0 else [])


def describe_answer(answer: Answer) -> str:
    """The action of one side's answer and its confidence, as markup."""
    if answer.label == NO_ANSWER:
        return f"no answer, so {coloured(answer.effective_action)}"
    return coloured(answer.label) + ("" if answer.confidence is None else f" ({answer.confidence:g})")


def no_decision_reason(answer: Answer) -> str | None:
    """Why an answer has no decision; None if it has one."""
    if answer.decision is not None:
        return None
    return str(answer.verdict.get("reason") or answer.detail or "nothing was asked")
