"""The command that tells what came of decisions: outcome."""

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from llmctx import clock
from llmctx.cli.feed import read_number
from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import coloured, escape, out, print_json, warn
from llmctx.cli.setup import partitions_of, redis_of, settings_for
from llmctx.cli.sources import From, Selected, listing_of, selection_of, source_of
from llmctx.errors import ReplayError
from llmctx.replay.outcome import HORIZONS, DecisionOutcome, last_seen, outcome_of, past_decision
from llmctx.replay.price_series import Candle, PriceSeries
from llmctx.replay.selection import Selection
from llmctx.replay.stats import Calibration, calibrate
from llmctx.settings import Settings


def outcome(
    selected: Selected = "all",
    where: From = None,
    bars: Annotated[
        Path | None,
        typer.Option(help="Bars of what came next, as `llmctx feed` reads them; the bars stream otherwise."),
    ] = None,
    interval_s: Annotated[int, typer.Option(help="Length of a bar in seconds.", min=1)] = 60,
    horizon: Annotated[str, typer.Option(help="By which confidence is judged: 5, 15, 60 (minutes) or end.")] = "15",
    cost_bps: Annotated[str, typer.Option(help="What a fill costs, in basis points of its worth.")] = "2",
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Tell what came of decisions, and whether confidence means what it says.

    The market's move over 5, 15 and 60 minutes and to the position's end, what following the verdict would have made
    against leaving the position be, a reliability table and the Brier score. With --json a line for each decision,
    then one with the summary.

    \b
    llmctx outcome symbol=ACME
    llmctx outcome --from ./export --bars bars.csv --horizon end
    """
    if horizon not in HORIZONS:
        raise typer.BadParameter(f"--horizon {horizon}: name one of {', '.join(HORIZONS)}")
    text, selection = selection_of(selected)
    settings = settings_for(redis_url, state_dir)
    outcomes = asyncio.run(
        _outcomes(settings, where, selection, bars, interval_s * 1000, read_number("--cost-bps", cost_bps))
    )
    if not outcomes:
        raise ReplayError(f"The selection {text or 'all'} matches no decision.", listing_of(where))
    calibration = calibrate(_judged(outcomes, horizon))
    if as_json:
        for one in outcomes:
            print_json(one.as_dict())
        print_json({"summary": _summary(outcomes), "horizon": horizon, "calibration": calibration.as_dict()})
        return
    _print(outcomes, calibration, horizon)


async def _outcomes(
    settings: Settings, where: Path | None, selection: Selection, bars: Path | None, interval_ms: int, cost: Decimal
) -> list[DecisionOutcome]:
    async with source_of(settings, where) as source:
        # Where a position ended shows only in what came after the decisions that are asked for: all records are read.
        entries = [entry async for entry in source.read(Selection(partition=selection.partition))]
        taken = {entry.place: found for entry in entries if (found := past_decision(entry)) is not None}
        wanted = [taken[entry.place] for entry in entries if selection.includes(entry) and entry.place in taken]
    wanted = wanted[: selection.limit]
    symbols = {found.symbol for found in wanted}
    series = _from_file(bars, interval_ms) if bars is not None else await _from_redis(settings, symbols, interval_ms)
    ends = last_seen(taken.values())
    return [outcome_of(found, series, ends, cost) for found in wanted]


def _from_file(path: Path, interval_ms: int) -> dict[str, PriceSeries]:
    from llmctx.flow.bars import Bar, read_bars

    bars = []
    for row in read_bars(path):
        if isinstance(row, Bar):
            bars.append(row)
        else:
            warn(f"line {row.line}: {row.why}; left out")
    return _series(bars, interval_ms)


async def _from_redis(settings: Settings, symbols: set[str], interval_ms: int) -> dict[str, PriceSeries]:
    from llmctx.flow.store import Store

    async with redis_of(settings) as (redis, _):
        store = Store(redis, await partitions_of(redis, settings))
        bars = [bar for symbol in sorted(symbols) async for bar, _ in store.bars(symbol)]
    return _series(bars, interval_ms)


def _series(bars: Iterable[Any], interval_ms: int) -> dict[str, PriceSeries]:
    candles: dict[str, list[Candle]] = {}
    for bar in bars:
        candle = Candle(clock.to_ms(bar.start), bar.open, bar.high, bar.low, bar.close)
        candles.setdefault(bar.symbol, []).append(candle)
    return {symbol: PriceSeries(found, interval_ms) for symbol, found in candles.items()}


def _judged(outcomes: list[DecisionOutcome], horizon: str) -> Iterable[tuple[float, bool]]:
    for one in outcomes:
        right, sure = one.right(horizon), one.decision.confidence
        # Where a guardrail decided otherwise, the model's confidence was in something else.
        if right is not None and sure is not None and one.decision.decided == one.decision.action:
            yield float(sure), right


def _summary(outcomes: list[DecisionOutcome]) -> list[dict[str, Any]]:
    """By action and horizon: how many, the mean move, and what they made in all."""
    rows = []
    for action in sorted({one.decision.action for one in outcomes}):
        for horizon in HORIZONS:
            made = [
                one.results[horizon] for one in outcomes if one.decision.action == action and horizon in one.results
            ]
            if made:
                rows.append(
                    {
                        "action": action,
                        "horizon": horizon,
                        "decisions": len(made),
                        "mean_move_pct": sum(one.move_pct for one in made) / len(made),
                        "held": sum((one.held for one in made), Decimal(0)),
                        "followed": sum((one.followed for one in made), Decimal(0)),
                        "gain": sum((one.gain for one in made), Decimal(0)),
                        "better": sum(one.gain > 0 for one in made),
                        "worse": sum(one.gain < 0 for one in made),
                    }
                )
    return rows


def _print(outcomes: list[DecisionOutcome], calibration: Calibration, horizon: str) -> None:
    from rich.table import Table

    unreached = sum(not one.results for one in outcomes)
    out.print(f"[bold]outcome[/]      {len(outcomes)} decisions; means and sums; gain is followed less held")
    if unreached:
        out.print(f"[yellow]no bars[/]      {unreached} of them have no bars behind them")
    table = Table(box=None, pad_edge=False)
    for heading in ("action", "after", "count", "move", "held", "followed", "gain", "better", "worse"):
        table.add_column(heading, justify="left" if heading in ("action", "after") else "right", no_wrap=True)
    for row in _summary(outcomes):
        after = "its end" if row["horizon"] == "end" else f"{row['horizon']} min"
        colour = "green" if row["gain"] > 0 else "red" if row["gain"] < 0 else "dim"
        table.add_row(
            coloured(row["action"]), after, str(row["decisions"]), f"{row['mean_move_pct']:+.3f}%",
            f"{row['held']:+,.0f}", f"{row['followed']:+,.0f}", f"[{colour}]{row['gain']:+,.0f}[/]",
            str(row["better"]), str(row["worse"]),
        )  # fmt: skip
    out.print(table)
    _print_calibration(calibration, horizon)


def _print_calibration(calibration: Calibration, horizon: str) -> None:
    at = "at the position's end" if horizon == "end" else f"after {horizon} minutes"
    out.print(f"\n[bold]calibration[/]  {at}; right is better than the opposite: leaving it be, for a hold closing")
    if calibration.brier is None or calibration.brier_base is None:
        out.print("              no decision turned out right or wrong")
        return
    for found in calibration.bins:
        out.print(
            f"  {found.low:.1f} to {found.high:.1f}  said {found.confidence:.2f}, right {escape(str(found.right))}"
        )
    out.print(
        f"[bold]brier[/]        {calibration.brier:.3f} over {calibration.decisions} decisions; always saying "
        f"{calibration.base.value:.2f}, the share that was right, has {calibration.brier_base:.3f}"
    )
