"""The command that compares replays: compare."""

from pathlib import Path
from typing import Annotated, Any

import typer

from llmctx.cli.options import AsJson
from llmctx.cli.output import coloured, escape, out, print_json
from llmctx.errors import ReplayError
from llmctx.replay.answer import NO_ANSWER, Answer
from llmctx.replay.compare import RECORDED, Comparison, compare_results
from llmctx.replay.pair import Pair
from llmctx.replay.safe_write import PAGE, Destination, replacing
from llmctx.replay.stats import Share
from llmctx.replay.tally import Tally

_REASONS_TOLD = 4


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A results file of `llmctx replay`, or: recorded.")],
    second: Annotated[
        str | None, typer.Argument(metavar="[B]", help="Another one; without it A is compared with what was recorded.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page for people.")] = None,
    show: Annotated[int, typer.Option(help="How many flips to list.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """Compare two replays, or a replay with the record.

    Flip matrix by action, agreement with a 95% Wilson interval, confidence, sizes and stops, guardrails, grounding,
    tokens, cost, latency, self-consistency over repeats, and the flips, worst first, each with its cause.

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
    out.print(f"[bold]decisions[/]    {len(comparison.pairs)} on both sides" + _only(comparison))
    out.print(f"[bold]agreement[/]    {comparison.agreement}, Wilson interval")
    out.print(f"             before guardrails {comparison.decided}")
    if comparison.answerless:
        out.print(f"[bold]unusable[/]     {comparison.answerless} decisions have no usable answer on a side")
    if comparison.shift is not None:
        reach = "" if comparison.shift.reach is None else f" ± {comparison.shift.reach:.3f} (95%)"
        out.print(f"[bold]confidence[/]   {comparison.shift.value:+.3f}{reach} from the first to the second side")
    out.print(f"[bold]causes[/]       {causes_of(comparison)}")
    for line in reasons_of(comparison):
        out.print(f"             {escape(line)}")
    out.print()
    _print_matrix(comparison)
    out.print()
    _print_measures(comparison.a, comparison.b)
    for note in _notes(comparison.a, comparison.b):
        out.print(f"[dim]{note}[/]")
    for moved in comparison.moved:
        if moved.both:
            out.print(f"{moved.name}: {moved.changed} of {moved.both} changed where the action is the same")
    for pair in comparison.flips[:show]:
        _print_flip(pair)
    if len(comparison.flips) > show:
        out.print(f"and {len(comparison.flips) - show} more flips; --show N or --json lists them")


def _notes(a: Tally, b: Tally) -> list[str]:
    """What has to be known of the measures."""
    notes = ["In brackets the 95% Wilson interval."]
    if a.regrounded or b.regrounded:
        notes.append(
            "Grounding was off when these were recorded: the replay looked at the numbers, no verdict was changed."
        )
    if a.cost is None or b.cost is None:
        notes.append("Costs are counted while a replay asks, by the prices that are set then (LLMCTX_PRICES).")
    return notes


def causes_of(comparison: Comparison) -> str:
    """Causes of what differs, and of the flips among it."""
    if not comparison.blame:
        return "nothing differs"
    told = [
        ", ".join(f"{by} {count}" for by, count in blame.items()) for blame in (comparison.blame, comparison.flip_blame)
    ]
    return f"{told[0]} (prompt, answer or verdict differs); flips: {told[1] or 'none'}"


def reasons_of(comparison: Comparison) -> list[str]:
    """Each cause in full, the most frequent ones."""
    told = [f"{count} by {reason}" for reason, count in comparison.reasons]
    more = len(told) - _REASONS_TOLD
    return told[:_REASONS_TOLD] + ([f"and {more} more; --json lists them"] if more > 0 else [])


def _only(comparison: Comparison) -> str:
    first, second = comparison.only
    return f"; {first} only on the first, {second} only on the second" if first or second else ""


def _print_matrix(comparison: Comparison) -> None:
    from rich.table import Table

    found = comparison.flip_matrix
    table = Table(box=None, pad_edge=False, title="from A (rows) to B (columns)", title_justify="left")
    table.add_column("")
    for action in found.actions:
        table.add_column(action, justify="right")
    for action, row in zip(found.actions, found.rows, strict=True):
        table.add_row(coloured(action), *(_cell(cell.decisions, stays=cell.same_action) for cell in row))
    out.print(table)


def _cell(count: int, *, stays: bool) -> str:
    if not count:
        return "[dim].[/]"
    return str(count) if stays else f"[bold red]{count}[/]"


def _print_measures(a: Tally, b: Tally) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("A: " + a.name, "B: " + b.name):
        table.add_column(escape(name), justify="right", overflow="fold")
    for row in _rows(a, b):
        table.add_row(*row)
    out.print(table)


def _rows(a: Tally, b: Tally) -> list[tuple[str, str, str]]:
    def both(name: str, of: Any) -> tuple[str, str, str]:
        return name, of(a), of(b)

    unanswered = [both("calls without answer", lambda side: str(side.unanswered))]
    return [
        both("answers", lambda side: str(side.answers)),
        *(unanswered if a.unanswered or b.unanswered else ()),
        both("no usable answer", lambda side: _share(side.failed)),
        both("a guardrail fired", lambda side: _share(side.guarded)),
        both("numbers cited", lambda side: _share(side.cited) if side.cited.of else "no numbers"),
        both("answers borne out", lambda side: _share(side.borne_out) if side.borne_out.of else "none"),
        both("confidence", lambda side: "none" if side.confidence is None else f"{side.confidence.value:.3f}"),
        both("tokens read", lambda side: f"{side.tokens_in:,}"),
        both("of those, cached", lambda side: f"{side.tokens_cached:,}"),
        both("tokens written", lambda side: f"{side.tokens_out:,}"),
        both("cost", lambda side: "no price" if side.cost is None else f"{side.cost:.4f}"),
        both("cost an answer", lambda side: "no price" if side.cost is None else f"{side.cost / side.answers:.6f}"),
        both("latency, median", lambda side: "unknown" if side.latency_ms is None else f"{side.latency_ms:.0f} ms"),
        both("agrees with itself", lambda side: _share(side.itself) if side.itself.of else "asked once"),
    ]


def _share(share: Share) -> str:
    """A share that fits beside another one at 80 columns."""
    if share.value is None or share.interval is None:
        return "none"
    low, high = share.interval
    return f"{share.count} of {share.of} ({low:.0%} to {high:.0%})"


def doing(side: Answer) -> str:
    """What would be done after a side, and how sure its model is."""
    if side.label == NO_ANSWER:
        return f"no answer, so {coloured(side.effective_action)}"
    sure = side.confidence
    return coloured(side.label) + ("" if sure is None else f" ({sure:g})")


def why_not(side: Answer) -> list[str]:
    """Why a side has no decision, where it has none."""
    return [] if side.decision is not None else [str(side.verdict.get("reason") or side.detail or "nothing was asked")]


def _print_flip(pair: Pair) -> None:
    result = pair.result
    out.print(
        f"\n[bold]record {result.index}[/] {escape(result.symbol)}: {doing(pair.a)} became {doing(pair.b)}, "
        f"{pair.at_stake:,.0f} at stake"
    )
    for cause in pair.causes:
        out.print(f"  {escape(str(cause))}")
    for side in (pair.a, pair.b):
        said = [side.decision["reasoning"][:300]] if side.decision is not None else why_not(side)
        out.print(f"  [dim]{escape(said[0])}[/]")
