"""The check that this host's clock follows UTC, according to chrony or timedatectl."""

import asyncio
import re
import shutil

from llmctx.ops.doctor.finding import Finding, amber, green, red, unknown
from llmctx.ops.doctor.subject import Subject

AMBER_OFFSET_MS, RED_OFFSET_MS = 100, 1000
"""The largest accepted difference between this host's clock and UTC."""

_ASK_S = 5
_OWN_CLOCK = "7F7F0101"
"""The reference ID of chrony's directive `local`: no source answers, and the host's own clock stands in for one."""
_UNSYNCED = "The times in records and checkpoints may be wrong, and nobody can say by how much."
_SYNCHRONISE = "Run chrony or another NTP client on this host."
_SOURCES = "See `chronyc sources`; name NTP servers that answer in chrony.conf."


async def utc(_: Subject) -> Finding:
    """Whether this host's clock is synchronised with UTC."""
    if (told := await _ask("chronyc", "-n", "tracking")) is not None:
        return _by_chrony(dict(re.findall(r"^(.+?)\s*:\s*(.+?)\s*$", told, re.MULTILINE)))
    told = await _ask("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if told is None or told.strip() not in ("yes", "no"):
        return unknown("neither chrony nor timedatectl says whether the clock is synchronised", _SYNCHRONISE)
    if told.strip() == "no":
        return red("not synchronised, says timedatectl", _UNSYNCED, _SYNCHRONISE)
    return green("synchronised, says timedatectl")


def _by_chrony(tracking: dict[str, str]) -> Finding:
    """What the lines of `chronyc tracking` mean.

    The bound is chrony's own: the offset, the root dispersion and half the root delay. A source that is lost leaves
    the leap status as it was, and the dispersion grows.
    """
    if tracking.get("Leap status", "Not synchronised") == "Not synchronised":
        return red("chrony is not synchronised", _UNSYNCED, _SOURCES)
    if tracking.get("Reference ID", "").startswith(_OWN_CLOCK):
        return red("chrony follows nothing but this host's own clock", _UNSYNCED, _SOURCES)
    try:
        offset, dispersion, delay = (
            float(tracking[name].split()[0]) for name in ("System time", "Root dispersion", "Root delay")
        )
    except (KeyError, ValueError):
        return unknown("`chronyc tracking` names no offset", _SOURCES)
    bound_ms = 1000 * (offset + dispersion + delay / 2)
    what = f"at most {bound_ms:.3f} ms from UTC, says chrony"
    if bound_ms < AMBER_OFFSET_MS:
        return green(what)
    return (red if bound_ms >= RED_OFFSET_MS else amber)(what, _UNSYNCED, _SOURCES)


async def _ask(*command: str) -> str | None:
    """The output of a program; None if it is missing, fails or does not end."""
    if shutil.which(command[0]) is None:
        return None
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_ASK_S):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return out.decode(errors="replace") if process.returncode == 0 else None
