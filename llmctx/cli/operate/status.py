"""`llmctx status`: how things stand."""

import asyncio
from typing import Any

from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import redis_of, settings_for
from llmctx.errors import KeyFileError
from llmctx.settings import Settings


def status(redis_url: RedisUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Show server, owners, backlog, rates and the last failure.

    \b
    llmctx status
    """
    found = asyncio.run(_read(settings_for(redis_url, state_dir)))
    if as_json:
        print_json(found)
    else:
        _print(found)


async def _read(settings: Settings) -> dict[str, Any]:
    from llmctx.worker.status import read_status

    async with redis_of(settings) as (redis, url):
        found = await read_status(redis, url)
    return found | _key(settings, found["instance"], len(found["partitions"]))


def _key(settings: Settings, instance: str | None, partitions: int) -> dict[str, str | None]:
    """The public key, None if there is none; and what is wrong with the instance key, None if it is fine."""
    from llmctx.trail.proof.key import read_public_key
    from llmctx.trail.proof.replaced import key_trouble

    if instance is None:
        return {"key": None, "key_trouble": None}
    trouble = key_trouble(settings.state_dir, instance, partitions)
    try:
        public = read_public_key(settings.state_dir, instance)
    except KeyFileError:  # `key_trouble` says why
        public = None
    return {
        "key": None if public is None else public.text,
        "key_trouble": None if trouble is None else f"{trouble.what} {trouble.do}",
    }


def _print(found: dict[str, Any]) -> None:
    from llmctx.trail.log.unreadable import TO_DO

    out.print(f"[bold]server[/]      {found['server']} at {found['url']}, {found['memory']}")
    if found["halted"]:
        out.print(f"[bold red]halted[/]      {escape(', '.join(found['halted']))}; `llmctx resume` ends it")
    if found["instance"] is None:
        out.print("[bold]trail[/]       none yet; `llmctx run` or `llmctx decide SYMBOL` creates one")
        return
    out.print(f"[bold]instance[/]    {found['instance']}, {len(found['partitions'])} partition(s)")
    out.print(f"[bold]key[/]         {escape(found['key'] or 'none here; `llmctx run` or `llmctx notary` makes one')}")
    if found["key_trouble"]:
        out.print(f"[bold red]key trouble[/] {escape(found['key_trouble'])}")
    if found["budget"] is not None:
        _print_budget(found["budget"])
    for partition in found["partitions"]:
        out.print(f"\n[bold]partition {partition['partition']}[/]")
        out.print(f"  owner        {escape(partition['owner'] or 'nobody: start one with `llmctx run`')}")
        out.print(f"  backlog      {partition['backlog']} ticks, {partition['pending']} of them being decided")
        archived = f" ({partition['archived']} archived)" if partition["archived"] else ""
        out.print(
            f"  records      {partition['records']}{archived}, checkpoint {partition['checkpoint'] or 'none yet'}"
        )
        out.print(f"  rate         {partition['per_minute']} records in the last minute")
        out.print(f"  newest       {escape(partition['newest'] or 'none')}")
        _print_effects(partition["effects"])
        for line in partition["unreadable"]:
            out.print(f"  [red]unreadable[/]   {escape(line)}")
        if partition["unreadable"]:
            out.print(f"  to do        {TO_DO}")
        if waiting := partition["unconfirmed_stops"]:
            out.print(f"  [bold red]stops[/]        {', '.join(waiting)} wait for `llmctx confirm` or a later price")
        if partition["repairs"]:
            counts = ", ".join(f"{count} of {what}" for what, count in partition["repairs"].items())
            out.print(
                f"  [red]repairs[/]      foreign entries removed: {escape(counts)}; somebody else writes to this server"
            )
        out.print(f"  last failure {escape(partition['last_trouble'] or 'none among the last 200 records')}")


def _print_effects(effects: dict[str, Any]) -> None:
    if effects["waiting"]:
        out.print(f"  effects      {effects['waiting']} wait to be recorded")
    if effects["trades"]:
        slippage = "unknown" if effects["slippage_bps"] is None else f"{effects['slippage_bps']} bps"
        out.print(f"  fills        {effects['trades']} trades in the last 200 records, mean slippage {slippage}")
    for line in effects["findings"]:
        out.print(f"  [red]effects[/]      {escape(line)}; `llmctx reconcile` says more")


def _print_budget(budget: dict[str, Any]) -> None:
    from llmctx.worker.budget import in_words

    unsettled = f", {budget['unsettled_calls']} calls not settled" if budget["unsettled_calls"] else ""
    out.print(f"[bold]budget[/]      {budget['day']}: {in_words(budget)}{unsettled}")
    for limit, count in budget["refused"].items():
        out.print(f"  [red]used up[/]      {escape(limit)}: {count} calls not made; the guardrails decide alone")
