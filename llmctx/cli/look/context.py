"""`llmctx context`: what the model would be shown now."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx.cli.shared.decision_config import trail_rules
from llmctx.cli.shared.endpoints import profile_for
from llmctx.cli.shared.options import AsJson, PromptsDir, RedisUrl, StateDir, Symbol
from llmctx.cli.shared.output import coloured, escape, out, print_json
from llmctx.cli.shared.setup import partitions_of, redis_of, settings_for
from llmctx.schema.symbol import check_symbol
from llmctx.settings import Settings
from llmctx.visible import visible

if TYPE_CHECKING:
    from llmctx.context.package import Package
    from llmctx.prompt.render import Prompt


def context(
    symbol: Symbol,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="Show the messages of this prompt instead: NAME or NAME/vN.")
    ] = None,
    prompts: PromptsDir = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what the model would be shown now.

    Without --prompt the package: every section with its status, age and facts. Nothing is written, no model is asked.

    \b
    llmctx context AAPL
    llmctx context AAPL --prompt position
    """
    from llmctx.decision.decision import OUTPUT
    from llmctx.prompt.form import add_form
    from llmctx.prompt.render import render
    from llmctx.prompt.template import load_template

    settings = settings_for(redis_url, state_dir, prompts=prompts)
    template = None if prompt is None else load_template(settings.prompts, prompt, settings.state_dir)
    package = asyncio.run(_read(settings, check_symbol(symbol)))
    if template is not None:
        shown = render(template, package)
        profile = profile_for(settings)
        if profile is not None:
            shown = add_form(shown, OUTPUT.asked(profile.mode, profile.form).form)
        _print_prompt(shown, as_json=as_json)
    else:
        _print_package(package, as_json=as_json)


async def _read(settings: Settings, symbol: str) -> "Package":
    from llmctx.context.package import build_package
    from llmctx.context.reader import read_snapshot
    from llmctx.schema.keys import partition_of
    from llmctx.symbols.memory import SymbolMemory
    from llmctx.trail.log.log import Log

    async with redis_of(settings) as (redis, _):
        partitions = await partitions_of(redis, settings)
        partition = partition_of(symbol, partitions)
        memory = SymbolMemory(Log(redis, partition), partitions)
        memory.length = settings.memory
        known, rules = await memory.of(symbol), await trail_rules(redis, settings)
        return build_package(await read_snapshot(redis, symbol, partition, rules, known))


def _print_prompt(prompt: "Prompt", *, as_json: bool) -> None:
    if as_json:
        print_json([message._asdict() for message in prompt.messages])
        return
    for message in prompt.messages:
        out.rule(message.role, align="left")
        out.print(visible(message.content), markup=False)


def _print_package(package: "Package", *, as_json: bool) -> None:
    from llmctx.clock import in_words, iso
    from llmctx.context.facts import facts_of
    from llmctx.prompt.lines import text_of

    if as_json:
        fields = {name: getattr(package, name) for name in ("symbol", "as_of_ms", "clock", "refusal")}
        sections = {
            name: section._asdict() | {"implausible": [str(finding) for finding in section.implausible]}
            for name, section in package.sections.items()
        }
        print_json(fields | {"sections": sections})
        return
    out.print(f"[bold]{package.symbol}[/] as of {iso(package.as_of_ms)} ({package.clock} clock)")
    for section in package.sections.values():
        age = "" if section.age_ms is None else f", {in_words(section.age_ms)} old"
        out.print(f"\n[bold]{section.name}[/]  {coloured(section.status)}{age}  [dim]{escape(section.key)}[/]")
        if section.reason:
            out.print(f"  {escape(section.reason)}")
        for finding in section.implausible:
            out.print(f"  [red]implausible[/] {escape(finding.reason)}")
        for fact in facts_of(section):
            unit = f"  [dim]{fact.unit}[/]" if fact.unit else ""
            out.print(f"  {escape(f'{fact.path:<46}')} {escape(text_of(fact.value))}{unit}")
    if package.refusal:
        out.print(f"\nNo decision can be requested: {escape(package.refusal)}")
