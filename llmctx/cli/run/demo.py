"""`llmctx demo`: the whole loop in about a minute."""

import asyncio
import contextlib
import shlex
import shutil
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.run.demo_screen import DemoScreen
from llmctx.cli.shared.decision_config import config_of
from llmctx.cli.shared.options import Endpoint, MessagesAsJson, Model
from llmctx.cli.shared.output import escape, out
from llmctx.cli.shared.setup import settings_for
from llmctx.connection import open_redis
from llmctx.errors import EndpointError, LlmctxError
from llmctx.flow.feed import Feed
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import SECTORS, simulate
from llmctx.flow.store import Store
from llmctx.flow.timeline import Item
from llmctx.llm.address import without_secrets
from llmctx.llm.mode import Mode
from llmctx.llm.profile import ProfileSettings
from llmctx.llm.standin import MODEL, Standin
from llmctx.ops import local_model
from llmctx.ops.local_model import LocalModel
from llmctx.ops.server import EmbeddedServer
from llmctx.private_files import FILE_MODE, make_private_directory
from llmctx.replay.partition_check import PartitionReport
from llmctx.replay.verify import verify_partition
from llmctx.settings import Settings
from llmctx.trail.log.log import Log
from llmctx.worker.home import bind_home
from llmctx.worker.serve import ServeOptions, serve

_MARKER = "made-by-llmctx-demo"
_SEED = 7
_DAYS, _MINUTES = 2, 60
_MAX_REAL_CALLS = 20
_MAX_LOCAL_CALLS = 6
_LOCAL_TIMEOUT_S = 300.0
_MINUTE_PAUSE_S = 0.2


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="The folder for its data; it is emptied at each start.")
    ] = Path("var/demo"),
    endpoint: Endpoint = None,
    model: Model = None,
    local_model: Annotated[
        bool, typer.Option("--local-model", help="Ask a small language model on this machine, a few times.")
    ] = False,
    _as_json: MessagesAsJson = False,
) -> None:
    """Run the whole loop once, with nothing to set up.

    An embedded Valkey, a simulated market in lockstep, a paper broker that executes the decisions, a verified trail, a
    replay. On a terminal it shows positions, profit and decisions as they change. The answers come from the stand-in,
    which follows rules and is not an LLM. With --endpoint and --model a real model is asked, at most 20 times. With
    --local-model it is SmolLM2-135M on this machine, at most 6 times: it shows a real language model at work, but its
    decisions are worthless.

    \b
    llmctx demo
    """
    if local_model and (endpoint is not None or model is not None):
        raise LlmctxError("--local-model brings its own endpoint.", "Omit --endpoint and --model.", exit_code=2)
    asyncio.run(_demo(directory, endpoint, model, local=LocalModel() if local_model else None))


async def _demo(directory: Path, endpoint: str | None, model: str | None, *, local: LocalModel | None) -> None:
    _empty(directory)
    real = endpoint is not None or model is not None or local is not None
    async with contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(directory / "redis"))
        if local is not None:
            endpoint, model = stack.enter_context(local).base_url, local_model.MODEL
        elif not real:
            standin = await stack.enter_async_context(Standin(latency_ms=15))
            endpoint, model = standin.base_url, MODEL
        answers = (
            f"{model} at {without_secrets(endpoint or '')} answers" if real else "the stand-in model answers, by rules"
        )
        out.print(f"Valkey on {server.url}; {answers}.")
        out.print(
            f"{len(SECTORS)} simulated symbols, {_DAYS} days of {_MINUTES} one-minute bars, in lockstep: each bar "
            "waits for its decision,\nand the paper broker executes the decision at the next bar's open.\n"
        )
        settings = settings_for(server.url, directory, endpoint=endpoint, model=model)
        settings.clock = "bars"  # overrides for live trails do not apply here
        settings.portfolio = "key"  # the feed writes its own book's portfolio
        if local is not None:
            _suit_local_model(settings)
        limit = (_MAX_REAL_CALLS if local is None else _MAX_LOCAL_CALLS) if real else None
        report, decided = await _session(settings, limit=limit)
    _print_report(report)
    _print_next_steps(directory, decided)


def _empty(directory: Path) -> None:
    marker = directory / _MARKER
    if directory.exists() and any(directory.iterdir()):
        if not marker.exists():
            raise LlmctxError(f"{directory} contains files that no demo made.", "Name another folder with --dir.")
        shutil.rmtree(directory)
    make_private_directory(directory)
    marker.touch(mode=FILE_MODE)


def _suit_local_model(settings: Settings) -> None:
    """Ask with the short prompt, hold the answer to the bounded schema, and wait as long as a small machine takes."""
    settings.prompt = local_model.PROMPT
    settings.llm.profile = ProfileSettings(mode=Mode.SCHEMA_BOUNDED, form="brief")
    settings.llm.timeout_s = _LOCAL_TIMEOUT_S
    out.print(
        "It has 135 million parameters, about a thousandth of a model that anyone would trade by: its words fit the "
        "schema,\nand its numbers often do not fit the facts. See what guardrails and grounding make of it."
    )


async def _session(settings: Settings, *, limit: int | None) -> tuple[PartitionReport, int]:
    """Trade the simulated market and verify the trail; returns also the index of a decision worth showing.

    `limit` is the number of calls to a real model.
    """
    real = limit is not None
    if real:
        settings.llm.max_attempts = 1  # so that the number of requests stays within the limit
    market = simulate(seed=_SEED, days=_DAYS, minutes=_MINUTES)
    screen = DemoScreen(live=out.is_terminal)
    url, directory = settings.redis_url, settings.state_dir
    async with config_of(settings, need_endpoint=True) as config, open_redis(url) as redis:
        stop = asyncio.Event()
        home, options = await bind_home(redis, url, directory), ServeOptions(settings.concurrency)
        service = asyncio.create_task(serve(home, config, stop, options, on_entry=screen.add_record))
        rules = FeedRules(sectors=market.sectors)
        feed = Feed(Store(redis, 1), rules, lockstep=Lockstep(redis, 1), on_bar=screen.add_bar)
        with screen.drawn():
            await _play(feed, market.items(), service, screen, limit=limit)
        stop.set()
        await service
        screen.print_summary(feed.report, real=real)
        failures = screen.failures
        if failures.calls and failures.calls == failures.failed:
            raise EndpointError(
                f"Nothing answered: all {failures.calls} calls failed, the last one with: {failures.last}. The "
                "guardrails alone decided.",
                failures.remedy,
            )
        return await verify_partition(Log(redis), home.instance, directory), screen.decided


async def _play(
    feed: Feed, items: Iterable[Item], service: asyncio.Task[None], screen: DemoScreen, *, limit: int | None
) -> None:
    """Feed minute by minute, until the service ends or `limit` decisions are made."""
    for _, same_minute in groupby(items, key=lambda item: getattr(item, "start", None)):
        for item in same_minute:
            if service.done() or (limit is not None and screen.records >= limit):
                return  # the caller awaits the service and sees why it ended
            await feed.take([item])
        if out.is_terminal:
            await asyncio.sleep(_MINUTE_PAUSE_S)


def _print_report(report: PartitionReport) -> None:
    if report.fault is not None:
        raise LlmctxError(f"The trail does not verify: {report.fault}", "This is a defect; please report it.")
    out.print(
        f"[bold]verify[/]      [green]passed[/]: {report.records} records, {report.ticks} ticks, each settled once; "
        f"{report.checkpoints} signed checkpoints cover {report.covered}"
    )
    out.print(
        f"[bold]replay[/]      {report.rebuilt} decisions rebuilt from their evidence, prompts the same to the byte"
    )


def _print_next_steps(directory: Path, record: int) -> None:
    environment, here = directory / "env", directory.absolute()
    environment.write_text(
        "# `source` this file: the commands after it are about this demo.\n"
        f"export LLMCTX_REDIS_URL={shlex.quote(f'embedded:{here}/redis')}\n"
        f"export LLMCTX_STATE_DIR={shlex.quote(str(here))}\n"
        "export LLMCTX_PORTFOLIO=key\n"
        f'export PATH={shlex.quote(str(Path(sys.executable).absolute().parent))}:"$PATH"\n',
        encoding="utf-8",
    )
    out.print("\nThe data is kept. Try next:")
    out.print(f"  {escape(f'source {shlex.quote(str(environment))}')}")
    for command, what in (
        ("decisions --limit 5", "the newest decisions"),
        (f"show {record}", "one decision: facts, question, answer and verdict"),
        ("context ACME", "what the model would be shown now"),
        ("verify", "was anything altered?"),
        (f"receipt {record}", "one record as a self-contained proof"),
        ("replay", "every prompt rebuilt, byte for byte"),
        ("outcome", "what the market did next"),
        ("console", "everything in a browser"),
        ("status", "who owns the trail, what waits, what it costs"),
    ):
        out.print(f"  llmctx {command:<21}[dim]{what}[/]")
