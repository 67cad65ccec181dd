"""`llmctx watch`: one symbol, live."""

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

from llmctx.cli.shared.decision_config import trail_rules
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir, Symbol, option
from llmctx.cli.shared.output import coloured, escape, out, print_json
from llmctx.cli.shared.setup import partitions_of, redis_of, settings_for
from llmctx.clock import in_words, iso
from llmctx.context.facts import facts_of
from llmctx.context.package import Package
from llmctx.ops.changes import Change, follow_package
from llmctx.prompt.lines import text_of
from llmctx.schema.keys import partition_of
from llmctx.schema.symbol import check_symbol
from llmctx.settings import Settings

if TYPE_CHECKING:
    from rich.console import Group

_MAX_FACTS = 14


def watch(
    symbol: Symbol,
    seconds: Annotated[float | None, option("--for", help="Stop after this many seconds.")] = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Follow one symbol's live data as it changes.

    On a terminal it shows the whole package and highlights what has just changed. Elsewhere, and with --json, it prints
    one line for each fact that changes. Ctrl-C stops it.

    \b
    llmctx watch AAPL
    llmctx watch AAPL --for 10 --json
    """
    asyncio.run(_watch(settings_for(redis_url, state_dir), check_symbol(symbol), seconds, as_json=as_json))


async def _watch(settings: Settings, symbol: str, seconds: float | None, *, as_json: bool) -> None:
    from rich.live import Live

    screen = Live(console=out, auto_refresh=False, screen=True) if out.is_terminal and not as_json else None
    async with redis_of(settings) as (redis, _):
        partition = partition_of(symbol, await partitions_of(redis, settings))
        rules = await trail_rules(redis, settings)
        with screen or nullcontext():
            async for package, changes in follow_package(redis, symbol, partition, rules, seconds):
                if screen is None:
                    _print_changes(package, changes, as_json=as_json)
                else:
                    screen.update(_drawing(package, changes), refresh=True)


def _print_changes(package: Package, changes: list[Change], *, as_json: bool) -> None:
    if not as_json and not changes:
        out.print(f"{package.symbol} as of {iso(package.as_of_ms)}; changes follow, one on each line.")
    for change in changes:
        if as_json:
            print_json({"as_of_ms": package.as_of_ms, **change._asdict()})
        else:
            text = f"{change.path}: {_text(change.before)} -> {_text(change.after)}"
            out.print(f"[dim]{iso(package.as_of_ms)}[/] {escape(text)}")


def _text(value: Any) -> str:
    return "(absent)" if value is None else text_of(value)


def _drawing(package: Package, changes: list[Change]) -> "Group":
    """The whole package, with what has just changed highlighted."""
    from rich.columns import Columns
    from rich.console import Group
    from rich.text import Text

    changed = {change.path for change in changes}
    head = Text.from_markup(f"[bold]{package.symbol}[/] as of {iso(package.as_of_ms)}  [dim]Ctrl-C stops it[/]")
    sections = [Text.from_markup(text) for text in _sections(package, changed)]
    return Group(head, Columns(sections, padding=(0, 3)))


def _sections(package: Package, changed: set[str]) -> list[str]:
    texts = []
    for section in package.sections.values():
        age = "" if section.age_ms is None else f", {in_words(section.age_ms)} old"
        lines = [f"[bold]{section.name}[/]  {coloured(section.status)}{age}"]
        for fact in facts_of(section)[:_MAX_FACTS]:
            mark = "reverse" if fact.path in changed else "default"
            name = fact.path.removeprefix(f"{section.name}.")
            lines.append(f"  {escape(f'{name:<30}'[:44])} [{mark}]{escape(text_of(fact.value)[:40])}[/]")
        texts.append("\n".join(lines))
    return texts
