"""`llmctx run`: the service."""

import asyncio
from functools import partial
from typing import Annotated

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.cli.run.observers import Observer, console_beside, observers
from llmctx.cli.shared.deciding import decides
from llmctx.cli.shared.decision_config import deciding
from llmctx.cli.shared.endpoints import keys_of
from llmctx.cli.shared.logs import LogFormat, show_debug_logs, show_logs
from llmctx.cli.shared.long_running import stop_signal
from llmctx.cli.shared.options import AsJson, NewInstance
from llmctx.cli.shared.output import messages, out, print_json
from llmctx.cli.shared.record_text import record_line
from llmctx.cli.shared.setup import home_of
from llmctx.connection.address import without_password
from llmctx.prompt.book import PromptBook
from llmctx.schema import keys
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry, address
from llmctx.worker.broken_step import dispensable, kept_going
from llmctx.worker.serve import ServeOptions, serve
from llmctx.worker.service_notice import Service, fingerprint

_REPORT_INTERVAL_S = 10


@decides
def run(
    settings: Settings,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every record.")] = False,
    as_json: AsJson = False,
    new_instance: NewInstance = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Raise a tick for each position that other code writes with a plain SET.")
    ] = False,
    no_notary: Annotated[
        bool, typer.Option("--no-notary", help="Sign nothing and need no key, if `llmctx notary` runs elsewhere.")
    ] = False,
    maintenance: Annotated[
        bool, typer.Option("--maintenance", help="Run `llmctx maintenance` beside the service whenever a step is due.")
    ] = False,
    log_format: Annotated[
        LogFormat | None, typer.Option("--log-format", help="How log records are written. Also LLMCTX_LOG_FORMAT.")
    ] = None,
    metrics: Annotated[
        int | None, typer.Option("--metrics", help="Serve metrics for Prometheus on this port.", min=0, max=65_535)
    ] = None,
    metrics_host: Annotated[
        str, typer.Option("--metrics-host", help="The address on which metrics are served.")
    ] = "127.0.0.1",
    console: Annotated[
        int | None, typer.Option("--console", help="Serve the console on this port of 127.0.0.1.", min=0, max=65_535)
    ] = None,
) -> None:
    """Run the service, which decides every tick exactly once.

    Many symbols are decided in parallel; the ticks of one symbol are decided one after another. On SIGTERM or Ctrl-C it
    settles the ticks raised so far and exits with 0. If some cannot be settled, or more are raised meanwhile, it says
    how many wait. A second signal stops it at once; the next run settles the rest.

    Start several on one machine with the same state directory and they share the partitions. If one dies, the others
    take over its partitions within ten seconds.

    \b
    LLMCTX_LLM__BASE_URL=http://127.0.0.1:8700/v1 LLMCTX_LLM__MODEL=llmctx-standin llmctx run
    """
    if log_format is not None:
        show_logs(log_format)
        if settings.log_level == "debug":
            show_debug_logs()
        settings = settings.model_copy(update={"log_format": str(log_format)})
    counter = _Counter(verbose=verbose, as_json=as_json)
    options = ServeOptions(settings.concurrency, watch=watch, notary=not no_notary, tune_gc=True)
    address = None if metrics is None else (metrics_host, metrics)
    asyncio.run(
        _run(
            settings,
            counter,
            options,
            new_instance=new_instance,
            metrics=address,
            maintenance=maintenance,
            console=console,
        )
    )


async def _run(
    settings: Settings,
    counter: "_Counter",
    options: ServeOptions,
    *,
    new_instance: bool,
    metrics: tuple[str, int] | None,
    maintenance: bool,
    console: int | None,
) -> None:
    # A worker loads the functions of feed and cleanup too: their users may not (docs/operations/access.md).
    import llmctx.flow.store
    import llmctx.ops.cleanup.run  # noqa: F401
    from llmctx.worker.watch import check_notifications

    stop = stop_signal()
    async with deciding(settings, need_endpoint=True) as (config, redis, url):
        if options.watch:
            await check_notifications(redis)
        home = await home_of(settings, redis, url, new_instance=new_instance)
        if not counter.as_json:
            server = without_password(url)
            refs = ", ".join(template.ref for template in config.prompts.templates)
            out.print(f"Deciding with {refs} and {_models(settings)} on {server}. Ctrl-C stops it.")
        async with (
            observers(settings, home, config.completer, metrics) as watching,
            console_beside(settings, home, console),
        ):
            tasks = [asyncio.create_task(kept_going("Counting what is settled", counter.report))]
            if isinstance(config.prompts, PromptBook):
                tasks.append(asyncio.create_task(kept_going("Watching the folder of prompts", config.prompts.watch)))
            if maintenance:
                from llmctx.cli.run.maintaining import maintain

                tasks.append(asyncio.create_task(kept_going("Maintenance", partial(maintain, settings, home))))
            counter.partitions = home.instance.partitions
            watching.insert(0, counter.add)
            try:
                service = None
                with dispensable("Naming settings, prompts and keys", "No notice says under which the service runs"):
                    prompts = tuple(template.ref for template in config.prompts.templates)
                    keys = {name: fingerprint(key, home.instance.id) for name, key in keys_of(settings).items()}
                    service = Service(settings.sha256, prompts, keys)
                await serve(home, config, stop, options._replace(service=service), on_entry=_each(watching))
            finally:
                for task in tasks:
                    task.cancel()
        waiting = await _waiting(redis, home.instance.partitions)
        if waiting:
            messages.note(f"{waiting} ticks wait in the stream; the next run settles them")
    if not counter.as_json:
        out.print(f"Stopped. {counter}")


def _models(settings: Settings) -> str:
    """The model that is asked, or the models in their order."""
    named = (f"{each.name} ({each.model})" for each in settings.llm.endpoints)
    return ", then ".join(named) or str(settings.llm.model)


async def _waiting(redis: Redis, partitions: int) -> int:
    """How many ticks are not settled; 0 if the server does not answer."""
    try:
        return sum([int(await redis.xlen(keys.ticks(partition))) for partition in range(partitions)])
    except (RedisError, OSError):
        return 0


def _each(watching: list[Observer]) -> Observer:
    """One observer that calls several."""

    def on_entry(entry: Entry) -> None:
        for observe in watching:
            observe(entry)

    return on_entry


class _Counter:
    """Counts what a run settles, and prints each record, or a line now and then."""

    def __init__(self, *, verbose: bool, as_json: bool) -> None:
        self._verbose = verbose
        self.as_json = as_json
        self.partitions = 1
        """How many partitions the trail has."""
        self._records = self._ticks = 0

    def add(self, entry: Entry) -> None:
        """Count a record."""
        self._records += 1
        self._ticks += len(entry.ticks)
        if self.as_json:
            print_json({"index": entry.index, **entry.record})
        elif self._verbose:
            out.print(record_line(address(entry.index, entry.partition, self.partitions), entry.record))

    def __str__(self) -> str:
        return f"{self._ticks} ticks settled in {self._records} records."

    async def report(self) -> None:
        reported = 0
        while True:
            await asyncio.sleep(_REPORT_INTERVAL_S)
            if self._records != reported and not (self._verbose or self.as_json):
                reported = self._records
                out.print(str(self))
