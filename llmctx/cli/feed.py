"""Commands that bring data in: feed, simulate."""

import asyncio
import csv
import json
import sys
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from llmctx import canonical
from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import escape, out, print_json
from llmctx.cli.progress import progress
from llmctx.cli.setup import partitions_of, redis_of, settings_for
from llmctx.connection import without_password
from llmctx.errors import FeedError
from llmctx.flow.feed_report import FeedReport
from llmctx.settings import Settings

_PIPE = Path("-")


def feed(
    bars: Annotated[
        Path,
        typer.Argument(help="CSV file: timestamp,symbol,open,high,low,close,volume; or - for JSON Lines on stdin."),
    ],
    news: Annotated[
        Path | None, typer.Option(help="JSON Lines file of headlines: timestamp, symbol, headline, source, url.")
    ] = None,
    speed: Annotated[
        str, typer.Option(help="Multiple of real time (1, 60, ...), or max for as fast as it goes.")
    ] = "max",
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="Wait for each bar's decision before the next bar.")
    ] = False,
    adjust: Annotated[
        list[str] | None,
        typer.Option(
            help="SYMBOL=RATIO, new shares for each old one: AAPL=7 (or AAPL=7:1) after a 7:1 split.",
            show_default=False,
        ),
    ] = None,
    interval_s: Annotated[int, typer.Option(help="Length of a bar in seconds.", min=1)] = 60,
    sectors: Annotated[Path | None, typer.Option(help='JSON file: {"AAPL": "technology", ...}.')] = None,
    exchange: Annotated[
        str, typer.Option(help="Whose hours market_status follows: XNYS, XNAS, XLON, XETR, XPAR, or always.")
    ] = "XNYS",
    vix: Annotated[str | None, typer.Option(help="The volatility index for context:market; null otherwise.")] = None,
    paper: Annotated[
        bool,
        typer.Option(help="Let the paper broker open, trade and close positions; without it they are only marked."),
    ] = True,
    cost_bps: Annotated[
        str, typer.Option(help="What each of the paper broker's fills costs, in basis points of its worth.")
    ] = "2",
    live: Annotated[
        bool, typer.Option("--live", help="The data is of now: judge it by the server's clock, not by the bars'.")
    ] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Feed bars and headlines: every live key, positions, ticks.

    One write a bar and symbol, one tick for each position change. Bars are stamped at their start and known at their
    end; headlines appear at their own time. The same file fed again goes on where the bars stream ends.

    The paper broker opens positions on entry signals, enforces stops and targets inside the bar, and follows the
    decisions of `llmctx run` at the next bar's open; docs/data-flow.md states every rule.

    \b
    llmctx feed bars.csv --news news.jsonl --speed 60
    llmctx feed bars.csv --lockstep          # beside `llmctx run`
    my-source | llmctx feed - --live
    """
    from llmctx.flow.rules import Broker, FeedRules

    rules = FeedRules(
        interval=timedelta(seconds=interval_s),
        ratios=dict(_ratio(text) for text in adjust or []),
        sectors={} if sectors is None else read_sectors(sectors),
        exchange=exchange,
        vix=None if vix is None else read_number("--vix", vix),
        broker=Broker(read_number("--cost-bps", cost_bps)) if paper else None,
        live=live,
    )
    if bars == _PIPE and news is not None:
        raise typer.BadParameter("--news goes with a file of bars; headlines are piped in as lines of their own")
    settings = settings_for(redis_url, state_dir)
    asyncio.run(_feed(settings, bars, news, _speed(speed), rules, lockstep=lockstep, as_json=as_json))


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"--speed {text}: write a number above 0, or max")
    return speed


def _ratio(text: str) -> tuple[str, Decimal]:
    symbol, _, ratio = text.partition("=")
    new, _, old = ratio.partition(":")
    try:
        value = Decimal(new) / Decimal(old or 1)
    except (InvalidOperation, ZeroDivisionError):
        value = Decimal(0)
    if not symbol or not value.is_finite() or value <= 0:
        raise typer.BadParameter(f"--adjust {text}: write SYMBOL=RATIO, for example AAPL=7 or AAPL=7:1")
    return symbol, value


def read_number(option: str, text: str) -> Decimal:
    """The number that an option was given."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value < 10_000:  # noqa: PLR2004  far above any index or cost
        raise typer.BadParameter(f"{option} {text}: write a number from 0 on")
    return value


def read_sectors(path: Path) -> dict[str, str]:
    """The sector map of a file.

    Raises FeedError where it is none.
    """
    try:
        found: Any = canonical.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FeedError(f"{path} cannot be read: {error}.", 'Write it as {"AAPL": "technology", ...}.') from error
    if not isinstance(found, dict) or not all(isinstance(sector, str) and sector for sector in found.values()):
        raise FeedError(f"{path} is no sector map.", 'Write it as {"AAPL": "technology", ...}.')
    return found


async def _feed(
    settings: Settings,
    bars: Path,
    news: Path | None,
    speed: float | None,
    rules: Any,
    *,
    lockstep: bool,
    as_json: bool,
) -> None:
    from llmctx.flow.feed import Feed
    from llmctx.flow.lockstep import Lockstep
    from llmctx.flow.pipe import read_pipe
    from llmctx.flow.store import Store

    piped = bars == _PIPE
    items = (
        None if piped else read_items(bars, news, rules.interval)
    )  # what cannot be read is told before a server is asked
    count = 0 if piped else _count_lines(bars)
    async with redis_of(settings) as (redis, url):
        partitions = await partitions_of(redis, settings)
        showing = progress(f"feeding {bars.name}", count, quiet=as_json or piped)
        with showing as advance:
            feeder = Feed(
                Store(redis, partitions),
                rules,
                speed=speed,
                lockstep=Lockstep(redis, partitions) if lockstep else None,
                on_bar=lambda _: advance(),
            )
            if items is None:
                summary = await feeder.follow(read_pipe(sys.stdin.buffer, rules.interval))
            else:
                summary = await feeder.run(items)
    if as_json:
        print_json(summary.as_dict())
    else:
        _print_summary(summary, url)
    if not (summary.bars or summary.headlines or summary.already_fed):
        name = "Standard input" if piped else str(bars)
        raise FeedError(f"{name} has no bar that could be fed.", "See the warnings above, and correct its rows.")


def read_items(bars: Path, news: Path | None, interval: timedelta) -> Any:
    """Bars and headlines of files in the order in which they are known.

    Raises FeedError where a file cannot be read.
    """
    import itertools

    from llmctx.flow.bars import read_bars
    from llmctx.flow.news import read_news
    from llmctx.flow.timeline import by_stamp, in_order

    headlines = [] if news is None else list(read_news(news))
    rows = read_bars(bars)
    first = list(itertools.islice(rows, 1))
    return in_order(by_stamp(itertools.chain(first, rows), headlines), interval)


def _print_summary(summary: FeedReport, url: str) -> None:
    news = f" and {summary.headlines} headlines" if summary.headlines else ""
    out.print(
        f"Fed {summary.bars} bars{news} of {', '.join(summary.symbols) or 'no symbol'} to {without_password(url)}: "
        f"{summary.ticks} ticks raised, {summary.opened} positions opened, {summary.closed} closed, "
        f"{summary.fills} fills."
    )
    if summary.adjusted:
        out.print(f"Positions rewritten for a split: {', '.join(summary.adjusted)}.")
    if summary.already_fed:
        out.print(
            f"{summary.already_fed} bars or headlines were there already, or too old to count, and were left out."
        )
    if summary.bad_rows:
        out.print(f"{summary.bad_rows} rows could not be used and were left out.")


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def simulate(
    bars: Annotated[Path, typer.Argument(metavar="OUT.csv", help="Where the bars go.")],
    news: Annotated[Path | None, typer.Option(help="Where the headlines go, as JSON Lines.")] = None,
    sectors: Annotated[Path | None, typer.Option(help="Where the sector map goes, as JSON.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same market.")] = 7,
    days: Annotated[int, typer.Option(help="How many trading days.", min=1, max=250)] = 2,
    minutes: Annotated[int, typer.Option(help="How many minutes of each day.", min=1, max=390)] = 390,
) -> None:
    """Write a simulated market: bars, headlines, sectors.

    Eight symbols in four sectors. Trend days and chop days alternate, with a halt, a news shock and an opening gap.

    \b
    llmctx simulate bars.csv --news news.jsonl --sectors sectors.json --seed 7
    llmctx feed bars.csv --news news.jsonl --sectors sectors.json
    """
    from llmctx.clock import iso, to_ms
    from llmctx.flow.bars import HEADER
    from llmctx.flow.simulated_market import simulate as simulate_session

    session = simulate_session(seed=seed, days=days, minutes=minutes)
    with bars.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        rows.writerows([iso(to_ms(bar.start)), *bar[1:]] for bar in session.bars)
    if news is not None:
        news.write_text("".join(json.dumps(line) + "\n" for line in session.news), encoding="utf-8")
    if sectors is not None:
        sectors.write_text(json.dumps(session.sectors, indent=1) + "\n", encoding="utf-8")
    written = [f"{len(session.bars)} bars of {len(session.sectors)} symbols to {bars}"]
    written += [] if news is None else [f"{len(session.news)} headlines to {news}"]
    written += [] if sectors is None else [f"the sectors to {sectors}"]
    out.print(escape(f"Wrote {', '.join(written)}."))
