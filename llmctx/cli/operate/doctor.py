"""`llmctx doctor`: what is wrong, what follows, and what to do."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx.assets import asset
from llmctx.cli.shared.options import AsJson, PromptsDir, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import redis_of, settings_for
from llmctx.errors import ServerError
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.ops.doctor.finding import Finding

_COLOURS = {"green": "green", "amber": "yellow", "red": "red"}


def doctor(
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    prompts: PromptsDir = None,
    redis_conf: Annotated[
        Path | None,
        typer.Option("--redis-conf", help="The server's settings as they should be. Default: the one shipped."),
    ] = None,
    backups: Annotated[Path, typer.Option("--backups", metavar="DIR", help="The folder that collects backups.")] = Path(
        "backups"
    ),
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for amber findings too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Examine server, trail and this host, and say what to do.

    Each line is green, amber or red. Amber and red lines say what follows and what to do. A check that cannot be made
    is unknown, and never green. Nothing is changed.

    Exit code 0: nothing is red. 1: something is. 3: no usable server answers.

    \b
    llmctx doctor --backups /mnt/backups
    """
    findings, code = asyncio.run(_examine(settings_for(redis_url, state_dir, prompts=prompts), redis_conf, backups))
    levels = {finding.level for finding in findings}
    if as_json:
        print_json({"findings": [vars(finding) for finding in findings]})
    else:
        _print(findings)
    raise typer.Exit(code or int("red" in levels or (strict and "amber" in levels)))


async def _examine(settings: Settings, redis_conf: Path | None, backups: Path) -> "tuple[list[Finding], int]":
    from llmctx.ops.doctor.examine import examine, unreachable
    from llmctx.ops.doctor.subject import Places

    places = Places(settings.state_dir, redis_conf or asset("redis.conf"), backups, settings.prompts, settings.mapping)
    try:
        async with redis_of(settings) as (_, url):
            return [finding async for finding in examine(url, places)], 0
    except ServerError as error:
        return [unreachable(error)], error.exit_code


def _print(findings: "list[Finding]") -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        colour = _COLOURS[finding.level]
        out.print(f"[{colour}]{finding.level:<5}[/]  {finding.name:<{width}}  {escape(finding.what)}")
        for line in filter(None, (finding.consequence, finding.do)):
            out.print(f"{'':<{width + 9}}[dim]{escape(line)}[/]")
    counts = ", ".join(f"{sum(finding.level == level for finding in findings)} {level}" for level in _COLOURS)
    out.print(f"\n{counts}")
