"""`llmctx outcome`: what followed the decisions."""

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from llmctx import clock
from llmctx.cli.shared.options import (
    AsJson,
    BarsFormat,
    BarsSymbol,
    BarsZone,
    CostBps,
    From,
    IntervalS,
    RedisUrl,
    StateDir,
    bar_file_options,
    parse_number,
)
from llmctx.cli.shared.output import coloured, escape, messages, out, plain_table, print_json
from llmctx.cli.shared.setup import partitions_of, redis_of, settings_for
from llmctx.cli.shared.sources import Selected, listing_hint, recordings_of, selection_of
from llmctx.errors import ReplayError, ServerError
from llmctx.flow.bar_file import BarFile
from llmctx.flow.bars import Bar
from llmctx.replay.outcome import HORIZONS, DecisionOutcome, Decisions, judged, totals
from llmctx.replay.price_series import Candle, series_of
from llmctx.replay.selection import Selection
from llmctx.replay.stats import Calibration, calibrate
from llmctx.schema import keys
from llmctx.settings import Settings
from llmctx.trail.source.copies import is_copy


def outcome(
    selected: Selected = "all",
    where: From = None,
    bars: Annotated[
        Path | None,
        typer.Option(
            help="The bars that followed, as `llmctx feed` reads them. Default: the archive's, or those in Redis."
        ),
    ] = None,
    interval_s: IntervalS = None,
    bars_format: BarsFormat = None,
    symbol: BarsSymbol = None,
    zone: BarsZone = None,
    horizon: Annotated[
        str, typer.Option(help="When confidence is judged: after 5, 15 or 60 minutes, or at the position's end (end).")
    ] = "15",
    cost_bps: CostBps = "2",
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Report what followed each decision, and how confidence held up.

    Shows the market's move after 5, 15 and 60 minutes and until the position's end; what following the verdict earned
    compared with leaving the position alone; a reliability table and the Brier score. With --json one line for each
    decision, then one with the summary.

    \b
    llmctx outcome symbol=ACME
    llmctx outcome --from ./export --bars bars.csv --horizon end
    """
    if horizon not in HORIZONS:
        raise typer.BadParameter(f"--horizon {horizon}: give one of {', '.join(HORIZONS)}")
    text, selection = selection_of(selected)
    cost = parse_number("--cost-bps", cost_bps)
    settings = settings_for(redis_url, state_dir)
    decisions = asyncio.run(_decisions(settings, where, selection))
    if not decisions.selected:
        raise ReplayError(f"The selection {text or 'all'} matches no decision.", listing_hint(where))
    interval = None if interval_s is None else timedelta(seconds=interval_s)
    if bars is None:
        read = asyncio.run(_known_bars(settings, where, decisions.symbols))
        interval = interval or timedelta(minutes=1)
    else:
        file = BarFile(bars, bar_file_options(bars_format, symbol, zone))
        read, interval = _usable(file), file.interval(interval)
    outcomes = decisions.outcomes(series_of(map(_candle, read), interval // timedelta(milliseconds=1)), cost)
    calibration = calibrate(judged(outcomes, horizon))
    if as_json:
        for one in outcomes:
            print_json(one.as_dict())
        print_json({"summary": totals(outcomes), "horizon": horizon, "calibration": calibration.as_dict()})
        return
    _print(outcomes)
    _print_calibration(calibration, horizon)


async def _decisions(settings: Settings, where: str | None, selection: Selection) -> Decisions:
    async with recordings_of(settings, where) as recordings:
        entries = [entry async for entry in recordings.select(Selection(partition=selection.partition))]
    return Decisions(entries, selection, recordings.blobs)


async def _known_bars(settings: Settings, where: str | None, symbols: list[str]) -> list[Bar]:
    """The bars that an archive has beside its records, or else those in Redis."""
    archived = [] if where is None or not is_copy(where) else _archived_bars(where, symbols)
    try:
        return archived or await _stored_bars(settings, symbols)
    except ServerError as error:
        if where is None:
            raise
        raise ReplayError(
            f"{where} holds no bars. {error.what}",
            "Name the bars that followed with --bars, or archive them too: `llmctx archive --history`.",
            exit_code=3,
        ) from error


def _archived_bars(where: str, symbols: list[str]) -> list[Bar]:
    from llmctx.flow.store import bar_of
    from llmctx.ops.archive.history import archived_entries
    from llmctx.trail.archive.place import open_place

    wanted, found = {keys.bars(symbol): symbol for symbol in symbols}, list[Bar]()
    for key, entry in archived_entries(open_place(where), "bars"):
        with contextlib.suppress(ValueError, KeyError, ArithmeticError):  # whoever writes bars may write others
            found += [bar_of(wanted[key], entry)[0]] if key in wanted else []
    return found


async def _stored_bars(settings: Settings, symbols: list[str]) -> list[Bar]:
    from llmctx.flow.store import Store

    async with redis_of(settings) as (redis, _):
        store = Store(redis, await partitions_of(redis, settings))
        return [bar for symbol in symbols async for bar, _ in store.bars(symbol)]


def _candle(bar: Bar) -> tuple[str, Candle]:
    return bar.symbol, Candle(clock.to_ms(bar.start), bar.open, bar.high, bar.low, bar.close)


def _usable(file: BarFile) -> list[Bar]:
    bars = []
    for row in file:
        if isinstance(row, Bar):
            bars.append(row)
        else:
            messages.warning(f"line {row.line}: {row.why}; left out")
    return bars


def _print(outcomes: list[DecisionOutcome]) -> None:
    without_bars = sum(not one.results for one in outcomes)
    out.print(f"[bold]outcome[/]      {len(outcomes)} decisions; mean moves and sums; gain is followed minus unchanged")
    if without_bars:
        out.print(f"[yellow]no bars[/]      {without_bars} decisions have no bars after them")
    table = plain_table("action", "after", right=("count", "move", "unchanged", "followed", "gain", "better", "worse"))
    for row in totals(outcomes):
        after = "its end" if row["horizon"] == "end" else f"{row['horizon']} min"
        colour = "green" if row["gain"] > 0 else "red" if row["gain"] < 0 else "dim"
        table.add_row(
            coloured(row["action"]), after, str(row["decisions"]), f"{row['mean_move_pct']:+.3f}%",
            f"{row['unchanged']:+,.0f}", f"{row['followed']:+,.0f}", f"[{colour}]{row['gain']:+,.0f}[/]",
            str(row["better"]), str(row["worse"]),
        )  # fmt: skip
    out.print(table)


def _print_calibration(calibration: Calibration, horizon: str) -> None:
    at = "at the position's end" if horizon == "end" else f"after {horizon} minutes"
    out.print(
        f"\n[bold]calibration[/]  {at}; right means better than leaving the position alone, for a hold than closing"
    )
    if calibration.brier is None or calibration.brier_base is None:
        out.print("              no decision turned out right or wrong")
        return
    for group in calibration.bins:
        right = escape(str(group.right))
        out.print(f"  {group.low:.1f} to {group.high:.1f}  confidence {group.confidence:.2f}, right {right}")
    out.print(
        f"[bold]brier[/]        {calibration.brier:.3f} over {calibration.decisions} decisions; always giving "
        f"{calibration.base.value:.2f}, the share that was right, would score {calibration.brier_base:.3f}"
    )
