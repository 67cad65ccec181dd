"""Health: what the doctor and `llmctx status` report, read at most every few seconds."""

import asyncio
from typing import Any

from redis.exceptions import RedisError

from llmctx import clock
from llmctx.console.api_models import Answer
from llmctx.console.subject import Live
from llmctx.errors import ServerError
from llmctx.ops.doctor.examine import examine_subject, unreachable
from llmctx.ops.doctor.finding import Finding, Level, worst
from llmctx.ops.doctor.subject import Subject

COPIES = ("memory", "days_until_full", "archive", "backup", "disk")
"""The checks of the trail's room and of its copies."""
_FRESH_MS = 5000


class Health(Answer):
    """The state of a live system, as the API returns it."""

    status: dict[str, Any] | None
    """What `llmctx status --json` prints; null if the server does not answer."""
    findings: tuple[Finding, ...]
    """The doctor's findings, the worst first."""
    level: Level
    """The worst level among them."""
    read_ms: int
    """When it was read, in milliseconds since 1970."""

    @property
    def to_do(self) -> list[Finding]:
        """The findings that need action."""
        return [finding for finding in self.findings if finding.level is not Level.GREEN]

    @property
    def copies(self) -> list[Finding]:
        """The findings about the trail's room and its copies, in this order."""
        by_name = {finding.name: finding for finding in self.findings}
        return [by_name[name] for name in COPIES if name in by_name]

    @property
    def in_order(self) -> list[Finding]:
        """Every other finding, all of them in order."""
        return [finding for finding in self.findings if finding.level is Level.GREEN and finding.name not in COPIES]


class HealthReader:
    """Examines one live system; repeated requests within five seconds get the same result."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._read: Health | None = None
        self._reading = asyncio.Lock()

    async def read(self) -> Health | None:
        """The state of the system; None if the trail is a copy."""
        if self._live is None:
            return None
        async with self._reading:
            if self._read is None or clock.now_ms() - self._read.read_ms >= _FRESH_MS:
                self._read = await _examine(self._live)
            return self._read


async def _examine(live: Live) -> Health:
    """Examine the server, the trail and this host."""
    subject = Subject(live.redis, live.url, live.places)
    try:
        await live.redis.ping()
        findings = [finding async for finding in examine_subject(subject)]
        status = await subject.status()
    except (ServerError, RedisError) as error:
        findings, status = [unreachable(_as_server_error(error))], None
    findings.sort(key=lambda finding: -list(Level).index(finding.level))
    return Health(status=status, findings=tuple(findings), level=worst(findings), read_ms=clock.now_ms())


def _as_server_error(error: ServerError | RedisError) -> ServerError:
    if isinstance(error, ServerError):
        return error
    return ServerError(f"The server does not answer: {error}.", "Start it, or wait until it is back.")
