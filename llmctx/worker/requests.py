"""Have the owner of a partition do something: here if the partition is free, otherwise by a signed request.

A request is an entry of the tick stream that is no tick. The owner carries it out beside its ticks and takes it out of
the stream; what it asks for may be delivered again after a crash, so each kind recognises what it has done.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from redis.exceptions import RedisError

from llmctx import clock
from llmctx.connection import pause
from llmctx.errors import LeaseError, TrailError
from llmctx.schema.keys import ticks
from llmctx.trail.archive import archived_range
from llmctx.trail.archive.archived_range import ArchivedRange
from llmctx.trail.log.lease import SEE_REDIS
from llmctx.trail.proof.request import Request, open_request
from llmctx.worker import controls, people
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner

_TIMEOUT_S = 120.0
_POLL_S = 0.1
_POLLS = 20
T = TypeVar("T")


async def carry_out(owner: Owner, raw: bytes, proof: bytes) -> None:
    """Do what a request in the tick stream asks for.

    Raises TrailError if no enrolled writer signed it, or it cannot be done; LeaseError if another owner has the
    partition now.
    """
    request = open_request(raw, proof, owner.roster)
    act = _ACTS.get(request.kind)
    if act is None:
        raise TrailError(f"There is no request of the kind {request.kind!r}.", "Use one version of llmctx.")
    await act(owner, request)


async def _trim(owner: Owner, request: Request) -> None:
    await owner.archiving.archived(ArchivedRange.read(request.content))


_ACTS: dict[str, Callable[[Owner, Request], Awaitable[object]]] = {
    archived_range.REQUEST: _trim,
    controls.REQUEST: controls.note_once,
    people.REQUEST: people.record_act,
}


async def ask_owner(
    home: TrailHome,
    partition: int,
    entry: dict[str, bytes],
    act: Callable[[Owner], Awaitable[T]],
    found: Callable[[], Awaitable[T | None]],
) -> T | None:
    """Do `act` as the owner if the partition is free; otherwise put a signed request into its tick stream and wait.

    `found` returns the result once it is there. Returns None if the owner took the request and did not do it; its log
    says why.

    Raises LeaseError if the owner does not answer, TrailError if the server does not.
    """
    entry_id, ends_s = "", clock.monotonic_s() + _TIMEOUT_S
    while True:
        try:
            async with Owner(home, partition) as owner:
                return await act(owner)
        except LeaseError as error:
            if clock.monotonic_s() > ends_s:
                raise LeaseError(f"{error.what} It has not answered the request.", "Run it again.") from error
        entry_id = entry_id or await _send(home, partition, entry)
        for _ in range(_POLLS):
            taken = await _is_taken(home, partition, entry_id)
            if (result := await found()) is not None or taken:
                return result
            await pause(_POLL_S)


async def _send(home: TrailHome, partition: int, entry: dict[str, bytes]) -> str:
    try:
        return cast("bytes", await home.redis.xadd(ticks(partition), entry)).decode()  # type: ignore[arg-type]
    except RedisError as error:
        raise TrailError(f"The owner could not be asked: {error}", SEE_REDIS) from error


async def _is_taken(home: TrailHome, partition: int, entry_id: str) -> bool:
    """Whether the owner has taken the request out of the stream."""
    try:
        return not await home.redis.xrange(ticks(partition), entry_id, entry_id)
    except RedisError as error:
        raise TrailError(f"The tick stream could not be read: {error}", SEE_REDIS) from error
