"""`llmctx replay`: recorded decisions once more, without a model or with one."""

import asyncio
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from llmctx.cli.iterate.replay_options import ReplayOptions
from llmctx.cli.shared.mandates import MandateFile, read_mandate
from llmctx.cli.shared.options import (
    AsJson,
    Endpoint,
    From,
    PromptsDir,
    RedisUrl,
    Since,
    StateDir,
    Until,
    option,
    parse_amount,
)
from llmctx.cli.shared.setup import settings_for
from llmctx.cli.shared.sources import Selected, selection_of
from llmctx.context.memory import MemoryLength
from llmctx.errors import ReplayError

_MODES = ("rebuild", "again")


def replay(
    selected: Selected = "all",
    where: From = None,
    mode: Annotated[
        str | None,
        typer.Option(help="rebuild (no model) or again (same prompt, same model). --prompt and --model imply a mode."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Ask with this prompt instead: NAME or NAME/vN.")] = None,
    model: Annotated[str | None, typer.Option(help="Ask this model instead.")] = None,
    mandate: MandateFile = None,
    memory: Annotated[
        str | None, option(help="Give packages a memory from the earlier records: off, short or long.")
    ] = None,
    repeat: Annotated[int, typer.Option(help="Ask N times each, to tell noise from effect.", min=1)] = 1,
    symbol: Annotated[str | None, typer.Option(help="The same as symbol=... in SELECTION.")] = None,
    action: Annotated[str | None, typer.Option(help="The same as action=...: the verdict's action.")] = None,
    guard: Annotated[str | None, typer.Option(help="The same as guard=...: a guardrail that fired.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int | None, typer.Option(help="The same as limit=...", min=1)] = None,
    concurrency: Annotated[int, typer.Option(help="How many calls are in flight at once.", min=1, max=1000)] = 8,
    budget_tokens: Annotated[int | None, typer.Option(help="Spend at most this many tokens.", min=1)] = None,
    budget_cost: Annotated[str | None, option(help="Spend at most this much, by the prices in the settings.")] = None,
    results: Annotated[
        Path | None, typer.Option("--out", help="The results file. Default: a file in the state directory.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask again what the results file already answers.")] = False,
    batch: Annotated[
        Path | None, typer.Option(help="Ask no model; write an OpenAI batch file for replay in bulk at half price.")
    ] = None,
    answers: Annotated[list[Path] | None, option(help="Take the answers from that batch's output.")] = None,
    prompts: PromptsDir = None,
    endpoint: Endpoint = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="In a rebuild: fail on records that differ and name unknown rules.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild recorded decisions, or ask a model again.

    rebuild asks no model: it builds package and prompt from the recorded snapshot, byte for byte, and decision and
    verdict from the recorded answer. again sends the same messages to the same model. --prompt, --model, --memory and
    --mandate change one thing each and can be combined; --mandate alone judges the recorded answers again and asks no
    model. Neither the trail nor a live key is touched. Answers go to a results file, and the same command resumes after
    an interrupt.
    Every mode checks the evidence first. Exit code 1: evidence was altered. 3: calls got no answer.

    \b
    llmctx replay                                       # rebuild every record
    llmctx replay --from audit/corpus/demo.jsonl        # recorded decisions in a file
    llmctx replay symbol=ACME,limit=20 --mode again --repeat 3
    llmctx replay action=reduce --prompt position/v1 --budget-tokens 200000
    llmctx replay 40-80 --model llmctx-standin --out other-model.jsonl
    llmctx replay --mandate strict.toml --out strict.jsonl
    llmctx replay limit=50 --prompt position/v4 --memory long --out long.jsonl
    """
    text, selection = selection_of(
        selected, symbol=symbol, action=action, guard=guard, since=since, until=until, limit=limit
    )
    options = ReplayOptions(
        where=where,
        selection=selection,
        text=text or "all",
        mode=_mode(mode, {"prompt": prompt, "model": model, "mandate": mandate, "memory": memory}),
        prompt=prompt,
        model=model,
        mandate=None if mandate is None else read_mandate(mandate),
        memory=_length(memory),
        repeat=repeat,
        concurrency=concurrency,
        budget_tokens=budget_tokens,
        budget_cost=parse_amount("--budget-cost", budget_cost),
        out=results,
        fresh=fresh,
        batch=batch,
        answers=answers or [],
        strict=strict,
        as_json=as_json,
    )
    settings = settings_for(redis_url, state_dir, prompts=prompts, endpoint=endpoint)
    if options.mode == "rebuild":
        from llmctx.cli.iterate.replay_rebuild import rebuild

        if repeat > 1 or batch or answers:
            raise ReplayError("A rebuild asks no model.", "Choose a mode that does: --mode again, --prompt or --model.")
        raise typer.Exit(asyncio.run(rebuild(settings, options)))
    if options.mode == "mandate":
        from llmctx.cli.iterate.replay_ask import judge

        if repeat > 1 or batch or answers:
            raise ReplayError("Another mandate alone asks no model.", "Add --prompt or --model to ask one.")
        raise typer.Exit(asyncio.run(judge(settings, options)))
    from llmctx.cli.iterate.replay_ask import ask_again

    if batch is not None and answers:
        raise ReplayError("--batch writes questions, --answers reads what came back.", "Give one of them.")
    raise typer.Exit(asyncio.run(ask_again(settings, options)))


def _length(memory: str | None) -> MemoryLength | None:
    if memory is None or memory in get_args(MemoryLength):
        return cast("MemoryLength | None", memory)
    raise typer.BadParameter(f"--memory {memory}: give one of {', '.join(get_args(MemoryLength))}")


def _mode(mode: str | None, changes: dict[str, object]) -> str:
    if mode is not None and mode not in _MODES:
        raise typer.BadParameter(f"--mode {mode}: give rebuild or again, or change something with --prompt or --model")
    changed = [name for name, value in changes.items() if value is not None]
    if changed and mode is not None:
        raise typer.BadParameter(f"--mode {mode} changes nothing, --{changed[0]} does: give one of them")
    return " and ".join(changed) or mode or "rebuild"
