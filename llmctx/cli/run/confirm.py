"""`llmctx confirm`: a person says that a price is real."""

import asyncio
from typing import Annotated

import typer

from llmctx import clock
from llmctx.cli.shared.deciding import decides
from llmctx.cli.shared.decision_config import deciding, trail_rules
from llmctx.cli.shared.options import AsJson, Symbol, said_by
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.record_text import print_verdict
from llmctx.cli.shared.setup import home_of
from llmctx.context.marks import Mark
from llmctx.errors import LlmctxError
from llmctx.schema.symbol import check_symbol
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry, address

_GRACE_S = 30


@decides
def confirm(
    settings: Settings,
    symbol: Symbol,
    by: Annotated[str, typer.Option(help="Who confirms the price; recorded.")],
    why: Annotated[str, typer.Option(help="Why it is right; recorded.")],
    as_json: AsJson = False,
) -> None:
    """Confirm that a price is right, and decide at once.

    If an implausible price had reached a stop, the position is closed now (docs/plausibility.md). The confirmation is
    recorded in the trail. It covers this position at this price level: a later step away from it needs another one.

    \b
    llmctx confirm AAPL --by "R. Meier" --why "profit warning before the open, seen on two sources"
    """
    confirmed, entry, partitions = asyncio.run(_confirm(settings, check_symbol(symbol), *said_by(by, why)))
    where = address(entry.index, entry.partition, partitions)
    if as_json:
        print_json({"address": where, "leaf_hash": entry.leaf_hash, "index": entry.index, **entry.record})
        return
    out.print(f"[bold]confirmed[/] the price {confirmed.last} of {clock.iso(confirmed.at_ms)}, by {escape(by)}")
    print_verdict(entry.record)
    out.print(f"\n[bold]receipt[/]   record {where}, leaf hash {entry.leaf_hash}")


async def _confirm(settings: Settings, symbol: str, by: str, why: str) -> tuple[Mark, Entry, int]:
    from llmctx.context.marks import mark_of
    from llmctx.context.package import build_package
    from llmctx.context.reader import read_snapshot
    from llmctx.schema.keys import partition_of
    from llmctx.worker.decide_once import decide_once

    async with deciding(settings) as (config, redis, url):
        home = await home_of(settings, redis, url)
        partition = partition_of(symbol, home.instance.partitions)
        package = build_package(await read_snapshot(redis, symbol, partition, await trail_rules(redis, settings)))
        if package.refusal is not None:
            raise LlmctxError(f"There is no price to confirm: {package.refusal}.", "Write position and price first.")
        confirmed = mark_of(package.position, package.price)._replace(volume=None, why=why)
        confirmed = confirmed._replace(by=await home.names.id_of(by))
        timeout_s = settings.llm.timeout_s + _GRACE_S
        entry = await decide_once(home, symbol, config, confirmation=confirmed, timeout_s=timeout_s)
        return confirmed, entry, home.instance.partitions
