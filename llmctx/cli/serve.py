"""Commands that run until they are stopped: redis, standin, run."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import Annotated

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
from llmctx.cli.output import coloured, err, escape, out, print_json
from llmctx.cli.service import Parts, serve_all
from llmctx.cli.setup import asking_of, redis_of, settings_for
from llmctx.connection import without_password
from llmctx.errors import ServerError
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry, address


def redis(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 6379,
    directory: Annotated[Path, typer.Option("--dir", help="Where the data lies.")] = Path("var/redis"),
) -> None:
    """Run the embedded Valkey in the foreground.

    It obeys the project's redis.conf and runs until Ctrl-C or SIGTERM.

    \b
    llmctx redis --port 6390 --dir ./var/redis
    """
    from llmctx.ops.server import EmbeddedServer

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    with contextlib.suppress(KeyboardInterrupt), EmbeddedServer(directory, port=port) as server:
        out.print(f"Valkey listens on {server.url}, data in {directory}. Ctrl-C stops it.")
        while server.running:
            time.sleep(0.5)
        raise ServerError("The embedded Valkey has ended.", f"See {directory / 'valkey.log'}, and start it again.")


def standin(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8700,
    latency_ms: Annotated[int, typer.Option(help="Milliseconds to wait before each answer.", min=0)] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME or NAME=RATE, again and again: http_429, http_500, quota, hang, disconnect, refusal, "
            "truncated, filtered, prose, misfit, garbage."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Makes faults repeatable.")] = 0,
) -> None:
    """Run the stand-in model, an endpoint that follows rules.

    It speaks the OpenAI chat-completions protocol and answers from the prompt's own facts. It is no LLM.

    \b
    llmctx standin --port 8700
    llmctx standin --port 8700 --fault http_429=0.2 --fault refusal=0.05
    """
    asyncio.run(_standin(port, latency_ms, _rates(fault or []), seed))


def _rates(faults: list[str]) -> dict[str, float]:
    rates = {}
    for fault in faults:
        name, _, rate = fault.partition("=")
        try:
            rates[name] = float(rate or 1)
        except ValueError:
            rates[name] = -1
        if not 0 <= rates[name] <= 1:
            raise typer.BadParameter(f"--fault {fault}: the rate must be a number from 0 to 1")
    return rates


async def _standin(port: int, latency_ms: int, faults: dict[str, float], seed: int) -> None:
    from llmctx.llm.standin import MODEL, Standin

    async with Standin(port=port, latency_ms=latency_ms, faults=faults, seed=seed) as server:
        out.print(f"The stand-in model {MODEL} answers at {server.base_url} (by rules; it is no LLM). Ctrl-C stops it.")
        await stop_signal().wait()


def run(
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    prompt: PromptName = None,
    prompts: PromptsDir = None,
    endpoint: Endpoint = None,
    model: Model = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every record.")] = False,
    as_json: AsJson = False,
    new_instance: NewInstance = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Raise a tick for each position that other code writes with a plain SET.")
    ] = False,
    no_notary: Annotated[
        bool, typer.Option("--no-notary", help="Sign nothing and need no key: `llmctx notary` runs elsewhere.")
    ] = False,
) -> None:
    """Run the service: settle every tick exactly once.

    Many symbols are decided at a time, never one symbol twice at a time. On SIGTERM or Ctrl-C it settles what was
    raised before and ends with 0; a second one ends it at once, and what was not settled is taken up by the next run.

    Several can run on one machine with one state directory: they share the partitions, and when one dies the others
    take its partitions over within ten seconds.

    \b
    LLMCTX_LLM__BASE_URL=http://127.0.0.1:8700/v1 LLMCTX_LLM__MODEL=llmctx-standin llmctx run
    """
    settings = settings_for(redis_url, state_dir, prompt=prompt, prompts=prompts, endpoint=endpoint, model=model)
    tally = _Tally(verbose=verbose, as_json=as_json)
    asyncio.run(_run(settings, tally, Parts(watch=watch, notary=not no_notary), new_instance=new_instance))


async def _run(settings: Settings, tally: "_Tally", parts: Parts, *, new_instance: bool) -> None:
    from llmctx.trail.log.instance import bind_instance
    from llmctx.worker.watch import check_notifications

    stop = stop_signal()
    async with asking_of(settings, need_endpoint=True) as asking, redis_of(settings) as (client, url):
        if parts.watch:
            await check_notifications(client)
        instance, _ = await bind_instance(client, settings.state_dir, partitions=settings.partitions, new=new_instance)
        if not tally.as_json:
            where = without_password(url)
            out.print(f"Deciding with {asking.template.ref} and {settings.llm.model} on {where}. Ctrl-C stops it.")
        reports = asyncio.create_task(tally.report())
        try:
            await serve_all(
                client, url, instance, settings, asking, parts, stop,
                on_entry=lambda entry: tally.add(entry, instance.partitions),
            )  # fmt: skip
        finally:
            reports.cancel()
    if not tally.as_json:
        out.print(f"Stopped. {tally.text()}")


class _Tally:
    """What a run has settled."""

    def __init__(self, *, verbose: bool, as_json: bool) -> None:
        self._verbose = verbose
        self.as_json = as_json
        self._records = self._ticks = 0

    def add(self, entry: Entry, partitions: int) -> None:
        self._records += 1
        self._ticks += 1 + len(entry.record.get("conflated", []))
        if self.as_json:
            print_json({"index": entry.index, **entry.record})
        elif self._verbose:
            out.print(line_of(address(entry.index, entry.partition, partitions), entry.record))

    def text(self) -> str:
        return f"{self._ticks} ticks settled in {self._records} records."

    async def report(self) -> None:
        told = 0
        while True:
            await asyncio.sleep(10)
            if self._records != told and not (self._verbose or self.as_json):
                told = self._records
                out.print(self.text())


def line_of(where: str, record: dict[str, object]) -> str:
    """A record on one line."""
    verdict, decision = record["verdict"], record.get("decision")
    assert isinstance(verdict, dict)
    action = str(verdict["action"])
    sure = f" {decision['confidence']}" if isinstance(decision, dict) else ""
    conflated = record.get("conflated")
    also = f" (+{len(conflated)} ticks)" if isinstance(conflated, list) else ""
    said = escape(str(verdict["reason"]))
    if isinstance(decision, dict) and not verdict.get("guards"):
        said = escape(str(decision["reasoning"]))
    return f"{where:>6}  {record.get('symbol', ''):<6} {coloured(action):<6}{sure}  {said}{also}"


def stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or Ctrl-C; the second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop.set()
        err.print("[dim]stopping; once more to stop at once[/]")
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first)
    return stop
