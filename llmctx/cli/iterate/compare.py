"""`llmctx compare`: two replays side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.shared.mandates import limit_lines
from llmctx.cli.shared.options import AsJson
from llmctx.cli.shared.output import coloured, escape, out, plain_table, print_json
from llmctx.errors import ReplayError
from llmctx.replay.answer import NO_ANSWER, Answer
from llmctx.replay.compare import RECORDED, Comparison, compare_results
from llmctx.replay.safe_write import PAGE, Destination, replacing
from llmctx.replay.sides import Pair, Tally
from llmctx.replay.stats import Share

_MAX_REASONING_CHARS = 300
_MAX_REASONS_SHOWN = 4


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A results file of `llmctx replay`, or: recorded.")],
    second: Annotated[
        str | None, typer.Argument(metavar="B", help="Another one. Default: A is compared with the record.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained HTML page to this file.")] = None,
    show: Annotated[int, typer.Option(help="How many flips to list.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """Compare two replays, or a replay with the record.

    Shows agreement with a 95% Wilson interval, changes by action, confidence, sizes and stops, guardrails, grounding,
    tokens, cost, latency and self-consistency over repeats; what each limit of the mandates changed; then the decisions
    whose action flipped, the costliest first, each with its cause.

    \b
    llmctx compare recorded other-model.jsonl
    llmctx compare a.jsonl b.jsonl --html comparison.html
    """
    if second is None:
        first, second = RECORDED, first
    if (first, second) == (RECORDED, RECORDED):
        raise ReplayError("There is nothing to compare.", "Name at least one results file of `llmctx replay`.")
    comparison, asked = compare_results(first, second)
    if html is not None:
        from llmctx.replay.page import render_page

        inputs = tuple(Path(name) for name in (first, second) if name != RECORDED)
        with replacing(Destination(html, "--html", PAGE, inputs)) as file:
            file.write(render_page(comparison, asked))
    if as_json:
        print_json(comparison.as_dict() | {"asked": asked, "html": None if html is None else str(html)})
        return
    _print(comparison, show)
    if html is not None:
        out.print(f"\nWrote {escape(str(html))}; open it in a browser.")


def _print(comparison: Comparison, show: int) -> None:
    out.print(f"[bold]decisions[/]    {len(comparison.pairs)} on both sides" + _only_on_one_side(comparison))
    out.print(f"[bold]agreement[/]    {comparison.agreement}, Wilson interval")
    out.print(f"             before guardrails {comparison.decided}")
    if comparison.answerless:
        out.print(f"[bold]unusable[/]     {comparison.answerless} decisions have no usable answer on one side")
    if comparison.shift is not None:
        margin = "" if comparison.shift.reach is None else f" ± {comparison.shift.reach:.3f} (95%)"
        out.print(f"[bold]confidence[/]   {comparison.shift.value:+.3f}{margin} from the first side to the second")
    out.print(f"[bold]causes[/]       {cause_counts(comparison)}")
    for line in top_reasons(comparison):
        out.print(f"             {escape(line)}")
    out.print()
    _print_matrix(comparison)
    out.print()
    _print_measures(comparison.a, comparison.b)
    for moved in comparison.moved:
        if moved.both:
            out.print(f"{moved.name}: {moved.changed} of {moved.both} changed although the action is the same")
    for line in limit_lines(comparison.limits):
        out.print(f"[bold]limit[/] {escape(line)}")
    for pair in comparison.flips[:show]:
        _print_flip(pair)
    if len(comparison.flips) > show:
        out.print(f"and {len(comparison.flips) - show} more flips; --show N or --json lists them")


def _only_on_one_side(comparison: Comparison) -> str:
    first, second = comparison.only
    return f"; {first} only on the first, {second} only on the second" if first or second else ""


def _print_matrix(comparison: Comparison) -> None:
    found = comparison.flip_matrix
    table = plain_table("", right=found.actions, title="from A (rows) to B (columns)")
    for action, row in zip(found.actions, found.rows, strict=True):
        table.add_row(coloured(action), *(_cell(cell.decisions, stays=cell.same_action) for cell in row))
    out.print(table)


def _cell(count: int, *, stays: bool) -> str:
    if not count:
        return "[dim].[/]"
    return str(count) if stays else f"[bold red]{count}[/]"


def _print_measures(a: Tally, b: Tally) -> None:
    table = plain_table("")
    for name in ("A: " + a.name, "B: " + b.name):
        table.add_column(escape(name), justify="right", overflow="fold")
    for title, text in _MEASURES:
        if text is not _unanswered or a.unanswered or b.unanswered:
            table.add_row(title, text(a), text(b))
    out.print(table)
    out.print("[dim]In brackets: the 95% Wilson interval.[/]")
    if a.regrounded or b.regrounded:
        note = "Grounding was off when these were recorded; the replay checked the numbers and changed no verdict."
        out.print(f"[dim]{note}[/]")
    if a.cost is None or b.cost is None:
        out.print("[dim]Costs need prices (LLMCTX_PRICES) at the time of the replay.[/]")


def _unanswered(side: Tally) -> str:
    return str(side.unanswered)


def _confidence(side: Tally) -> str:
    return "none" if side.confidence is None else f"{side.confidence.value:.3f}"


def _cost(side: Tally) -> str:
    return "no price" if side.cost is None else f"{side.cost:.4f}"


def _cost_per_answer(side: Tally) -> str:
    return "no price" if side.cost is None else f"{side.cost / side.answers:.6f}"


def _latency(side: Tally) -> str:
    return "unknown" if side.latency_ms is None else f"{side.latency_ms:.0f} ms"


def _share(share: Share, if_none: str = "none") -> str:
    """A share with its interval, short enough for two of them in 80 columns."""
    if share.value is None or share.interval is None:
        return if_none
    low, high = share.interval
    return f"{share.count} of {share.of} ({low:.0%} to {high:.0%})"


_MEASURES: tuple[tuple[str, Callable[[Tally], str]], ...] = (
    ("answers", lambda side: str(side.answers)),
    ("calls without answer", _unanswered),
    ("no usable answer", lambda side: _share(side.failed)),
    ("a guardrail fired", lambda side: _share(side.guarded)),
    ("numbers cited", lambda side: _share(side.cited, "no numbers")),
    ("answers supported", lambda side: _share(side.supported, "none")),
    ("confidence", _confidence),
    ("input tokens", lambda side: f"{side.tokens_in:,}"),
    ("of those, cached", lambda side: f"{side.tokens_cached:,}"),
    ("output tokens", lambda side: f"{side.tokens_out:,}"),
    ("cost", _cost),
    ("cost per answer", _cost_per_answer),
    ("median latency", _latency),
    ("self-consistency", lambda side: _share(side.self_consistency, "asked once")),
)


def _print_flip(pair: Pair) -> None:
    out.print(f"\n[bold]record {pair.result.index}[/] {describe_flip(pair)}")
    for cause in pair.causes:
        out.print(f"  {escape(str(cause))}")
    for side in (pair.a, pair.b):
        decision = side.decision
        text = no_decision_reason(side) if decision is None else decision["reasoning"][:_MAX_REASONING_CHARS]
        out.print(f"  [dim]{escape(text or '')}[/]")


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


def describe_flip(pair: Pair) -> str:
    """The symbol of a pair, both its answers and what is at stake, as markup."""
    answers = f"{_describe_answer(pair.a)} became {_describe_answer(pair.b)}"
    return f"{escape(pair.result.symbol)}: {answers}, {pair.at_stake:,.0f} at stake"


def _describe_answer(answer: Answer) -> str:
    """The action of one side's answer and its confidence, as markup."""
    if answer.label == NO_ANSWER:
        return f"no answer, so {coloured(answer.effective_action)}"
    return coloured(answer.label) + ("" if answer.confidence is None else f" ({answer.confidence:g})")


def no_decision_reason(answer: Answer) -> str | None:
    """Why an answer has no decision; None if it has one."""
    if answer.decision is not None:
        return None
    return str(answer.verdict.get("reason") or answer.detail or "nothing was asked")
