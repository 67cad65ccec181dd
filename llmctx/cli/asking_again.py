"""Replay with a model: recorded decisions asked again, answers beside what was recorded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmctx import canonical
from llmctx.cli.asked import calls, tell
from llmctx.cli.output import err, escape, out, print_json, warn
from llmctx.cli.progress import progress
from llmctx.cli.setup import client_of
from llmctx.cli.sources import no_match, source_of
from llmctx.errors import EndpointError, ReplayError
from llmctx.llm.client import NO_KEY, NoEndpoint, check_endpoint, without_secrets
from llmctx.prompt.template import load_template
from llmctx.replay.batch import BatchAnswers, batch_line
from llmctx.replay.budget import Budget
from llmctx.replay.corpus import Recorded
from llmctx.replay.place import BATCH, writing
from llmctx.replay.plan import Draft, Plan, draft
from llmctx.replay.rerun import Templates, check_evidence, rebuild
from llmctx.replay.results import Result
from llmctx.replay.results_file import ResultsFile
from llmctx.replay.run import PATIENCE, Answerer, Replay, Summary
from llmctx.replay.source import Source, select
from llmctx.replay.trouble import remedy
from llmctx.rules import code
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


async def ask_again(settings: Settings, asked: "Asked") -> int:
    """Ask, write the results, and tell what came of it; 1 where the evidence of a record was altered."""
    if asked.batch is not None and asked.answers:
        raise ReplayError("--batch writes questions, --answers reads what came back.", "Give one of them.")
    template = None if asked.prompt is None else load_template(settings.prompts, asked.prompt)
    plan = Plan(template, asked.model, asked.repeat, settings.llm.model)
    async with source_of(settings, asked.where) as source:
        entries = [entry async for entry in select(source, asked.selection)]
        if not entries:
            raise no_match(asked.text, source, asked.where)
        altered = _altered(entries, source.blobs)
        if asked.batch is not None:
            _write_batch(entries, plan, source, asked)
        else:
            await _ask(settings, asked, plan, source, entries, altered)
    return 1 if altered else 0


def _altered(entries: list[Recorded], blobs: dict[str, bytes]) -> list[int]:
    """The indices of records that do not come out of their evidence again: what is asked of them proves nothing."""
    templates, found = Templates(blobs), []
    for entry in entries:
        altered = check_evidence(entry) or rebuild(entry, templates).tampering
        if altered is not None:
            warn(f"record {entry.index} was altered, by its {altered.by}: {altered.what}")
            found.append(entry.index)
    return found


async def _ask(
    settings: Settings, asked: "Asked", plan: Plan, source: Source, entries: list[Recorded], altered: list[int]
) -> None:
    budget = Budget(asked.budget_tokens, asked.budget_cost, prices=settings.prices, batch=bool(asked.answers))
    async with _answerer(settings, asked) as answerer:  # who cannot be asked leaves no results file behind
        question = _question(settings, asked, plan, source)
        path = asked.out or _default_path(settings.state_dir, asked.mode, question)
        with ResultsFile(path, question, fresh=asked.fresh, inputs=[asked.where, *asked.answers]) as file:
            if not asked.as_json:
                _tell_question(asked, plan, source, path, len(entries))
            results = list(file.before)
            total = len(entries) * plan.repeat - len(results)
            with progress("asking", total, quiet=asked.as_json) as advance:

                def told(result: Result | None) -> None:
                    advance()
                    if result is not None:
                        results.append(result)

                patience = None if asked.answers else PATIENCE
                run = Replay(plan, source.blobs, answerer, file, budget, patience=patience, on_result=told)
                try:
                    summary = await run.run(entries, concurrency=asked.concurrency)
                except asyncio.CancelledError:
                    err.print(f"interrupted; the same command goes on after the answers in {escape(str(path))}")
                    raise
    if asked.answers and not any(result.final for result in results):
        raise _no_answers(summary)
    tell(asked, path, results, summary, budget, altered)
    if summary.unanswered and not asked.answers:
        raise EndpointError(
            f"{calls(summary.unanswered)} got no answer, the last one: {summary.trouble}.",
            f"{remedy(summary.trouble)} The same command asks {'it' if summary.unanswered == 1 else 'them'} again.",
            exit_code=1 if altered else None,
        )


def _no_answers(summary: Summary) -> ReplayError:
    """A batch's output that is of no use."""
    if summary.unanswered:
        return ReplayError(
            f"The batch's output has no answer, only {calls(summary.unanswered)} that failed; "
            f"the last one: {summary.trouble}.",
            remedy(summary.trouble),
        )
    return ReplayError(
        f"The batch's output answers none of these {summary.left_out} questions.",
        "Name the same selection, prompt, model and repeats as with --batch.",
    )


def _tell_question(asked: "Asked", plan: Plan, source: Source, path: Path, records: int) -> None:
    words = _WORDS[asked.mode].format(prompt=plan.template.ref if plan.template else "", model=asked.model)
    out.print(f"[bold]mode[/]       {escape(words)}" + (f", {plan.repeat} times each" if plan.repeat > 1 else ""))
    out.print(f"[bold]source[/]     {escape(source.name)}; selection {escape(asked.text)}: {records} records")
    out.print(f"[bold]results[/]    {escape(str(path))}")


def _question(settings: Settings, asked: "Asked", plan: Plan, source: Source) -> dict[str, Any]:
    """What was asked for, as the results file has it: another question needs another file."""
    return {
        "mode": asked.mode,
        "source": source.name,
        "selection": asked.text,
        "prompt": None if plan.template is None else plan.template.ref,
        "template_sha256": None if plan.template is None else plan.template.sha256,
        "model": asked.model,
        "endpoint": None if asked.answers else without_secrets(settings.llm.base_url or ""),
        "repeat": plan.repeat,
        "batch": bool(asked.answers),
        "code": code(),
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
    if settings.llm.base_url is not None:
        check_endpoint(settings.llm.base_url, settings.api_key or NO_KEY)
    try:
        yield ask
    finally:
        for client in clients.values():
            if not isinstance(client, NoEndpoint):
                await client.aclose()


def _write_batch(entries: list[Recorded], plan: Plan, source: Source, asked: "Asked") -> None:
    """Write the questions as an OpenAI batch file."""
    path = asked.batch
    assert path is not None
    templates, count, characters = Templates(source.blobs), 0, 0
    with writing(path, "--batch", BATCH, [asked.where]) as file:
        for entry in entries:
            question = draft(entry, plan, templates, source.blobs)
            for repeat in range(1, plan.repeat + 1) if question.prompt is not None else ():
                line = batch_line(question, repeat)
                file.write(line + "\n")
                count, characters = count + 1, characters + len(line)
    if asked.as_json:
        print_json({"mode": plan.mode, "batch": str(path), "requests": count, "bytes": characters})
        return
    out.print(f"Wrote {count} requests to {escape(str(path))}, an OpenAI batch file for /v1/chat/completions.")
    out.print("When the batch is done, give its output to the same command: --answers OUTPUT.jsonl instead of --batch.")
