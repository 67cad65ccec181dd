"""Commands about the live data: feed, schema."""

import asyncio
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import escape, out, print_json, warn
from llmctx.cli.progress import progress
from llmctx.cli.setup import partitions_of, redis_of, settings_for
from llmctx.connection import without_password
from llmctx.errors import FeedError
from llmctx.flow.summary import Summary
from llmctx.settings import Settings


def feed(
    bars: Annotated[Path, typer.Argument(help="CSV file: timestamp,symbol,open,high,low,close,volume.")],
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
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Feed recorded bars: live keys, positions, ticks.

    One write a bar and symbol, one tick for each position change.

    Bars are stamped at their start and known at their end. The same file fed again goes on where the bars stream
    ends. Positions follow one rule: when flat, open about 10,000 worth on the side of MACD, with a stop at 1% and a
    target at 2%; close at the bar after either is reached.

    \b
    llmctx feed bars.csv --speed 60
    llmctx feed bars.csv --lockstep          # beside `llmctx run`
    llmctx feed bars.csv --adjust AAPL=7
    """
    settings = settings_for(redis_url, state_dir)
    ratios = dict(_ratio(text) for text in adjust or [])
    asyncio.run(
        _feed(
            settings,
            bars,
            _speed(speed),
            ratios,
            timedelta(seconds=interval_s),
            lockstep=lockstep,
            as_json=as_json,
        )
    )


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


async def _feed(
    settings: Settings,
    path: Path,
    speed: float | None,
    ratios: dict[str, Decimal],
    interval: timedelta,
    *,
    lockstep: bool,
    as_json: bool,
) -> None:
    from llmctx.flow.bars import read_bars
    from llmctx.flow.feed import Feed
    from llmctx.flow.lockstep import Lockstep
    from llmctx.flow.writer import BarWriter

    rows = read_bars(path)
    first = next(rows, None)  # a file that cannot be read is told before a server is asked for
    async with redis_of(settings) as (redis, url):
        partitions = await partitions_of(redis, settings)
        with progress(f"feeding {path.name}", _count_lines(path), quiet=as_json) as advance:
            feeder = Feed(
                BarWriter(redis, partitions),
                interval=interval,
                speed=speed,
                ratios=ratios,
                settled=Lockstep(redis, partitions, on_trouble=warn) if lockstep else None,
                on_bar=lambda _: advance(),
                on_trouble=warn,
            )
            summary = await feeder.run(row for rows_of in ([first] if first else [], rows) for row in rows_of)
    if as_json:
        print_json(summary.as_dict())
    else:
        _print_summary(summary, url)
    if not summary.bars and not summary.already_fed:
        raise FeedError(f"{path} has no bar that could be fed.", "See the warnings above, and correct its rows.")


def _print_summary(summary: Summary, url: str) -> None:
    out.print(
        f"Fed {summary.bars} bars of {', '.join(summary.symbols) or 'no symbol'} to {without_password(url)}: "
        f"{summary.ticks} ticks raised, {summary.opened} positions opened, {summary.closed} closed."
    )
    if summary.adjusted:
        out.print(f"Positions rewritten for a split: {', '.join(summary.adjusted)}.")
    if summary.already_fed:
        out.print(f"{summary.already_fed} bars were there already and were left out.")
    if summary.bad_rows:
        out.print(f"{summary.bad_rows} rows were no bars and were left out.")


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def schema(
    key: Annotated[
        str | None, typer.Argument(help="A key, its pattern or its section: stocks:price:AAPL, price.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the Redis schema, or the JSON Schema of one key.

    \b
    llmctx schema
    llmctx schema positions:active:AAPL
    """
    from rich.table import Table

    from llmctx.schema.keys import FAMILIES, find_family

    if key is not None:
        print_json(find_family(key).model.model_json_schema())
        return
    if as_json:
        for family in FAMILIES:
            print_json(
                {
                    "section": family.section,
                    "pattern": family.pattern,
                    "model": family.model.__name__,
                    "lifetime_s": family.lifetime_s,
                    "writer": family.writer,
                    "says": family.says,
                }
            )
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("key", no_wrap=True, min_width=max(len(family.pattern) for family in FAMILIES))
    for heading in ("section", "lifetime", "says"):
        table.add_column(heading, no_wrap=heading != "says")
    for family in FAMILIES:
        lifetime = "for ever" if family.lifetime_s is None else f"{family.lifetime_s // 3600} h"
        table.add_row(escape(family.pattern), family.section, lifetime, family.says)
    out.print(table)
