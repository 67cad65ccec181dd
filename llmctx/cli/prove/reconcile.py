"""`llmctx reconcile`: what became of decisions."""

import asyncio
from typing import Annotated

import typer

from llmctx import canonical, clock
from llmctx.cli.shared.options import AsJson, From, RedisUrl, Since, StateDir, Until, option, parse_time
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.cli.shared.sources import source_of
from llmctx.replay.reconcile import Reconciliation, Trade
from llmctx.settings import Settings
from llmctx.trail.source.source import Source
from llmctx.visible import visible


def reconcile(
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    since: Since = None,
    until: Until = None,
    at: Annotated[
        str | None,
        option(
            help="Only what was decided or done in this minute: 14:59 on any day of the trail, or an ISO 8601 time."
        ),
    ] = None,
    findings: Annotated[bool, typer.Option("--findings", help="Only what does not agree.")] = False,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare what was decided with what was done.

    There is one entry for each decision that asks for an action, with its fills, their price against the one that the
    decision knew, and what people said about it; and one for each fill that no decision asked for, such as a stop at
    the broker, with the stop and target set before it. Findings are decisions without an effect after five minutes,
    orders without an end, other quantities or sides than decided, prices more than 100 basis points worse, and
    unexplained fills. Exit code 1 if there are any.

    \b
    llmctx reconcile --since 1d
    llmctx reconcile --symbol AAPL --at 14:59 --from ./export
    """
    since_ms, until_ms = parse_time("--since", since), parse_time("--until", until)
    minute = None if at is None else _minute(at)
    trades = [
        trade
        for trade in asyncio.run(_read(settings_for(redis_url, state_dir), where))
        if symbol in (None, trade.symbol)
        and (since_ms is None or trade.time_ms >= since_ms)
        and (until_ms is None or trade.time_ms < until_ms)
        and (minute is None or any(clock.iso(time_ms)[:16].endswith(minute) for time_ms in trade.times_ms))
        and (trade.findings or not findings)
    ]
    for trade in trades:
        if as_json:
            print_json(trade.as_dict() | {"people": [visible(said) for said in trade.people]})
        else:
            print_trade(trade)
    wrong = [trade for trade in trades if trade.findings]
    if not as_json:
        decided = len([trade for trade in trades if trade.action != "none"])
        out.print(
            f"{decided} decisions to carry out, {len(trades) - decided} trades without a decision, "
            f"{len(wrong)} with findings."
        )
    raise typer.Exit(1 if wrong else 0)


def _minute(at: str) -> str:
    """How ISO 8601 times of a minute end without their seconds: HH:MM, or with the date before it."""
    is_time_of_day = len(at) == len("14:59")
    time_ms = parse_time("--at", at) or 0
    return at if is_time_of_day else clock.iso(time_ms)[:16]


async def _read(settings: Settings, where: str | None) -> list[Trade]:
    async with source_of(settings, where) as source:
        return await trades_of(source)


async def trades_of(source: Source) -> list[Trade]:
    """The trades of a source, by time."""
    found = Reconciliation(source.partitions)
    for part in source.parts:
        async for entry in part.read():
            found.add(entry)
    return found.trades()


def print_trade(trade: Trade) -> None:
    """Print a trade: one line for what was done, and one each for the reason, for people and for findings."""
    statuses = ", ".join(dict.fromkeys(trade.statuses)).replace("_", " ") or "nothing reported"
    head = f"[bold]{clock.iso(trade.time_ms)}[/]  {escape(trade.symbol)}  {trade.action}: {statuses}"
    if trade.fill_price is not None:
        of = "" if trade.wanted is None else f" of {canonical.plain(trade.wanted)}"
        verb = {"buy": "bought", "sell": "sold"}.get(trade.side or "", "traded")
        price = canonical.plain(round(trade.fill_price, 6))
        head += f", {verb} {canonical.plain(trade.filled)}{of} at {price}, fee {canonical.plain(trade.fee)}"
    if trade.slippage_bps is not None and trade.price is not None:
        head += f" (price known {canonical.plain(trade.price)}, slippage {trade.slippage_bps} bps)"
    out.print(head)
    why = "no decision" if trade.action == "none" else f"decision {trade.address}"
    out.print(f"  why      {why}: {escape(trade.reason or 'no reason given')}")
    if trade.stood is not None:
        out.print(f"  stood    {escape(trade.stood)}")
    if trade.effects:
        done = [f"{where} at {clock.iso(at_ms)}" for where, at_ms in zip(trade.effects, trade.done_ms, strict=True)]
        out.print(f"  effects  {', '.join(done)}")
    for said in trade.people:
        out.print(f"  people   {escape(said)}")
    for finding in trade.findings:
        out.print(f"  [red]finding[/]  {escape(finding)}")
