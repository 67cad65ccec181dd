"""The whole examination: every check in turn; a check that cannot be made is unknown, and never prevents the others."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import MasterDownError, NoPermissionError, ReadOnlyError
from redis.exceptions import TimeoutError as NoReplyError

from llmctx.connection import open_redis
from llmctx.connection.remedy import remedy
from llmctx.errors import LlmctxError, ServerError, in_short
from llmctx.ops.doctor import host, live_keys, memory, model, server, trail, utc
from llmctx.ops.doctor.finding import Finding, red, unknown
from llmctx.ops.doctor.settings_file import drifts
from llmctx.ops.doctor.subject import Places, Subject

Check = Callable[[Subject], Awaitable[Finding]]

SERVER: tuple[Check, ...] = (
    server.server, server.role, server.exposure, server.connections, server.persistence, server.last_save,
    server.fsync, server.latency, server.stalls, memory.eviction, memory.memory, memory.hits, memory.evictions,
    live_keys.lifetimes, live_keys.live_values, host.clock_skew, trail.functions, trail.instance,
)  # fmt: skip
"""The checks that need only a server."""
TRAIL: tuple[Check, ...] = (
    memory.days_until_full, memory.expiring_trail, trail.leases, trail.backlog, trail.dead_letters, trail.incidents,
    trail.halts, trail.checkpoints, trail.archive, model.calls, model.templates,
)  # fmt: skip
"""The checks of a trail; `instance` says so if there is none."""
HOST: tuple[Check, ...] = (utc.utc, host.disk, host.key, host.backup)
"""The checks of this host."""

_GRANT = "Run the doctor as a user with the role operator (`llmctx acl`), or as the server's administrator."
_OTHERWISE = "See the server's log for why it answers so."
_PRIMARY = "Ask the primary: name it with --redis-url."
_SILENT = "See the server's log: it closed the connection (client-output-buffer-limit, maxclients), or was busy."


async def examine(url: str, places: Places) -> AsyncIterator[Finding]:
    """Every finding, in the order of the screen.

    Raises ServerError if no usable server answers, OSError if the redis.conf cannot be read.
    """
    async with open_redis(url) as redis:
        async for finding in examine_subject(Subject(redis, url, places)):
            yield finding


async def examine_subject(subject: Subject) -> AsyncIterator[Finding]:
    """The same with open connections. Raises OSError if the redis.conf cannot be read."""
    for check in (*SERVER, *drifts(subject.places.redis_conf)):
        yield await _found(check, subject)
    if await _has_trail(subject):
        for check in TRAIL:
            yield await _found(check, subject)
    for check in HOST:
        yield await _found(check, subject)


async def _found(check: Check, subject: Subject) -> Finding:
    try:
        finding = await check(subject)
    except Exception as error:  # noqa: BLE001  a server of others may reply anything, and the other checks must go on
        finding = unknown(*_why(error))
    return replace(finding, name=check.__name__)


def _why(error: Exception) -> tuple[str, str]:
    """Why a check could not be made, and what to do about it."""
    match error:
        case LlmctxError():
            return error.what.rstrip("."), error.do
        case NoPermissionError():
            return f"this user may not ask ({error})", _GRANT
        case ReadOnlyError() | MasterDownError():
            return f"a replica does not tell ({error})", _PRIMARY
        case NoConnectionError() | NoReplyError():
            return in_short(error), remedy(error, _SILENT)
    return in_short(error), remedy(error, _OTHERWISE)


async def _has_trail(subject: Subject) -> bool:
    try:
        return await subject.instance() is not None
    except LlmctxError:
        return False


def unreachable(error: ServerError) -> Finding:
    """The finding that no usable server answers."""
    return replace(red(error.what, "Nothing is read, decided or recorded.", error.do), name="server")
