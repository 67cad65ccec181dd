"""The server's live configuration compared with a redis.conf: one finding for each setting of the file."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from llmctx.ops.doctor.finding import Finding, amber, green
from llmctx.ops.doctor.subject import Subject

_UNITS = {"k": 1000, "kb": 1024, "m": 1000**2, "mb": 1024**2, "g": 1000**3, "gb": 1024**3}
_LEFT_OUT = ("include", "port")
"""The address names the port, and included files are the server's own business."""
_CONSEQUENCES = {
    "maxmemory": "How much the trail may grow before ticks stop is another amount than was planned for.",
    "maxmemory-policy": "What the server does when its memory is full is something else than was planned for.",
    "appendonly": "What a restart loses is something else than was planned for.",
    "appendfsync": "How much a crash loses, or how long each write takes, is something else than was planned for.",
    "bind": "Other machines than were meant can reach the server, or some cannot.",
    "protected-mode": "Without passwords, other machines may be let in.",
}


def read_settings(path: Path) -> dict[str, str]:
    """The settings in a redis.conf, by name; of a repeated one, the last.

    Raises OSError if it cannot be read.
    """
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    parts = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {name.lower(): value[0].strip('"') if value else "" for name, *value in parts}


def drifts(path: Path) -> list[Callable[[Subject], Awaitable[Finding]]]:
    """A check for each setting of a redis.conf."""
    wanted = read_settings(path)
    return [_drift(name, value, path) for name, value in wanted.items() if name not in _LEFT_OUT]


def _drift(name: str, wanted: str, path: Path) -> Callable[[Subject], Awaitable[Finding]]:
    async def drift(subject: Subject) -> Finding:
        live = (await subject.config()).get(name)
        if live is not None and _plain(live) == _plain(wanted):
            return green(f"{wanted}, as {path.name} says")
        return amber(
            f"{live or 'nothing'}, but {path.name} says {wanted}",
            _CONSEQUENCES.get(name, "The server does not do what its file says, or will do so only after a restart."),
            f"Run `redis-cli CONFIG SET {name} {wanted}`; or write the live value in your file and name that with "
            "--redis-conf.",
        )

    drift.__name__ = f"config {name}"
    return drift


def _plain(value: str) -> str:
    """A setting in one spelling: sizes in bytes, words in lower case."""
    found = re.fullmatch(r"(\d+)([kmg]b?)", value.lower())
    return str(int(found[1]) * _UNITS[found[2]]) if found else " ".join(value.lower().split())
