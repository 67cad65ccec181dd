"""The summary of a replay with a model: answers, tokens, and the main lines of a comparison with the record."""

from pathlib import Path
from typing import NamedTuple

from llmctx.cli.iterate.compare import cause_counts, describe_flip, no_decision_reason, top_reasons
from llmctx.cli.iterate.replay_options import ReplayOptions
from llmctx.cli.shared.mandates import limit_lines
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.replay.budget import Budget
from llmctx.replay.compare import Comparison, compare
from llmctx.replay.results import Result
from llmctx.replay.run import ReplaySummary
from llmctx.replay.sides import recorded_decisions, replayed_decisions

_MAX_FLIPS_SHOWN = 5


class Answers(NamedTuple):
    """What a replay with a model returned."""

    results: list[Result]
    """Every result, those of earlier runs included."""
    summary: ReplaySummary
    """The counts of this run."""
    budget: Budget
    """What was spent."""
    altered: list[int]
    """The indices of records with altered evidence."""


def print_summary(options: ReplayOptions, path: Path, answers: Answers) -> None:
    """Print the summary of a replay whose results are in `path`."""
    comparison = None
    if any(result.final for result in answers.results):
        results = answers.results
        comparison = compare(("recorded", path.name), recorded_decisions(results), replayed_decisions(results))
    if options.as_json:
        print_json(
            {
                "mode": options.mode,
                "results": str(path),
                **answers.summary._asdict(),
                "altered": answers.altered,
                "tokens": answers.budget.tokens,
                "cost": answers.budget.cost or None,
                "comparison": None if comparison is None else comparison.as_dict(),
            }
        )
        return
    if options.mode != "mandate":
        _print_counts(options, answers)
    if comparison is not None:
        _print_comparison(comparison)
        out.print(f"\nSee more: llmctx compare {escape(str(path))} --html replay.html")


def _print_counts(options: ReplayOptions, answers: Answers) -> None:
    summary, budget = answers.summary, answers.budget
    spent = f"{budget.tokens:,} tokens" + (f", cost {budget.cost:.4f}" if budget.cost else "")
    before = f", {summary.before} were answered before" if summary.before else ""
    out.print(f"[bold]asked[/]      {summary.asked} answered now{before}; {spent} in all")
    if summary.left_out:
        out.print(f"[yellow]left out[/]   {summary.left_out} that the batch's output does not answer")
    if summary.unanswered and options.answers:
        failed = f"{calls(summary.unanswered)} failed in the batch, the last one: {escape(summary.trouble)}"
        out.print(f"[yellow]no answer[/]  {failed}")
    if summary.stopped:
        out.print(f"[yellow]stopped[/]    the next call would exceed the budget of {budget}; a larger one continues")


def _print_comparison(comparison: Comparison) -> None:
    out.print(f"[bold]agreement[/]  {comparison.agreement} lead to the same action, Wilson interval")
    if comparison.answerless:
        out.print(f"[bold]unusable[/]   {comparison.answerless} decisions have no usable answer on one side")
    agreement = comparison.b.self_consistency
    if agreement.of:
        out.print(f"[bold]noise[/]      asked repeatedly, the replay agrees with itself in {agreement}")
    out.print(f"[bold]causes[/]     {cause_counts(comparison)}")
    for line in top_reasons(comparison):
        out.print(f"           {escape(line)}")
    for line in limit_lines(comparison.limits):
        out.print(f"[bold]limit[/]      {escape(line)}")
    for pair in comparison.flips[:_MAX_FLIPS_SHOWN]:
        why = "; ".join([*map(str, pair.causes), *filter(None, [no_decision_reason(pair.b)])])
        out.print(f"[bold]flip[/]       record {pair.result.index} {describe_flip(pair)} ({escape(why)})")
    if len(comparison.flips) > _MAX_FLIPS_SHOWN:
        out.print(f"           and {len(comparison.flips) - _MAX_FLIPS_SHOWN} more flips")


def calls(count: int) -> str:
    """A number of calls, in words."""
    return "1 call" if count == 1 else f"{count} calls"
