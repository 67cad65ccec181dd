"""The demo: the whole loop in about a minute, with nothing to set up."""

import asyncio
import contextlib
import shutil
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from llmctx.cli.options import Endpoint, Model
from llmctx.cli.output import coloured, escape, out, warn
from llmctx.cli.serve import line_of
from llmctx.errors import LlmctxError
from llmctx.trail.entry import Entry

_MARK = "made-by-llmctx-demo"
_SEED = 7
_MINUTES = 100
_MOST_REAL_CALLS = 20
_BAR_PAUSE_S = 0.08


def demo(
    directory: Annotated[Path, typer.Option("--dir", help="Where it leaves its data; emptied at each start.")] = Path(
        "var/demo"
    ),
    endpoint: Endpoint = None,
    model: Model = None,
) -> None:
    """Run the whole loop once, with nothing to set up.

    An embedded Valkey, a simulated session in lockstep, decisions as they fall, a verified trail, a replay. Answers
    come from the stand-in, which follows rules and is no LLM; with --endpoint and --model a real one is asked,
    at most 20 times.

    \b
    llmctx demo
    """
    asyncio.run(_demo(directory, endpoint, model))


async def _demo(directory: Path, endpoint: str | None, model: str | None) -> None:
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
            f"Four simulated symbols, {_MINUTES} one-minute bars each, in lockstep: each bar waits for its decision."
        )
        out.print("Positions follow the feed's own rule; nothing trades on the decisions here.\n")
        out.print("[dim]record  symbol verdict  reasoning, or the guardrail that fired[/]")
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
    from llmctx.cli.setup import asking_of, settings_for
    from llmctx.flow.feed import Feed
    from llmctx.flow.lockstep import Lockstep
    from llmctx.flow.session import simulate
    from llmctx.flow.writer import BarWriter
    from llmctx.replay.check import verify_log
    from llmctx.trail.instance import bind_instance
    from llmctx.trail.log import Log
    from llmctx.worker.session import open_redis, serve_partition

    tally = _Tally()
    settings = settings_for(url, directory, endpoint=endpoint, model=model)
    if real:
        settings.llm.max_attempts = 1  # at most twenty requests, whatever happens to them
    async with asking_of(settings, need_endpoint=True) as asking, open_redis(url) as redis:
        instance, _ = await bind_instance(redis, directory)
        stop = asyncio.Event()
        service = asyncio.create_task(
            serve_partition(
                redis, url, instance, 0, asking, stop, state_dir=directory, on_entry=tally.add, on_trouble=warn
            )
        )
        feed = Feed(
            BarWriter(redis, 1),
            settled=Lockstep(redis, 1, on_trouble=warn),
            on_trouble=warn,
        )
        for bar in simulate(seed=_SEED, minutes=_MINUTES):
            if service.done():
                break  # what ended it is raised below
            await feed.run([bar])
            if sum(tally.kinds.values()) >= _MOST_REAL_CALLS and real:
                break
            if feed.summary.ticks:
                await asyncio.sleep(_BAR_PAUSE_S)
        stop.set()
        await service
        tally.summarise(feed.summary.ticks, feed.summary.bars, real=real)
        report = await verify_log(Log(redis))
        if report.fault is not None:
            raise LlmctxError(f"The trail does not verify: {report.fault}", "This is a defect; please report it.")
        out.print(
            f"[bold]verify[/]      [green]passed[/]: {report.records} records, {report.ticks} ticks, each settled once"
        )
        out.print(
            f"[bold]replay[/]      {report.rebuilt} decisions rebuilt from their evidence, prompts the same to the byte"
        )
        return report.records


class _Tally:
    """What the demo saw."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._guards: Counter[str] = Counter()
        self._tokens = [0, 0]
        self._call_ms: list[float] = []
        self._own_ms: list[float] = []
        self._last: dict[str, str] = {}

    def add(self, entry: Entry) -> None:
        record = entry.record
        self.kinds[record["kind"]] += 1
        self._actions[record["verdict"]["action"]] += 1
        self._guards.update(guard["name"] for guard in record["verdict"].get("guards", []))
        self._count(record)
        symbol, action = record.get("symbol", ""), record["verdict"]["action"]
        if self._last.get(symbol) != action or record["verdict"].get("guards"):
            out.print(line_of(str(entry.index), record))  # the others say the same again
        self._last[symbol] = action

    def _count(self, record: dict[str, Any]) -> None:
        usage = record.get("completion", {}).get("usage", {})
        self._tokens[0] += usage.get("prompt", 0)
        self._tokens[1] += usage.get("completion", 0)
        timings = {step: float(ms) for step, ms in record.get("timings_ms", {}).items()}
        if "complete" in timings:
            self._call_ms.append(timings.pop("complete"))
            self._own_ms.append(sum(timings.values()))

    def summarise(self, ticks: int, bars: int, *, real: bool) -> None:
        counted = ", ".join(f"{coloured(action)} {count}" for action, count in self._actions.most_common())
        guards = ", ".join(f"{name} {count}" for name, count in self._guards.most_common()) or "none"
        out.print(
            f"\n[bold]session[/]     {bars} bars fed, {ticks} ticks raised, {sum(self.kinds.values())} records, "
            "and a notice that the trail was made"
        )
        out.print(f"[bold]verdicts[/]    {counted}")
        out.print(f"[bold]guards[/]      {guards}")
        out.print(
            f"[bold]tokens[/]      {self._tokens[0]} read, {self._tokens[1]} written"
            + ("" if real else " (the stand-in's estimate)")
        )
        if self._call_ms:
            out.print(
                f"[bold]latency[/]     model {statistics.median(self._call_ms):.1f} ms, "
                f"llmctx around it {statistics.median(self._own_ms):.1f} ms (medians)"
            )


def _next_steps(directory: Path, record: int) -> None:
    program = _program()
    at = f"--redis-url embedded:{directory / 'redis'}"
    out.print("\nThe data stays. Try next:")
    for command in (
        f"{program} decisions --limit 5 {at}",
        f"{program} show {record} {at}",
        f"{program} context ACME --prompt position {at}",
        f"{program} verify {at}",
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
