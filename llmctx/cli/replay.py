"""The command that takes recorded decisions again: replay."""

import asyncio
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from llmctx.cli.options import AsJson, Endpoint, PromptsDir, RedisUrl, StateDir
from llmctx.cli.setup import settings_for
from llmctx.cli.sources import (
    Action,
    From,
    Guard,
    Limit,
    Selected,
    Since,
    Symbol,
    Until,
    selection_of,
)
from llmctx.errors import ReplayError
from llmctx.replay.selection import Selection

MODES = ("rebuild", "again")


class Asked(NamedTuple):
    """What the command line asked for."""

    where: Path | None
    selection: Selection
    text: str
    mode: str
    prompt: str | None
    model: str | None
    repeat: int
    concurrency: int
    budget_tokens: int | None
    budget_cost: Decimal | None
    out: Path | None
    fresh: bool
    batch: Path | None
    answers: list[Path]
    as_json: bool
    strict: bool = False


def replay(
    selected: Selected = "all",
    where: From = None,
    mode: Annotated[
        str | None,
        typer.Option(help="rebuild (no model) or again (same prompt, same model); --prompt and --model are modes too."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Ask with this prompt instead: NAME or NAME/vN.")] = None,
    model: Annotated[str | None, typer.Option(help="Ask this model instead.")] = None,
    repeat: Annotated[int, typer.Option(help="Ask each so many times, to tell noise from effect.", min=1)] = 1,
    symbol: Symbol = None,
    action: Action = None,
    guard: Guard = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    concurrency: Annotated[int, typer.Option(help="Calls under way at once.", min=1, max=1000)] = 8,
    budget_tokens: Annotated[int | None, typer.Option(help="Spend at most so many tokens.", min=1)] = None,
    budget_cost: Annotated[
        str | None, typer.Option(help="Spend at most so much, by the prices in the settings.", show_default=False)
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--out", help="Where the results go; a file in the state directory otherwise.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask anew what the results file has already.")] = False,
    batch: Annotated[
        Path | None, typer.Option(help="Ask nobody: write an OpenAI batch file, for bulk replay at half the price.")
    ] = None,
    answers: Annotated[
        list[Path] | None,
        typer.Option(metavar="<path>", help="Take the answers from the output of that batch.", show_default=False),
    ] = None,
    prompts: PromptsDir = None,
    endpoint: Endpoint = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="In a rebuild: fail on records that differ and name unknown rules.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take recorded decisions again: rebuild them, or ask again.

    Modes: rebuild goes from snapshot to package to prompt, byte for byte, and from the recorded answer to decision and
    verdict, without a model. again sends the same messages to the same model. --prompt and --model change one thing, or
    both. Nothing of it touches the trail or a live key; results are in a file of their own, and the same command goes
    on where an interrupt stopped it. Exit codes: 1 where the evidence was altered, which every mode looks at first; 3
    where calls got no answer.

    \b
    llmctx replay                                       # everything, rebuilt
    llmctx replay --from audit/corpus/demo.jsonl        # recorded decisions in a file
    llmctx replay symbol=ACME,limit=20 --mode again --repeat 3
    llmctx replay action=reduce --prompt position/v1 --budget-tokens 200000
    llmctx replay 40-80 --model llmctx-standin --out other-model.jsonl
    """
    text, selection = selection_of(
        selected, symbol=symbol, action=action, guard=guard, since=since, until=until, limit=limit
    )
    asked = Asked(
        where, selection, text or "all", _mode(mode, prompt, model), prompt, model, repeat, concurrency,
        budget_tokens, _cost(budget_cost), results, fresh, batch, answers or [], as_json, strict,
    )  # fmt: skip
    settings = settings_for(redis_url, state_dir, prompts=prompts, endpoint=endpoint)
    if asked.mode == "rebuild":
        if asked.repeat > 1 or batch or answers:
            raise ReplayError("A rebuild asks nobody.", "Name a mode that does: --mode again, --prompt or --model.")
        from llmctx.cli.rebuilding import rebuild

        raise typer.Exit(asyncio.run(rebuild(settings, asked)))
    from llmctx.cli.asking_again import ask_again

    raise typer.Exit(asyncio.run(ask_again(settings, asked)))


def _mode(mode: str | None, prompt: str | None, model: str | None) -> str:
    if mode is not None and mode not in MODES:
        raise typer.BadParameter(f"--mode {mode}: name rebuild or again, or change something with --prompt or --model")
    changed = [name for name, value in (("prompt", prompt), ("model", model)) if value is not None]
    if changed and mode is not None:
        raise typer.BadParameter(f"--mode {mode} changes nothing, --{changed[0]} does: give one of them")
    return " and ".join(changed) or mode or "rebuild"


def _cost(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        cost = Decimal(text)
    except InvalidOperation:
        cost = Decimal("NaN")
    if not cost.is_finite() or cost <= 0:
        raise typer.BadParameter(f"--budget-cost {text}: write an amount above 0")
    return cost
