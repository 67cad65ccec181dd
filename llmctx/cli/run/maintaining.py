"""Maintenance beside the service, in a process of its own: packing a day's records must not delay a tick."""

import asyncio
import contextlib
import logging
import os
import sys

from llmctx import clock
from llmctx.ops.maintenance.log import MaintenanceLog
from llmctx.ops.maintenance.schedule import STEPS, Schedule
from llmctx.settings import Settings
from llmctx.tasks import pause
from llmctx.worker.home import TrailHome

_log = logging.getLogger(__name__)

_LOOK_S = 60.0
_AFTER_FAILURE_S = 3600.0


async def maintain(settings: Settings, home: TrailHome) -> None:
    """Run `llmctx maintenance` whenever a step is due, until cancelled; after a failure, an hour later."""
    log, schedule = MaintenanceLog(home.state_dir, home.instance.id), _wanted(settings)
    while True:
        done_ms, now_ms = log.done_ms(), clock.now_ms()
        if any(schedule.is_due(step, done_ms.get(step), now_ms) for step in STEPS):
            code = await _run(settings, home)
            if code != 0:
                what = f"Maintenance ended with exit code {code}; it is retried in an hour."
                _log.error(what, extra={"alert": "maintenance"})
                await pause(_AFTER_FAILURE_S)
        await pause(_LOOK_S)


def _wanted(settings: Settings) -> Schedule:
    """The schedule without the steps that have no place to write to."""
    off = {
        "archive_every_h": settings.archive is not None,
        "erase_every_h": settings.archive is not None and settings.retention.erases,
        "backup_every_h": settings.maintenance.backup_to is not None,
    }
    return settings.maintenance.model_copy(update={name: 0 for name, has_place in off.items() if not has_place})


async def _run(settings: Settings, home: TrailHome) -> int:
    """Run maintenance once; returns its exit code. If cancelled, it is stopped, which is safe at any time."""
    environment = os.environ | {"LLMCTX_REDIS_URL": home.url, "LLMCTX_STATE_DIR": str(settings.state_dir)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "llmctx",
        "maintenance",
        *(["--json"] if settings.log_format == "json" else []),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=sys.stderr,  # what came of each step belongs in the service's log
    )
    try:
        return await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
