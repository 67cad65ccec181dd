"""Requests to the owner of a partition: append a notice, or do what one of its other handlers does.

A request is signed (llmctx/trail/proof/request.py). Whoever can write to Redis can still repeat one, and the stream may
deliver one twice. So a request is fulfilled only within a day, and the notice that fulfils it names its id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from weakref import WeakValueDictionary

from llmctx.errors import RequestError
from llmctx.record import RecordMetadata
from llmctx.trail.log.log import Log
from llmctx.trail.proof.request import Request
from llmctx.trail.proof.roster import Roster

MAX_AGE_MS = 86_400_000
"""For how long a request can be fulfilled after it was made."""
NOTICE = "notice"
"""Asks for a notice; the body has its `reason`, and `fields` for its leaf."""
FORGET = "forget"
"""Asks to remove archived records `below` an index from the owner's disk."""
_MARGIN_MS = 60_000

Note = Callable[..., Awaitable[int]]
"""Appends a notice with a reason and further fields; returns its index."""
Handler = Callable[[Request], Awaitable[object]]
"""Fulfils a request; repeating the call changes nothing."""


class Requests:
    """Fulfils requests on behalf of a partition's owner."""

    def __init__(
        self,
        log: Log,
        roster: Callable[[], Roster],
        note: Note,
        metadata: Callable[[], Awaitable[RecordMetadata]],
        further: Mapping[str, Handler],
    ) -> None:
        """`roster` has the writers now enrolled, `note` appends a notice, `metadata` has the server's time.

        `further` are handlers besides that of notices.
        """
        self._log = log
        self._roster = roster
        self._note = note
        self._metadata = metadata
        self._handlers: dict[str, Handler] = {NOTICE: self._append_notice, **further}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def on_entry(self, raw: bytes, proof: bytes) -> None:
        """Fulfil the request in an entry of the tick stream.

        Raises RequestError if it may not be fulfilled, and whatever its handler raises.
        """
        request = Request.opened(raw, proof, self._roster())
        if (await self._metadata()).recorded_at_ms - request.made_ms > MAX_AGE_MS:
            raise RequestError(f"The request for a {request.what} is more than a day old.", "Run the command again.")
        await self.fulfil(request)

    async def fulfil(self, request: Request) -> None:
        """Fulfil a request of this process. Raises RequestError if no handler can, and whatever the handler raises."""
        handler = self._handlers.get(request.what)
        if handler is None:
            raise RequestError(
                f"This version does not know the request {request.what!r}.", "Use one version of llmctx."
            )
        # The same request may be delivered again meanwhile; one that waits for a decision holds up no others.
        turn = f"{request.what} {request.body.get('index', '')}"
        async with self._turns.setdefault(turn, asyncio.Lock()):
            await handler(request)

    async def _append_notice(self, request: Request) -> None:
        if await fulfilled_at(self._log, request) is None:
            await self._note(request.body["reason"], **request.body["fields"], requested=request.id)


async def fulfilled_at(log: Log, request: Request) -> int | None:
    """The index of the notice that fulfils a request; None if there is none."""
    return await notice_at(log, request.made_ms, lambda record: record.get("requested") == request.id)


async def notice_at(log: Log, since_ms: int, is_wanted: Callable[[Mapping[str, Any]], bool]) -> int | None:
    """The index of our newest matching notice that is not older than this; None if there is none."""
    async for entry in log.read_back():
        record = entry.record
        if record.get("kind") == "notice" and is_wanted(record) and log.vouches(entry):
            return entry.index
        if record.get("recorded_at_ms", since_ms) < since_ms - _MARGIN_MS:
            return None
    return None
