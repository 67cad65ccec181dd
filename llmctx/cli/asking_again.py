"""Replay with a model: recorded decisions asked again, answers beside what was recorded."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmctx import canonical
from llmctx.cli.compare import causes_of
from llmctx.cli.output import err, escape, out, print_json
from llmctx.cli.progress import progress
from llmctx.cli.setup import client_of
from llmctx.cli.sources import source_of
from llmctx.errors import EndpointError, ReplayError
from llmctx.llm.client import NoEndpoint
from llmctx.prompt.template import load_template
from llmctx.record import CODE
from llmctx.replay.batch import BatchAnswers, batch_line
from llmctx.replay.budget import Budget
from llmctx.replay.compare import Comparison, compare, recorded_cases, replayed_cases
from llmctx.replay.pair import action_of
from llmctx.replay.plan import Draft, Plan, draft
from llmctx.replay.rerun import Templates
from llmctx.replay.results import Result, ResultsFile
from llmctx.replay.run import Answerer, Replay, Summary
from llmctx.replay.source import Source, select
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.cli.replay import Asked
    from llmctx.llm.completion import Completer

_WORDS = {
    "again": "again: the same messages to the same model",
    "prompt": "prompt: {prompt} in place of the recorded prompt, the same model",
    "model": "model: {model} in place of the recorded model, the same messages",
    "prompt and model": "prompt and model: {prompt} and {model} in place of what was recorded",
}


async def ask_again(settings: Settings, asked: "Asked") -> None:
    """Ask, write the results, and tell what came of it."""
    template = None if asked.prompt is None else load_template(settings.prompts, asked.prompt)
    plan = Plan(template, asked.model, asked.repeat, settings.llm.model)
    async with source_of(settings, asked.where) as source:
        entries = [entry async for entry in select(source, asked.selection)]
        if not entries:
            raise ReplayError(f"The selection {asked.text} matches no record of {source.name}.", "See its records.")
        if asked.batch is not None:
            _write_batch(entries, plan, source, asked.batch, as_json=asked.as_json)
            return
        await _ask(settings, asked, plan, source, entries)


async def _ask(settings: Settings, asked: "Asked", plan: Plan, source: Source, entries: list[Any]) -> None:
    question = _question(asked, plan, source)
    path = asked.out or _default_path(settings.state_dir, asked.mode, question)
    budget = Budget(asked.budget_tokens, asked.budget_cost, prices=settings.prices, batch=bool(asked.answers))
    if not asked.as_json:
        words = _WORDS[asked.mode].format(prompt=plan.template.ref if plan.template else "", model=asked.model)
        out.print(f"[bold]mode[/]       {escape(words)}" + (f", {plan.repeat} times each" if plan.repeat > 1 else ""))
        out.print(f"[bold]source[/]     {escape(source.name)}; selection {escape(asked.text)}: {len(entries)} records")
        out.print(f"[bold]results[/]    {escape(str(path))}")
    with ResultsFile(path, question, fresh=asked.fresh) as file:
        results = list(file.before)
        total = len(entries) * plan.repeat - len(results)
        async with _answerer(settings, asked) as answerer:
            with progress("asking", total, quiet=asked.as_json) as advance:

                def told(result: Result | None) -> None:
                    advance()
                    if result is not None:
                        results.append(result)

                run = Replay(plan, source.blobs, answerer, file, budget, on_result=told)
                try:
                    summary = await run.run(entries, concurrency=asked.concurrency)
                except asyncio.CancelledError:
                    err.print(f"interrupted; the same command goes on after the answers in {escape(str(path))}")
                    raise
    _tell(asked, path, results, summary, budget)


def _question(asked: "Asked", plan: Plan, source: Source) -> dict[str, Any]:
    """What was asked for, as the results file has it: another question needs another file."""
    return {
        "mode": asked.mode,
        "source": source.name,
        "selection": asked.text,
        "prompt": None if plan.template is None else plan.template.ref,
        "template_sha256": None if plan.template is None else plan.template.sha256,
        "model": asked.model,
        "repeat": plan.repeat,
        "batch": bool(asked.answers),
        "code": CODE,
    }


def _default_path(state_dir: Path, mode: str, question: dict[str, Any]) -> Path:
    digest = canonical.sha256(canonical.dumps(question))[:10]
    return state_dir / "replays" / f"{mode.replace(' ', '-')}-{digest}.jsonl"


@asynccontextmanager
async def _answerer(settings: Settings, asked: "Asked") -> AsyncIterator[Answerer]:
    """Whoever answers: a batch's output, or the endpoint, with one client for each model."""
    if asked.answers:
        yield BatchAnswers(asked.answers).completer
        return
    clients: dict[str, Any] = {}

    def ask(question: Draft, _repeat: int) -> "Completer | None":
        if question.model not in clients:
            llm = settings.llm.model_copy(update={"model": question.model})
            clients[question.model] = client_of(settings.model_copy(update={"llm": llm}))
        return clients[question.model]  # type: ignore[no-any-return]

    if settings.llm.base_url is None and settings.api_key is None:
        raise EndpointError(
            "No LLM endpoint is configured.",
            "Set LLMCTX_LLM__BASE_URL (or --endpoint), or write a batch file with --batch; for a try-out start "
            "`llmctx standin --port 8700` and name http://127.0.0.1:8700/v1.",
        )
    try:
        yield ask
    finally:
        for client in clients.values():
            if not isinstance(client, NoEndpoint):
                await client.aclose()


def _write_batch(entries: list[Any], plan: Plan, source: Source, path: Path, *, as_json: bool) -> None:
    """Write the questions as an OpenAI batch file."""
    templates, count, characters = Templates(source.blobs), 0, 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for entry in entries:
            question = draft(entry, plan, templates, source.blobs)
            for repeat in range(1, plan.repeat + 1) if question.prompt is not None else ():
                line = batch_line(question, repeat)
                file.write(line + "\n")
                count, characters = count + 1, characters + len(line)
    if as_json:
        print_json({"mode": plan.mode, "batch": str(path), "requests": count, "bytes": characters})
        return
    out.print(f"Wrote {count} requests to {escape(str(path))}, an OpenAI batch file for /v1/chat/completions.")
    out.print("When the batch is done, give its output to the same command: --answers OUTPUT.jsonl instead of --batch.")


def _tell(asked: "Asked", path: Path, results: list[Result], summary: Summary, budget: Budget) -> None:
    comparison = compare(("recorded", path.name), recorded_cases(results), replayed_cases(results)) if results else None
    if asked.as_json:
        print_json(
            {
                "mode": asked.mode,
                "results": str(path),
                **summary._asdict(),
                "tokens": budget.tokens,
                "cost": budget.cost or None,
                "comparison": None if comparison is None else comparison.as_dict(),
            }
        )
        return
    spent = f"{budget.tokens:,} tokens" + (f", {budget.cost:.4f} in money" if budget.cost else "")
    before = f", {summary.before} were there already" if summary.before else ""
    out.print(f"[bold]asked[/]      {summary.asked} answered now{before}; {spent} in all")
    if summary.left_out:
        out.print(f"[yellow]left out[/]   {summary.left_out} that the batch's output does not answer")
    if summary.stopped:
        out.print(f"[yellow]stopped[/]    the budget of {budget} has no room for the next call; a larger one goes on")
    if comparison is not None:
        tell_comparison(comparison, out.print)
        out.print(f"\nSee more: llmctx compare {escape(str(path))} --html replay.html")


def tell_comparison(comparison: Comparison, say: Callable[[str], None]) -> None:
    """The first lines of a comparison."""
    say(f"[bold]agreement[/]  the same action in {comparison.agreement}, Wilson interval")
    if comparison.b.itself.of:
        say(f"[bold]noise[/]      asked again, the replay agrees with itself in {comparison.b.itself}")
    say(f"[bold]causes[/]     {causes_of(comparison)}")
    for pair in comparison.flips[:5]:
        why = "; ".join(str(cause) for cause in pair.causes)
        say(
            f"[bold]flip[/]       record {pair.result.index} {escape(pair.result.symbol)}: {action_of(pair.a)} became "
            f"{action_of(pair.b)}, {pair.at_stake:,.0f} at stake ({escape(why)})"
        )
