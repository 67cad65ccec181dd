"""How trades are read and printed: what was decided, what was done, and where they disagree."""

from llmctx import canonical, clock
from llmctx.cli.shared.output import escape, out
from llmctx.replay.reconcile import Reconciliation, Trade
from llmctx.trail.source.source import Source


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
