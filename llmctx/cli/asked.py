"""What a replay with a model tells when all is asked: answers, tokens, and the first lines of a comparison."""

from pathlib import Path
from typing import TYPE_CHECKING

from llmctx.cli.compare import causes_of, doing, reasons_of, why_not
from llmctx.cli.output import escape, out, print_json
from llmctx.replay.budget import Budget
from llmctx.replay.compare import Comparison, compare
from llmctx.replay.pair import recorded_decisions, replayed_decisions
from llmctx.replay.results import Result
from llmctx.replay.run import ReplaySummary

if TYPE_CHECKING:
    from llmctx.cli.replay import Asked

_FLIPS_TOLD = 5


def tell(
    asked: "Asked", path: Path, results: list[Result], summary: ReplaySummary, budget: Budget, altered: list[int]
) -> None:
    """Tell what a run came to; `altered` are the records whose evidence was."""
    comparison = None
    if any(result.final for result in results):
        comparison = compare(("recorded", path.name), recorded_decisions(results), replayed_decisions(results))
    if asked.as_json:
        print_json(
            {
                "mode": asked.mode,
                "results": str(path),
                **summary._asdict(),
                "altered": altered,
                "tokens": budget.tokens,
                "cost": budget.cost or None,
                "comparison": None if comparison is None else comparison.as_dict(),
            }
        )
        return
    _tell_summary(asked, summary, budget)
    if comparison is not None:
        _tell_comparison(comparison)
        out.print(f"\nSee more: llmctx compare {escape(str(path))} --html replay.html")


def _tell_summary(asked: "Asked", summary: ReplaySummary, budget: Budget) -> None:
    spent = f"{budget.tokens:,} tokens" + (f", {budget.cost:.4f} in money" if budget.cost else "")
    before = f", {summary.before} were there already" if summary.before else ""
    out.print(f"[bold]asked[/]      {summary.asked} answered now{before}; {spent} in all")
    if summary.left_out:
        out.print(f"[yellow]left out[/]   {summary.left_out} that the batch's output does not answer")
    if summary.unanswered and asked.answers:
        failed = f"{calls(summary.unanswered)} failed in the batch, the last one: {escape(summary.trouble)}"
        out.print(f"[yellow]no answer[/]  {failed}")
    if summary.stopped:
        out.print(f"[yellow]stopped[/]    the budget of {budget} has no room for the next call; a larger one goes on")


def _tell_comparison(comparison: Comparison) -> None:
    out.print(f"[bold]agreement[/]  the same would be done in {comparison.agreement}, Wilson interval")
    if comparison.answerless:
        out.print(f"[bold]unusable[/]   {comparison.answerless} decisions have no usable answer on a side")
    if comparison.b.itself.of:
        out.print(f"[bold]noise[/]      asked again, the replay agrees with itself in {comparison.b.itself}")
    out.print(f"[bold]causes[/]     {causes_of(comparison)}")
    for line in reasons_of(comparison):
        out.print(f"           {escape(line)}")
    for pair in comparison.flips[:_FLIPS_TOLD]:
        why = "; ".join([*map(str, pair.causes), *why_not(pair.b)])
        out.print(
            f"[bold]flip[/]       record {pair.result.index} {escape(pair.result.symbol)}: {doing(pair.a)} became "
            f"{doing(pair.b)}, {pair.at_stake:,.0f} at stake ({escape(why)})"
        )
    if len(comparison.flips) > _FLIPS_TOLD:
        out.print(f"           and {len(comparison.flips) - _FLIPS_TOLD} more flips")


def calls(count: int) -> str:
    """So many calls, in words."""
    return "1 call" if count == 1 else f"{count} calls"
