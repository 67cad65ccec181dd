"""Commands that look at the live keys: schema, keys, watch."""

import asyncio
from typing import Annotated, Any

import typer

from llmctx.cli.ask import Symbol
from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import escape, out, print_json
from llmctx.cli.setup import partitions_of, redis_of, rules_of, settings_for
from llmctx.schema.keys import check_symbol
from llmctx.settings import Settings


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


def keys(redis_url: RedisUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Count the live keys, family by family.

    How many there are, how old the newest is, which are invalid and why, and how much memory they take.

    \b
    llmctx keys
    """
    from llmctx.ops.keyspace import FamilyCount, count_families

    async def count() -> list[FamilyCount]:
        async with redis_of(settings_for(redis_url, state_dir)) as (redis, _):
            return await count_families(redis)

    found = asyncio.run(count())
    if as_json:
        for family in found:
            print_json(family._asdict())
        return
    _print_families(found)


def _print_families(found: list[Any]) -> None:
    from rich.table import Table

    from llmctx.clock import in_words

    table = Table(box=None, pad_edge=False)
    for heading, justify in (
        ("family", "left"),
        ("keys", "right"),
        ("newest", "right"),
        ("invalid", "right"),
        ("memory", "right"),
    ):
        table.add_column(heading, no_wrap=True, justify=justify)  # type: ignore[arg-type]
    for family in found:
        newest = "" if family.newest_age_ms is None else f"{in_words(family.newest_age_ms)} old"
        invalid = f"[red]{family.invalid}[/]" if family.invalid else "0"
        table.add_row(escape(family.pattern), str(family.keys), newest, invalid, f"{family.memory_bytes / 1024:.1f} KB")
    out.print(table)
    for family in found:
        for reason in family.reasons:
            out.print(f"[red]invalid[/]  {escape(reason)}")
        if family.invalid > len(family.reasons):
            out.print(f"         and {family.invalid - len(family.reasons)} more of {escape(family.pattern)}")


def watch(
    symbol: Symbol,
    seconds: Annotated[
        float | None, typer.Option("--for", help="End after so many seconds.", show_default=False)
    ] = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Follow one symbol's package as it changes.

    On a terminal the whole package, with what has just changed marked; elsewhere, and with --json, one line for each
    fact that changed. Ctrl-C ends it.

    \b
    llmctx watch AAPL
    llmctx watch AAPL --for 10 --json
    """
    asyncio.run(_watch(settings_for(redis_url, state_dir), check_symbol(symbol), seconds, as_json=as_json))


async def _watch(settings: Settings, symbol: str, seconds: float | None, *, as_json: bool) -> None:
    from llmctx.cli.watching import Lines, Screen
    from llmctx.ops.changes import follow_package
    from llmctx.schema.keys import partition_of

    async with redis_of(settings) as (redis, _):
        partition = partition_of(symbol, await partitions_of(redis, settings))
        view = Screen() if out.is_terminal and not as_json else Lines(as_json=as_json)
        with view:
            async for package, changes in follow_package(redis, symbol, partition, rules_of(settings), seconds):
                view.show(package, changes)
