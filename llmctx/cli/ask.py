"""Commands about one symbol now: context, decide."""

import asyncio
from typing import Annotated, Any

import typer

from llmctx.cli.options import (
    AsJson,
    Endpoint,
    Model,
    NewInstance,
    PromptName,
    PromptsDir,
    RedisUrl,
    StateDir,
)
from llmctx.cli.output import coloured, err, escape, out, print_json, visible
from llmctx.cli.setup import asking_of, partitions_of, redis_of, rules_of, settings_for
from llmctx.context.package import Package
from llmctx.schema.keys import check_symbol
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry

Symbol = Annotated[str, typer.Argument(help="The symbol, as in positions:active:SYMBOL.")]
_EXIT_OF_OUTCOME = {"unreachable": 3, "timeout": 3}


def context(
    symbol: Symbol,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="Print the messages of this prompt: NAME or NAME/vN.")
    ] = None,
    prompts: PromptsDir = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Print what the model would be shown now.

    The package, or with --prompt the messages.

    \b
    llmctx context AAPL
    llmctx context AAPL --prompt position
    """
    settings = settings_for(redis_url, state_dir, prompts=prompts)
    asyncio.run(_context(settings, check_symbol(symbol), prompt, as_json=as_json))


async def _context(settings: Settings, symbol: str, prompt: str | None, *, as_json: bool) -> None:
    from llmctx.context.package import build_package
    from llmctx.context.reader import read_snapshot
    from llmctx.prompt.render import render
    from llmctx.prompt.template import load_template
    from llmctx.schema.keys import partition_of

    template = None if prompt is None else load_template(settings.prompts, prompt)
    async with redis_of(settings) as (redis, _):
        partition = partition_of(symbol, await partitions_of(redis, settings))
        package = build_package(await read_snapshot(redis, symbol, partition, rules_of(settings)))
    if template is not None:
        messages = render(template, package).messages
        if as_json:
            print_json([message._asdict() for message in messages])
        else:
            for message in messages:
                out.rule(message.role, align="left")
                out.print(visible(message.content), markup=False)
        return
    if as_json:
        print_json(_as_dict(package))
    else:
        _print_package(package)


def _as_dict(package: Package) -> dict[str, Any]:
    return {
        "symbol": package.symbol,
        "as_of_ms": package.as_of_ms,
        "clock": package.clock,
        "refusal": package.refusal,
        "sections": {name: section._asdict() for name, section in package.sections.items()},
    }


def _print_package(package: Package) -> None:
    from llmctx.clock import in_words, iso
    from llmctx.context.facts import facts_of
    from llmctx.prompt.render import text_of

    out.print(f"[bold]{package.symbol}[/] as of {iso(package.as_of_ms)} ({package.clock} clock)")
    for section in package.sections.values():
        age = "" if section.age_ms is None else f", {in_words(section.age_ms)} old"
        out.print(f"\n[bold]{section.name}[/]  {coloured(section.status)}{age}  [dim]{escape(section.key)}[/]")
        if section.reason:
            out.print(f"  {escape(section.reason)}")
        for fact in facts_of(section):
            unit = f"  [dim]{fact.unit}[/]" if fact.unit else ""
            out.print(f"  {escape(f'{fact.path:<46}')} {escape(text_of(fact.value))}{unit}")
    if package.refusal:
        out.print(f"\nNo decision could be asked for: {escape(package.refusal)}")


def decide(
    symbol: Symbol,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    prompt: PromptName = None,
    prompts: PromptsDir = None,
    endpoint: Endpoint = None,
    model: Model = None,
    as_json: AsJson = False,
    new_instance: NewInstance = False,
) -> None:
    """Ask for one decision now, and record it.

    Through the running owner, or by taking the free lease. Always ends in one record. Exit code 0 for a decision, 2
    where the data did not allow the call (skipped), 3 where
    the endpoint did not answer, 1 where its answer was unusable (both failed: the guardrails alone decided).

    \b
    llmctx decide AAPL --endpoint http://127.0.0.1:8700/v1 --model llmctx-standin
    """
    settings = settings_for(redis_url, state_dir, prompt=prompt, prompts=prompts, endpoint=endpoint, model=model)
    entry, partitions = asyncio.run(_decide(settings, check_symbol(symbol), new_instance=new_instance))
    _print_decision(entry, partitions, as_json=as_json)
    code = _exit_code(entry.record)
    if code:
        err.print(f"[red]error:[/] {escape(entry.record['kind'])}: {escape(entry.record['verdict']['reason'])}")
    raise typer.Exit(code)


async def _decide(settings: Settings, symbol: str, *, new_instance: bool) -> tuple[Entry, int]:
    from llmctx.trail.log.instance import bind_instance
    from llmctx.worker.decide_once import decide_once

    async with asking_of(settings) as asking, redis_of(settings) as (redis, _):
        instance, _ = await bind_instance(redis, settings.state_dir, partitions=settings.partitions, new=new_instance)
        entry = await decide_once(
            redis, instance, symbol, asking, state_dir=settings.state_dir, timeout_s=settings.llm.timeout_s + 30
        )
        return entry, instance.partitions


def _exit_code(record: dict[str, Any]) -> int:
    match record["kind"]:
        case "decision":
            return 0
        case "failed":
            return _EXIT_OF_OUTCOME.get(record["completion"]["outcome"], 1)
        case _:
            return 2


def _print_decision(entry: Entry, partitions: int, *, as_json: bool) -> None:
    from llmctx.cli.show import print_verdict
    from llmctx.trail.log.entry import address

    receipt = {"address": address(entry.index, entry.partition, partitions), "leaf_hash": entry.leaf_hash}
    if as_json:
        print_json({**receipt, "index": entry.index, **entry.record})
        return
    print_verdict(entry.record)
    out.print(f"\n[bold]receipt[/]   record {receipt['address']}, leaf hash {entry.leaf_hash}")
    out.print(f"          llmctx show {receipt['address']}")
