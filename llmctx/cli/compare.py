"""The command that compares replays: compare."""

from pathlib import Path
from typing import Annotated, Any

import typer

from llmctx.cli.options import AsJson
from llmctx.cli.output import coloured, escape, out, print_json
from llmctx.errors import ReplayError
from llmctx.replay.compare import RECORDED, Comparison, Measures, compare_results
from llmctx.replay.pair import Pair, action_of, confidence_of
from llmctx.replay.side import Side


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
        from llmctx.replay.page import page_of

        html.write_text(page_of(comparison, asked), encoding="utf-8")
    if as_json:
        print_json(comparison.as_dict() | {"asked": asked, "html": None if html is None else str(html)})
        return
    _print(comparison, show)
    if html is not None:
        out.print(f"\nWrote {escape(str(html))}; open it in a browser.")


def _print(comparison: Comparison, show: int) -> None:
    out.print(f"[bold]decisions[/]    {len(comparison.pairs)} on both sides" + _only(comparison))
    out.print(f"[bold]agreement[/]    {comparison.agreement}, Wilson interval; before guardrails {comparison.decided}")
    if comparison.shift is not None:
        reach = "" if comparison.shift.reach is None else f" ± {comparison.shift.reach:.3f} (95%)"
        out.print(f"[bold]confidence[/]   {comparison.shift.value:+.3f}{reach} from the first to the second side")
    out.print(f"[bold]causes[/]       {causes_of(comparison)}\n")
    _print_matrix(comparison)
    out.print()
    _print_measures(comparison.a, comparison.b)
    for moved in comparison.moved:
        if moved.both:
            out.print(f"{moved.name}: {moved.changed} of {moved.both} changed where the action is the same")
    for pair in comparison.flips[:show]:
        _print_flip(pair)
    if len(comparison.flips) > show:
        out.print(f"and {len(comparison.flips) - show} more flips; --show N or --json lists them")


def causes_of(comparison: Comparison) -> str:
    """Causes of what differs, and of the flips among it."""
    if not comparison.blame:
        return "nothing differs"
    told = [
        ", ".join(f"{by} {count}" for by, count in blame.items()) for blame in (comparison.blame, comparison.flip_blame)
    ]
    return f"{told[0]} (prompt, answer or verdict differs); flips: {told[1] or 'none'}"


def _only(comparison: Comparison) -> str:
    first, second = comparison.only
    return f"; {first} only on the first, {second} only on the second" if first or second else ""


def _print_matrix(comparison: Comparison) -> None:
    from rich.table import Table

    from llmctx.replay.chart import matrix

    found = matrix(comparison.matrix)
    table = Table(box=None, pad_edge=False, title="from A (rows) to B (columns)", title_justify="left")
    table.add_column("")
    for action in found.actions:
        table.add_column(action, justify="right")
    for action, row in zip(found.actions, found.rows, strict=True):
        table.add_row(coloured(action), *(_cell(cell.decisions, stays=cell.stays) for cell in row))
    out.print(table)


def _cell(count: int, *, stays: bool) -> str:
    if not count:
        return "[dim].[/]"
    return str(count) if stays else f"[bold red]{count}[/]"


def _print_measures(a: Measures, b: Measures) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("A: " + a.name, "B: " + b.name):
        table.add_column(escape(name), justify="right", overflow="fold")
    for row in _rows(a, b):
        table.add_row(*row)
    out.print(table)


def _rows(a: Measures, b: Measures) -> list[tuple[str, str, str]]:
    def both(name: str, of: Any) -> tuple[str, str, str]:
        return name, of(a), of(b)

    return [
        both("answers", lambda side: str(side.answers)),
        both("no usable answer", lambda side: str(side.failed)),
        both("a guardrail fired", lambda side: str(side.guarded)),
        both("numbers grounded", lambda side: str(side.grounded) if side.grounded.of else "not looked at"),
        both("confidence", lambda side: "none" if side.confidence is None else f"{side.confidence.value:.3f}"),
        both("tokens in, cached, out", lambda side: f"{side.tokens_in:,}, {side.tokens_cached:,}, {side.tokens_out:,}"),
        both("cost", lambda side: "no price" if side.cost is None else f"{side.cost:.4f}"),
        both("cost an answer", lambda side: "no price" if side.cost is None else f"{side.cost / side.answers:.6f}"),
        both("latency, median", lambda side: "unknown" if side.latency_ms is None else f"{side.latency_ms:.0f} ms"),
        both("agrees with itself", lambda side: str(side.itself) if side.itself.of else "asked once"),
    ]


def _action(side: Side) -> str:
    sure = confidence_of(side)
    return coloured(action_of(side)) + ("" if sure is None else f" ({sure:g})")


def _print_flip(pair: Pair) -> None:
    result = pair.result
    out.print(
        f"\n[bold]record {result.index}[/] {escape(result.symbol)}: {_action(pair.a)} became {_action(pair.b)}, "
        f"{pair.at_stake:,.0f} at stake"
    )
    for cause in pair.causes:
        out.print(f"  {escape(str(cause))}")
    for side in (pair.a, pair.b):
        if side.decision is not None:
            out.print(f"  [dim]{escape(side.decision['reasoning'][:300])}[/]")
