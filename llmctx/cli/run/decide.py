"""`llmctx decide`: one decision now."""

import asyncio
from typing import Any

import typer

from llmctx.cli.shared.deciding import decides
from llmctx.cli.shared.decision_config import deciding
from llmctx.cli.shared.options import AsJson, NewInstance, Symbol
from llmctx.cli.shared.output import messages, out, print_json
from llmctx.cli.shared.record_text import print_verdict
from llmctx.cli.shared.setup import home_of
from llmctx.errors import LlmctxError
from llmctx.schema.symbol import check_symbol
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry, address

_GRACE_S = 30
_NO_ANSWER = ("unreachable", "timeout", "limited")


@decides
def decide(
    settings: Settings,
    symbol: Symbol,
    chosen: tuple[str, ...],
    as_json: AsJson = False,
    new_instance: NewInstance = False,
) -> None:
    """Ask for one decision now and record it.

    A running `llmctx run` makes the decision if it owns the symbol's partition; otherwise this command does. Options
    for prompt and model are refused in the first case, because the service has its own. Every call that is not refused
    ends in exactly one record. Exit code 0: a decision. 2: skipped, because the data did not allow a call. 3: the
    endpoint did not answer. 1: its answer was unusable. In the last two cases the guardrails alone decided.

    \b
    llmctx decide AAPL --endpoint http://127.0.0.1:8700/v1 --model llmctx-standin
    """
    entry, partitions = asyncio.run(_decide(settings, check_symbol(symbol), chosen, new_instance=new_instance))
    where = address(entry.index, entry.partition, partitions)
    _print_decision(entry, where, as_json=as_json)
    code = _exit_code(entry.record)
    if code:
        what = f"{entry.record['kind']}: {entry.record['verdict']['reason']}"
        messages.error(LlmctxError(what, f"See `llmctx show {where}`."))
    raise typer.Exit(code)


async def _decide(settings: Settings, symbol: str, chosen: tuple[str, ...], *, new_instance: bool) -> tuple[Entry, int]:
    from llmctx.worker.decide_once import decide_once

    async with deciding(settings) as (config, redis, url):
        home = await home_of(settings, redis, url, new_instance=new_instance)
        entry = await decide_once(home, symbol, config, timeout_s=settings.llm.timeout_s + _GRACE_S, only_here=chosen)
        return entry, home.instance.partitions


def _exit_code(record: dict[str, Any]) -> int:
    match record["kind"]:
        case "decision":
            return 0
        case "failed":
            return 3 if record["completion"]["outcome"] in _NO_ANSWER else 1
        case _:
            return 2


def _print_decision(entry: Entry, where: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"address": where, "leaf_hash": entry.leaf_hash, "index": entry.index, **entry.record})
        return
    print_verdict(entry.record)
    out.print(f"\n[bold]receipt[/]   record {where}, leaf hash {entry.leaf_hash}")
    out.print(f"          llmctx show {where}")
