"""What people do: what `llmctx approve`, `override` and `annotate` share, and `halt` and `resume`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from llmctx.cli.shared.decision_config import config_of
from llmctx.cli.shared.options import said_by
from llmctx.cli.shared.output import escape, messages, out, print_json
from llmctx.cli.shared.setup import home_of, redis_of, settings_for
from llmctx.connection import server_ms
from llmctx.schema.symbol import check_symbol
from llmctx.settings import Settings
from llmctx.statement import ActKind

By = Annotated[str, typer.Option(help="Who does it; recorded. With [people] in the settings, one of them.")]
Halter = Annotated[str, typer.Option(help="Who does it; recorded.")]
Why = Annotated[str, typer.Option(help="Why; recorded.")]


def act(
    kind: ActKind,
    record: str,
    by: str,
    why: str,
    *,
    redis_url: str | None,
    state_dir: Path | None,
    as_json: bool,
    action: str | None = None,
) -> None:
    """Have a person's statement about a record recorded, and print its address."""
    said = {"kind": kind, "action": action}
    said["by"], said["why"] = said_by(by, why)
    where, verdict = asyncio.run(_act(settings_for(redis_url, state_dir), record, said))
    if as_json:
        print_json({"kind": kind, "about": record, "address": where, "verdict": verdict})
        return
    out.print(f"[bold]{kind}[/] of record {escape(record)} by {escape(by)}\n[bold]record[/]   {where}")
    if kind != "annotation":
        out.print(f"[bold]verdict[/]  {verdict['action']}: {escape(verdict['reason'])}")


async def _act(settings: Settings, record: str, said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Its address, and the resulting verdict."""
    from llmctx.statement import Act
    from llmctx.trail.log.entry import parse_address
    from llmctx.trail.log.reader import LogReader
    from llmctx.worker.saying import say

    async with redis_of(settings) as (redis, url):
        home = await home_of(settings, redis, url)
        partition, index = parse_address(record, home.instance.partitions)
        made = Act.model_validate(said | {"index": index})
        if made.kind == "approval":
            async with config_of(settings) as config:  # an approved decision is judged again, here if no service runs
                where = await say(home, partition, made, config)
        else:
            where = await say(home, partition, made)
        entry = await LogReader(redis, partition).entry(parse_address(where, home.instance.partitions)[1])
        return where, {} if entry is None else entry.record["verdict"]


def control(
    act: Literal["halt", "resume"],
    symbol: str | None,
    by: str,
    why: str,
    *,
    redis_url: str | None,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Set or remove the halt key, and have that recorded."""
    settings = settings_for(redis_url, state_dir)
    if symbol is not None:
        check_symbol(symbol)
    where, now = asyncio.run(_control(settings, act, symbol, *said_by(by, why)))
    if as_json:
        print_json({"act": act, "symbol": symbol, "address": where, "halted": now})
        return
    out.print(f"[bold]{'halted' if act == 'halt' else 'resumed'}[/]    {escape(symbol or 'all symbols')}")
    out.print(f"[bold]halted now[/] {escape(', '.join(now) or 'nothing')}")
    out.print(f"[bold]record[/]    {where}")


async def _control(
    settings: Settings, act: Literal["halt", "resume"], symbol: str | None, by: str, why: str
) -> tuple[str, list[str]]:
    from llmctx.trail.log.people import NameTable
    from llmctx.worker.controls import Control, apply, halted, note

    async with redis_of(settings) as (redis, url):
        person = await NameTable(redis, settings.state_dir).id_of(by)
        said = Control(act=act, symbol=symbol, by=person, why=why, at_ms=await server_ms(redis))
        if not await apply(redis, said):  # at once, because the record may have to wait for its owner
            state = "is halted already" if act == "halt" else "was not halted"
            messages.note(f"{symbol or 'everything'} {state}; this is recorded all the same")
        home = await home_of(settings, redis, url)
        return await note(home, said), await halted(redis)
