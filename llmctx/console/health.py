"""Health: what the doctor and `llmctx status` say, read at most every few seconds."""

from typing import Any, NamedTuple

from llmctx import clock
from llmctx.console.subject import Live
from llmctx.errors import ServerError
from llmctx.ops.doctor.examine import examine, unreachable
from llmctx.ops.doctor.finding import Finding, Level, worst
from llmctx.worker.status import read_status


class Health(NamedTuple):
    """How things stand."""

    status: dict[str, Any] | None
    """What `llmctx status` says; None if the server does not answer."""
    findings: list[Finding]
    """What the doctor says, the worst first."""
    level: Level
    """The worst of it."""
    read_ms: int
    """When it was read."""


async def read_health(live: Live) -> Health:
    """Examine the server, the trail and this host.

    Raises TrailError if the trail cannot be read.
    """
    try:
        findings = [finding async for finding in examine(live.url, live.places)]
        status = await read_status(live.redis, live.url)
    except ServerError as error:
        findings, status = [unreachable(error)], None
    findings.sort(key=lambda finding: -list(Level).index(finding.level))
    return Health(status, findings, worst(findings), clock.now_ms())
