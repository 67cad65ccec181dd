"""`llmctx maintenance`: archive, backup and cleanup, each when it is due."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmctx import clock
from llmctx.cli.operate.archive import archive_live_history, archive_trail, locked_until
from llmctx.cli.operate.backup import back_up, watched
from llmctx.cli.operate.cleanup import clean_up_keys
from llmctx.cli.operate.erase import erase_due
from llmctx.cli.shared.long_running import end_on_sigterm
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import open_existing_home, settings_for
from llmctx.connection import server_ms
from llmctx.errors import LlmctxError, in_short
from llmctx.ops.maintenance.log import MaintenanceLog
from llmctx.ops.maintenance.schedule import STEPS, Step
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.worker.home import TrailHome

_DAY_MS = 86_400_000
_KEPT_REPLAYS_DAYS = 30
_Result = dict[str, Any]


def maintenance(
    everything: Annotated[bool, typer.Option("--all", help="Do every step now, due or not.")] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Archive, erase, back up and clean up, each step when it is due.

    The schedule is the table [maintenance] of llmctx.toml: by default each step once a day, from 02:00 UTC on. Run it
    from cron as often as you like, or let `llmctx run --maintenance` do it. Steps that did something are recorded in a
    notice in the trail. The next run retries a step that failed; the other steps run anyway.

    Exit code: that of the worst step; 0 if all went well or nothing was due.

    \b
    llmctx maintenance --json
    LLMCTX_ARCHIVE=s3://trails/prod LLMCTX_MAINTENANCE__BACKUP_TO=/mnt/backups llmctx maintenance --all
    """
    end_on_sigterm()
    settings = settings_for(redis_url, state_dir)
    found, code = asyncio.run(_maintain(settings, everything=everything, quiet=as_json))
    for result in found:
        if as_json:
            print_json(result)
        else:
            facts = [(name, value) for name, value in result.items() if name not in ("step", "outcome")]
            more = ", ".join(str(value) if name == "why" else f"{name} {value}" for name, value in facts)
            out.print(f"[bold]{result['step']:<8}[/] {result['outcome']}{escape(f': {more}' if more else '')}")
    raise typer.Exit(code)


async def _maintain(settings: Settings, *, everything: bool, quiet: bool) -> tuple[list[_Result], int]:
    """The result of each step, and the exit code."""
    found, codes = [], [0]
    async with open_existing_home(settings) as home:
        settings = settings.model_copy(update={"redis_url": home.url})
        log = MaintenanceLog(home.state_dir, home.instance.id)
        with log.lock():
            done_ms = {} if everything else log.done_ms()
            for step in STEPS:
                began_ms = await server_ms(home.redis)
                result = _not_now(settings, step, done_ms.get(step), began_ms)
                if result is None:
                    result, code = await _tried(_WORK[step](settings, quiet))
                    codes.append(code)
                    if code == 0:
                        log.add(step, began_ms)
                found.append({"step": step, **result})
            await _note(home, [each for each in found if each["outcome"] in ("done", "failed")])
    return found, max(codes)


def _not_now(settings: Settings, step: Step, done_ms: int | None, now_ms: int) -> _Result | None:
    """Why a step is not done now; None if it is."""
    schedule = settings.maintenance
    erases = settings.archive and settings.retention.erases
    needs = {"archive": settings.archive, "erase": erases, "backup": schedule.backup_to, "cleanup": True}
    erasing = "retention names no piece" if settings.archive else "the setting archive is unset"
    if schedule.interval_ms(step) == 0:
        return {"outcome": "off"}
    if not needs[step]:
        archive, backup = "the setting archive is unset", "the setting maintenance.backup_to is unset"
        return {"outcome": "off", "why": {"archive": archive, "erase": erasing, "backup": backup}[step]}
    if not schedule.is_due(step, done_ms, now_ms):
        next_ms = schedule.due_ms(step, now_ms) + schedule.interval_ms(step)
        return {"outcome": "not due", "next": clock.iso(next_ms)}
    return None


async def _tried(work: Awaitable[_Result]) -> tuple[_Result, int]:
    """The result of a step and its exit code, whatever becomes of it."""
    try:
        return {"outcome": "done", **await work}, 0
    except LlmctxError as error:
        return {"outcome": "failed", "why": error.what}, error.exit_code
    except OSError as error:
        return {"outcome": "failed", "why": in_short(error)}, 3


async def _note(home: "TrailHome", did: list[_Result]) -> None:
    """Record in the trail what was done."""
    from llmctx.worker.ask_owner import have_noted

    if did:
        said = {each["step"]: {name: value for name, value in each.items() if name != "step"} for each in did}
        reason = "maintenance: " + ", ".join(f"{each['step']} {each['outcome']}" for each in did)
        await have_noted(home, 0, reason, {"maintenance": said})


async def _archive(settings: Settings, quiet: bool) -> _Result:
    schedule, to = settings.maintenance, settings.archive or ""
    older_than_ms = schedule.archive_older_than_d * _DAY_MS
    until_ms = locked_until(settings)
    found = await archive_trail(settings, to, older_than_ms, schedule.archive_keep, until_ms, quiet=quiet)
    files = await archive_live_history(settings, to, until_ms)
    return {
        "to": to,
        "segments": len(found),
        "records": sum(segment.end - segment.first for segment in found),
        "bytes": sum(segment.size_bytes for segment in found),
        "history_files": len(files),
    }


async def _erase(settings: Settings, quiet: bool) -> _Result:  # noqa: ARG001  as every step
    found = await erase_due(settings, apply=True)
    return {"segments": len(found), "records": sum(segment.records or 0 for segment in found)}


async def _back_up(settings: Settings, quiet: bool) -> _Result:
    schedule = settings.maintenance
    assert schedule.backup_to is not None
    daily, weekly = schedule.backup_keep_daily, schedule.backup_keep_weekly
    made = await watched(settings, back_up(settings, schedule.backup_to, daily, weekly, quiet=quiet))
    if made["fault"] is not None:
        raise LlmctxError(f"The backup {made['backup']} is bad: {made['fault']}", "Run `llmctx verify`.", exit_code=1)
    return {"backup": made["backup"], "bytes": made["stored_bytes"], "removed": len(made["removed"])}


async def _clean_up(settings: Settings, quiet: bool) -> _Result:
    steps = await clean_up_keys(settings, _KEPT_REPLAYS_DAYS, apply=True, quiet=quiet)
    return {
        "keys": sum(step.keys for step in steps),
        "items": sum(step.items for step in steps),
        "bytes": sum(step.bytes for step in steps),
    }


_WORK: dict[Step, Callable[[Settings, bool], Awaitable[_Result]]] = {
    "archive": _archive,
    "erase": _erase,
    "backup": _back_up,
    "cleanup": _clean_up,
}
