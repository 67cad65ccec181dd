"""The demo: the whole loop in about a minute, with nothing to set up."""

import asyncio
import contextlib
import shutil
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx.cli.options import Endpoint, Model
from llmctx.cli.output import escape, out
from llmctx.cli.theatre import Theatre
from llmctx.errors import LlmctxError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmctx.flow.feed import Feed
    from llmctx.flow.timeline import Item
    from llmctx.replay.report import Report

_MARK = "made-by-llmctx-demo"
_SEED = 7
_DAYS, _MINUTES = 2, 60
_MOST_REAL_CALLS = 20
_MINUTE_PAUSE_S = 0.2


def demo(
    directory: Annotated[Path, typer.Option("--dir", help="Where it leaves its data; emptied at each start.")] = Path(
        "var/demo"
    ),
    endpoint: Endpoint = None,
    model: Model = None,
) -> None:
    """Run the whole loop once, with nothing to set up.

    An embedded Valkey, a simulated market in lockstep, a paper broker that follows the decisions, a verified trail, a
    replay. On a terminal it shows positions, profit and decisions as they change. Answers come from the stand-in,
    which follows rules and is no LLM; with --endpoint and --model a real one is asked, at most 20 times.

    \b
    llmctx demo
    """
    asyncio.run(_demo(directory, endpoint, model))


async def _demo(directory: Path, endpoint: str | None, model: str | None) -> None:
    from llmctx.flow.simulated_market import SECTORS
    from llmctx.llm.standin import MODEL, Standin
    from llmctx.ops.server import EmbeddedServer

    _make_room(directory)
    async with contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(directory / "redis"))
        real = endpoint is not None or model is not None
        if not real:
            standin = await stack.enter_async_context(Standin(latency_ms=15))
            endpoint, model = standin.base_url, MODEL
        out.print(
            f"Valkey on {server.url}; "
            + (f"{model} at {endpoint}" if real else "the stand-in model, which follows rules")
        )
        out.print(
            f"{len(SECTORS)} simulated symbols, {_DAYS} days of {_MINUTES} one-minute bars, in lockstep: each bar "
            "waits for its decision,\nand the paper broker fills what was decided at the next bar's open.\n"
        )
        records = await _session(server.url, directory, endpoint, model, real=real)
    _next_steps(directory, records // 4)


def _make_room(directory: Path) -> None:
    mark = directory / _MARK
    if directory.exists() and any(directory.iterdir()):
        if not mark.exists():
            raise LlmctxError(f"{directory} holds something that no demo made.", "Name another --dir.")
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    mark.touch()


async def _session(url: str, directory: Path, endpoint: str | None, model: str | None, *, real: bool) -> int:
    from llmctx.cli.prove import verify_partition
    from llmctx.cli.service import Parts, serve_all
    from llmctx.cli.setup import asking_of, settings_for
    from llmctx.connection import open_redis
    from llmctx.flow.feed import Feed
    from llmctx.flow.lockstep import Lockstep
    from llmctx.flow.rules import FeedRules
    from llmctx.flow.simulated_market import simulate
    from llmctx.flow.store import Store
    from llmctx.trail.log.instance import bind_instance

    settings = settings_for(url, directory, endpoint=endpoint, model=model)
    if real:
        settings.llm.max_attempts = 1  # at most twenty requests, whatever happens to them
    market = simulate(seed=_SEED, days=_DAYS, minutes=_MINUTES)
    theatre = Theatre(live=out.is_terminal)
    async with asking_of(settings, need_endpoint=True) as asking, open_redis(url) as redis:
        instance, _ = await bind_instance(redis, directory)
        stop = asyncio.Event()
        service = asyncio.create_task(
            serve_all(redis, url, instance, settings, asking, Parts(), stop, on_entry=theatre.entry)
        )
        feed = Feed(
            Store(redis, 1),
            FeedRules(sectors=market.sectors),
            lockstep=Lockstep(redis, 1),
            on_bar=theatre.bar,
        )
        with theatre:
            await _play(feed, market.items(), service, theatre, most=_MOST_REAL_CALLS if real else None)
        stop.set()
        await service
        theatre.summarise(feed.report, real=real)
        return _say_what_is_proven(await verify_partition(redis, settings, instance, 0, quiet=True))


async def _play(
    feed: "Feed", items: "Iterable[Item]", service: asyncio.Task[None], theatre: Theatre, *, most: int | None
) -> None:
    """Feed minute by minute, until the service ends or as many decisions were made as may be."""
    for _, together in groupby(items, key=lambda item: getattr(item, "start", None)):
        for item in together:
            if service.done() or (most is not None and theatre.records >= most):
                return  # what ended the service is raised by whoever waits for it
            await feed.take([item])
        if out.is_terminal:
            await asyncio.sleep(_MINUTE_PAUSE_S)


def _say_what_is_proven(report: "Report") -> int:
    """Print what the check found; how many records there are."""
    if report.fault is not None:
        raise LlmctxError(f"The trail does not verify: {report.fault}", "This is a defect; please report it.")
    out.print(
        f"[bold]verify[/]      [green]passed[/]: {report.records} records, {report.ticks} ticks, each settled once; "
        f"{report.checkpoints} signed checkpoints cover {report.covered}"
    )
    out.print(
        f"[bold]replay[/]      {report.rebuilt} decisions rebuilt from their evidence, prompts the same to the byte"
    )
    return report.records


def _next_steps(directory: Path, record: int) -> None:
    program = _program()
    at = f"--redis-url embedded:{directory / 'redis'} --state-dir {directory}"
    out.print("\nThe data stays. Try next:")
    for command in (
        f"{program} decisions --limit 5 {at}",
        f"{program} show {record} {at}",
        f"{program} context ACME {at}",
        f"{program} keys {at}",
        f"{program} verify {at}",
        f"{program} receipt {record} {at}",
        f"{program} replay {at}",
        f"{program} outcome {at}",
        f"{program} status {at}",
        f"{program} schema",
    ):
        out.print(f"  {escape(command)}")


def _program() -> str:
    """How to call this program from the shell that called it."""
    called = Path(sys.argv[0])
    on_path = shutil.which("llmctx")
    if on_path is not None and Path(on_path).resolve() == called.resolve():
        return "llmctx"
    with contextlib.suppress(ValueError):
        return str(called.absolute().relative_to(Path.cwd()))
    return str(called)
