"""Commands that prove: verify."""

import asyncio

import typer

from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import escape, out, print_json
from llmctx.cli.progress import progress
from llmctx.cli.setup import redis_of, settings_for
from llmctx.replay.check import Report
from llmctx.settings import Settings


def verify(redis_url: RedisUrl = None, state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Verify the trail: every record and all its evidence.

    In order, with each prompt rendered again from its evidence. Exit code 0 where all is good; 1 with the first bad
    record, the rule it breaks, what was expected and found.

    \b
    llmctx verify
    """
    reports = asyncio.run(_verify(settings_for(redis_url, state_dir), as_json=as_json))
    raise typer.Exit(1 if any(report.fault for report in reports) else 0)


async def _verify(settings: Settings, *, as_json: bool) -> list[Report]:
    from llmctx.cli.look import read_existing_instance
    from llmctx.replay.check import verify_log
    from llmctx.trail.log import Log

    reports = []
    async with redis_of(settings) as (redis, _):
        instance = await read_existing_instance(redis)
        for partition in range(instance.partitions):
            log = Log(redis, partition)
            with progress(f"partition {partition}", await log.size(), quiet=as_json) as advance:
                reports.append(await verify_log(log, advance))
    if as_json:
        for report in reports:
            print_json({"instance": instance.id, **report.as_dict()})
        return reports
    for report in reports:
        out.print(
            f"partition {report.partition}: {report.records} records settle {report.ticks} ticks; "
            f"{report.rebuilt} came out of their evidence again, prompts byte for byte"
            + (
                f", {report.not_reproducible} are not reproducible under this code version"
                if report.not_reproducible
                else ""
            )
            + "."
        )
        if report.fault is not None:
            out.print(f"[red]FAILED[/]  {escape(str(report.fault))}")
    if not any(report.fault for report in reports):
        out.print("[green]verified[/]  contiguous, canonical, one record a tick, all evidence unaltered.")
    return reports
