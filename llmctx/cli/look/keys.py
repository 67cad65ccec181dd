"""`llmctx keys`: the existing live keys."""

import asyncio
from typing import TYPE_CHECKING

from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, out, plain_table, print_json
from llmctx.cli.shared.setup import redis_of, settings_for
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.ops.keyspace import FamilyCount


def keys(redis_url: RedisUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Count the live keys and name the invalid ones.

    For each family of keys: how many there are, how old the newest is, which are invalid and why, and the memory used.

    \b
    llmctx keys
    """
    found = asyncio.run(_count(settings_for(redis_url, state_dir)))
    if as_json:
        for family in found:
            print_json(family._asdict())
    else:
        _print(found)


async def _count(settings: Settings) -> "list[FamilyCount]":
    from llmctx.ops.keyspace import count_families

    async with redis_of(settings) as (redis, _):
        return await count_families(redis, settings.mapping)


def _print(found: "list[FamilyCount]") -> None:
    from llmctx.clock import in_words

    table = plain_table("family", right=("keys", "newest", "invalid", "memory"))
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
