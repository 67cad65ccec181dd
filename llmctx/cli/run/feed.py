"""`llmctx feed`: bars and headlines into Redis."""

import asyncio
import sys
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx.cli.shared.long_running import progress
from llmctx.cli.shared.options import (
    AsJson,
    BarsFormat,
    BarsSymbol,
    BarsZone,
    CostBps,
    Exchange,
    Funding,
    IntervalS,
    Leverage,
    Lot,
    MaintenancePct,
    MakerBps,
    MinNotional,
    News,
    RedisUrl,
    Sectors,
    StateDir,
    bar_file_options,
    broker_terms,
    option,
    parse_number,
)
from llmctx.cli.shared.output import out, print_json
from llmctx.cli.shared.setup import partitions_of, redis_of, settings_for
from llmctx.connection.address import without_password
from llmctx.errors import FeedError
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.flow.bar_file import BarFile
    from llmctx.flow.feed_report import FeedReport
    from llmctx.flow.rules import FeedRules

_STANDARD_INPUT = Path("-")
_MINUTE = timedelta(minutes=1)

_MAX_SYMBOLS_NAMED = 12


def feed(
    bars: Annotated[
        Path, typer.Argument(help="CSV or Parquet file of bars, columns by name; - reads JSON Lines from stdin.")
    ],
    news: News = None,
    speed: Annotated[
        str, typer.Option(help="Multiple of real time (1, 60, ...), or max for as fast as possible.")
    ] = "max",
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="Wait for each bar's decision before feeding the next bar.")
    ] = False,
    adjust: Annotated[
        list[str] | None,
        option(
            help="A split, SYMBOL=RATIO in new shares for each old one: AAPL=7 or AAPL=7:1; 1 if the price did move. "
            "May be repeated."
        ),
    ] = None,
    interval_s: IntervalS = None,
    bars_format: BarsFormat = None,
    symbol: BarsSymbol = None,
    zone: BarsZone = None,
    sectors: Sectors = None,
    exchange: Exchange = "XNYS",
    vix: Annotated[str | None, typer.Option(help="The volatility index for context:market. Default: null.")] = None,
    paper: Annotated[
        bool, typer.Option(help="Let the paper broker open, trade and close positions, or only mark them to market.")
    ] = True,
    cost_bps: CostBps = "2",
    lot: Lot = None,
    min_notional: MinNotional = None,
    leverage: Leverage = None,
    maker_bps: MakerBps = None,
    maintenance_pct: MaintenancePct = "0.5",
    funding: Funding = None,
    live: Annotated[
        bool, typer.Option("--live", help="The data is live: judge its age by the server's clock, not the bars'.")
    ] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Feed bars and headlines into Redis and raise ticks.

    It writes every live key: one write for each bar and symbol, one tick for each change of a position. A bar is
    stamped with its start and becomes known at its end; a headline becomes known at its own time. Feed the same file
    again to continue where the bars stream ends.

    The paper broker opens positions on entry signals, applies stops and targets within the bar, and executes the
    decisions of `llmctx run` at the next bar's open. docs/data-flow.md states every rule.

    \b
    llmctx feed bars.csv --news news.jsonl --speed 60
    llmctx feed bars.csv --lockstep          # beside `llmctx run`
    my-source | llmctx feed - --live
    """
    from llmctx.flow.bar_file import BarFile
    from llmctx.flow.rules import FeedRules, read_sectors
    from llmctx.flow.timeframes import FrameRules

    if bars == _STANDARD_INPUT and (news is not None or funding is not None):
        raise typer.BadParameter(
            "--news and --funding need a file of bars; with - send them as lines of standard input"
        )
    given = None if interval_s is None else timedelta(seconds=interval_s)
    # An unreadable file is reported before a server is contacted.
    file = None if bars == _STANDARD_INPUT else BarFile(bars, bar_file_options(bars_format, symbol, zone))
    rules = FeedRules(
        interval=(given or _MINUTE) if file is None else file.interval(given),
        ratios=dict(_ratio(text) for text in adjust or []),
        sectors=read_sectors(sectors),
        exchange=exchange,
        vix=None if vix is None else parse_number("--vix", vix),
        live=live,
        **broker_terms((cost_bps, maker_bps, maintenance_pct), lot, min_notional, leverage),
    )
    rules = rules if paper else rules._replace(cost_bps=None)
    factor = _speed(speed)
    settings = settings_for(redis_url, state_dir)
    rules = rules._replace(frames=FrameRules(settings.timeframes, settings.timeframe_series))
    asyncio.run(_feed(settings, file, (news, funding), rules, factor, lockstep=lockstep, as_json=as_json))


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"--speed {text}: give a number above 0, or max")
    return speed


def _ratio(text: str) -> tuple[str, Decimal]:
    symbol, _, ratio = text.partition("=")
    new, _, old = ratio.partition(":")
    try:
        value = Decimal(new) / Decimal(old or 1)
    except (InvalidOperation, ZeroDivisionError):
        value = Decimal(0)
    if not symbol or not value.is_finite() or value <= 0:
        raise typer.BadParameter(f"--adjust {text}: give SYMBOL=RATIO, for example AAPL=7 or AAPL=7:1")
    return symbol, value


async def _feed(
    settings: Settings,
    file: "BarFile | None",
    beside: tuple[Path | None, Path | None],
    rules: "FeedRules",
    speed: float | None,
    *,
    lockstep: bool,
    as_json: bool,
) -> None:
    from llmctx.flow.bar_file import count_bars
    from llmctx.flow.feed import Feed
    from llmctx.flow.intervals import length_text
    from llmctx.flow.lockstep import Lockstep
    from llmctx.flow.pipe import read_pipe
    from llmctx.flow.store import Store
    from llmctx.flow.timeline import read_items

    items = None if file is None else read_items(file, beside[0], rules.interval, beside[1])
    count, name = (0, "Standard input") if file is None else (count_bars(file.path), str(file.path))
    async with redis_of(settings) as (redis, url):
        partitions = await partitions_of(redis, settings)
        with progress(f"feeding {Path(name).name}", count, quiet=as_json or file is None) as advance:
            waiting = Lockstep(redis, partitions) if lockstep else None
            feed = Feed(Store(redis, partitions), rules, speed=speed, lockstep=waiting, on_bar=lambda _: advance())
            if items is None:
                summary = await feed.follow(read_pipe(sys.stdin.buffer, rules.interval, live=rules.live))
            else:
                summary = await feed.run(items)
    if as_json:
        layout = {} if file is None else {"layout": file.layout}
        print_json(summary.as_dict() | layout)
    else:
        if file is not None:
            out.print(f"Read {name}: {file.layout}, bars of {length_text(rules.interval)}.")
        _print_summary(summary, url)
    if not (summary.bars or summary.headlines or summary.already_fed or summary.corrected):
        raise FeedError(f"{name} has no usable bar.", "Correct the rows that the warnings above name.")


def _print_summary(summary: "FeedReport", url: str) -> None:
    news = f" and {summary.headlines} headlines" if summary.headlines else ""
    many = len(summary.symbols) > _MAX_SYMBOLS_NAMED
    of = f"{len(summary.symbols)} symbols" if many else ", ".join(summary.symbols) or "no symbol"
    out.print(
        f"Fed {summary.bars} bars{news} of {of} to {without_password(url)}: "
        f"{summary.ticks} ticks raised, {summary.opened} positions opened, {summary.closed} closed, "
        f"{summary.fills} fills."
    )
    if summary.adjusted:
        out.print(f"Rewrote positions for a split: {', '.join(summary.adjusted)}.")
    if summary.already_fed:
        out.print(f"Left out {summary.already_fed} bars or headlines that were fed before or are too old.")
    if summary.corrected:
        out.print(f"Corrected {summary.corrected} bars that came again with other values.")
    if summary.bad_rows:
        out.print(f"Left out {summary.bad_rows} unusable rows.")
