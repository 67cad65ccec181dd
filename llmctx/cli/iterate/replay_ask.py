"""`llmctx replay` with a model: recorded decisions asked again, the answers beside the recorded ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.cli.iterate.replay_options import ReplayOptions
from llmctx.cli.iterate.replay_summary import Answers, calls, print_summary
from llmctx.cli.shared.endpoints import client_of
from llmctx.cli.shared.long_running import progress
from llmctx.cli.shared.output import escape, messages, out, print_json
from llmctx.cli.shared.sources import no_match, recordings_of
from llmctx.errors import EndpointError, ReplayError
from llmctx.llm.address import NO_KEY, check_endpoint, without_secrets
from llmctx.llm.client import EndpointClient, NoEndpoint
from llmctx.llm.failures import MAX_CONSECUTIVE_FAILURES, remedy
from llmctx.prompt.template import load_template
from llmctx.replay.batch import BatchAnswers, batch_line
from llmctx.replay.budget import Budget
from llmctx.replay.corpus import Recorded
from llmctx.replay.mandate_check import judge_again
from llmctx.replay.memories import memories
from llmctx.replay.plan import Plan, ReplayRequest, build_request
from llmctx.replay.recordings import Recordings
from llmctx.replay.reproduction import check_records
from llmctx.replay.results import Result, ResultsFile
from llmctx.replay.run import CompleterFor, Replay, ReplaySummary
from llmctx.replay.safe_write import BATCH, Destination, replacing
from llmctx.replay.selection import Selection
from llmctx.rules import code
from llmctx.settings import Settings


async def ask_again(settings: Settings, options: ReplayOptions) -> int:
    """Ask, write the results, print a summary, and return the exit code: 1 if evidence was altered.

    Of several endpoints the first is asked.
    """
    settings = settings.model_copy(update={"llm": settings.llm.one()})
    template = None if options.prompt is None else load_template(settings.prompts, options.prompt, settings.state_dir)
    plan = Plan(template, options.model, options.repeat, settings.llm.model, options.mandate)
    async with recordings_of(settings, options.where) as recordings:
        entries = [entry async for entry in recordings.select(options.selection)]
        if options.memory is not None:
            every = [entry async for entry in recordings.select(Selection(partition=options.selection.partition))]
            plan = plan._replace(memories=memories(every, recordings.blobs, options.memory))
        if not entries:
            raise no_match(options.text, recordings, options.where)
        altered = _altered_among(entries, recordings)
        if options.batch is not None:
            _write_batch(options.batch, entries, plan, recordings, options)
        else:
            await _ask(settings, options, plan, recordings, entries, altered)
    return 1 if altered else 0


def _altered_among(entries: list[Recorded], recordings: Recordings) -> list[int]:
    """The indices of records with altered evidence: an answer about them proves nothing."""
    altered = check_records(entries, recordings.blobs).altered
    for entry, difference in altered:
        messages.warning(f"record {entry.index} was altered, by its {difference.by}: {difference.what}")
    return [entry.index for entry, _ in altered]


async def judge(settings: Settings, options: ReplayOptions) -> int:
    """Judge recorded answers by another mandate and ask nobody; else as `ask_again`."""
    plan = Plan(mandate=options.mandate)
    async with recordings_of(settings, options.where) as recordings:
        entries = [entry async for entry in recordings.select(options.selection)]
    if not entries or options.mandate is None:
        raise no_match(options.text, recordings, options.where)
    altered = _altered_among(entries, recordings)
    question = _question_of(settings, options, plan, recordings) | {"endpoint": None}
    path = options.out or _default_path(settings.state_dir, options.mode, question)
    with ResultsFile(path, question, fresh=options.fresh, inputs=options.inputs) as file:
        known = {result.place for result in file.before}
        found = [judged.result for judged in judge_again(entries, recordings.blobs, options.mandate)]
        for result in found:
            if result.place not in known:
                file.add(result)
    if not options.as_json:
        _print_question(options, plan, recordings, path, len(entries))
    print_summary(options, path, Answers(found, ReplaySummary(0, 0, 0, stopped=False), Budget(None, None), altered))
    return 1 if altered else 0


async def _ask(
    settings: Settings,
    options: ReplayOptions,
    plan: Plan,
    recordings: Recordings,
    entries: list[Recorded],
    altered: list[int],
) -> None:
    budget = Budget(options.budget_tokens, options.budget_cost, prices=settings.prices, batch=bool(options.answers))
    # The answerer comes first: if nobody can be asked, no results file is created.
    async with _answerer(settings, options) as answerer:
        question = _question_of(settings, options, plan, recordings)
        path = options.out or _default_path(settings.state_dir, options.mode, question)
        with ResultsFile(path, question, fresh=options.fresh, inputs=options.inputs) as file:
            if not options.as_json:
                _print_question(options, plan, recordings, path, len(entries))
            results = list(file.before)
            with progress("asking", len(entries) * plan.repeat - len(results), quiet=options.as_json) as advance:

                def on_result(result: Result | None) -> None:
                    advance()
                    if result is not None:
                        results.append(result)

                max_failures = None if options.answers else MAX_CONSECUTIVE_FAILURES
                run = Replay(
                    plan, recordings.blobs, answerer, file, budget, max_failures=max_failures, on_result=on_result
                )
                try:
                    summary = await run.run(entries, concurrency=options.concurrency)
                except asyncio.CancelledError:
                    messages.note(f"Interrupted. Run the same command again to resume from {path}.")
                    raise
    if options.answers and not any(result.final for result in results):
        raise _no_answers(summary)
    print_summary(options, path, Answers(results, summary, budget, altered))
    if summary.unanswered and not options.answers:
        raise EndpointError(
            f"{calls(summary.unanswered)} got no answer, the last one: {summary.trouble}.",
            f"{remedy(summary.trouble)} The same command asks {'it' if summary.unanswered == 1 else 'them'} again.",
            exit_code=1 if altered else None,
        )


def _no_answers(summary: ReplaySummary) -> ReplayError:
    if summary.unanswered:
        return ReplayError(
            f"The batch's output has no answer, only {calls(summary.unanswered)} that failed; "
            f"the last one: {summary.trouble}.",
            remedy(summary.trouble),
        )
    return ReplayError(
        f"The batch's output answers none of these {summary.left_out} questions.",
        "Give the same selection, prompt, model and repeats as with --batch.",
    )


def _print_question(options: ReplayOptions, plan: Plan, recordings: Recordings, path: Path, records: int) -> None:
    """Print what is asked of whom, and where the answers go."""
    prompt = "the same messages" if plan.template is None else plan.template.ref
    text = "nobody is asked" if plan.mode == "mandate" else f"{prompt}, {options.model or 'the same model'}"
    if options.memory is not None:
        text += f", memory {options.memory}"
    if plan.mandate is not None:
        text += f", the mandate {plan.mandate.sha256[:12]}"
    out.print(
        f"[bold]mode[/]       {plan.mode}: {escape(text)}" + (f", {plan.repeat} times each" if plan.repeat > 1 else "")
    )
    out.print(f"[bold]source[/]     {escape(recordings.name)}; selection {escape(options.text)}: {records} records")
    out.print(f"[bold]results[/]    {escape(str(path))}")


def _question_of(settings: Settings, options: ReplayOptions, plan: Plan, recordings: Recordings) -> dict[str, Any]:
    """The head of the results file: another question needs another file."""
    return {
        "mode": options.mode,
        "source": recordings.name,
        "selection": options.text,
        "prompt": None if plan.template is None else plan.template.ref,
        "template_sha256": None if plan.template is None else plan.template.sha256,
        "model": options.model,
        "memory": options.memory,
        "mandate": None if plan.mandate is None else plan.mandate.sha256,
        "endpoint": None if options.answers else without_secrets(settings.llm.base_url or ""),
        "repeat": plan.repeat,
        "batch": bool(options.answers),
        "code": code(),
    }


def _default_path(state_dir: Path, mode: str, question: dict[str, Any]) -> Path:
    """Where results go unless a file is named: a file under `replays/`, named after the digest of the question."""
    digest = canonical.sha256(canonical.dumps(question))[:10]
    return state_dir / "replays" / f"{mode.replace(' ', '-')}-{digest}.jsonl"


@asynccontextmanager
async def _answerer(settings: Settings, options: ReplayOptions) -> AsyncIterator[CompleterFor]:
    """Who answers: a batch's output, or the endpoint, with one client for each model."""
    if options.answers:
        yield BatchAnswers(options.answers).completer
        return
    if settings.llm.base_url is None and settings.api_key is None:
        raise EndpointError(
            "No LLM endpoint is configured.",
            "Set LLMCTX_LLM__BASE_URL or give --endpoint, or write a batch file with --batch. To try it out, start "
            "`llmctx standin --port 8700` and use http://127.0.0.1:8700/v1.",
        )
    if settings.llm.base_url is not None:
        check_endpoint(settings.llm.base_url, settings.api_key or NO_KEY)
    clients: dict[str, EndpointClient | NoEndpoint] = {}

    def ask(question: ReplayRequest, _repeat: int) -> EndpointClient | NoEndpoint:
        if question.model not in clients:
            llm = settings.llm.model_copy(update={"model": question.model})
            clients[question.model] = client_of(settings.model_copy(update={"llm": llm}))
        return clients[question.model]

    try:
        yield ask
    finally:
        for client in clients.values():
            await client.aclose()


def _write_batch(
    path: Path, entries: list[Recorded], plan: Plan, recordings: Recordings, options: ReplayOptions
) -> None:
    """Write the questions as an OpenAI batch file."""
    count, size = 0, 0
    with replacing(Destination(path, "--batch", BATCH, options.inputs)) as file:
        for entry in entries:
            question = build_request(entry, plan, recordings.blobs)
            for repeat in range(1, plan.repeat + 1) if question.prompt is not None else ():
                line = batch_line(question, repeat)
                file.write(line + "\n")
                count, size = count + 1, size + len(line)
    if options.as_json:
        print_json({"mode": plan.mode, "batch": str(path), "requests": count, "bytes": size})
        return
    out.print(f"Wrote {count} requests to {escape(str(path))}, an OpenAI batch file for /v1/chat/completions.")
    out.print("When the batch is done, run the same command with --answers OUTPUT.jsonl instead of --batch.")
