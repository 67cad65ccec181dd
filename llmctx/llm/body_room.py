"""Room for response bodies: how many bytes of large ones this process holds at once.

A body is held until its tick is recorded, and checking it takes several times its size. Small ones need no room. Who
reads a large one waits until there is room for the largest that it may be; what waits in vain ends at its deadline, and
then the guardrails decide.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from llmctx.limits import MAX_BODIES_BYTES

SMALL_BYTES = 64 * 1024
"""Up to this size a body needs no room."""


class BodyRoom:
    """The room of one event loop."""

    def __init__(self, limit_bytes: int = MAX_BODIES_BYTES) -> None:
        self._limit = self._free = limit_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Wait for room and take it, in the order of asking; returns how much was taken, to be given back."""
        size = min(size, self._limit)
        if self._free >= size and not self._waiting:
            self._free -= size
            return size
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            raise
        return size

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        self._free += size
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= self._free):
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= wanted
                turn.set_result(None)


class _Held:
    """What is held for one tick."""

    def __init__(self) -> None:
        self.room: BodyRoom | None = None
        self.size = 0


_rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, BodyRoom] = WeakKeyDictionary()
_held: ContextVar[_Held | None] = ContextVar("held", default=None)


@contextmanager
def holding_bodies() -> Iterator[None]:
    """Give back at the end of the block what was taken for the bodies that are read in it."""
    held = _Held()
    token = _held.set(held)
    try:
        yield
    finally:
        _held.reset(token)
        if held.room is not None:
            held.room.give_back(held.size)


async def room_for_body(size: int) -> None:
    """Wait until there is room for a large body. In a block it is taken once, for all bodies in it: whoever holds some
    never waits for more. Outside of one nothing is held, and nothing waited for.
    """
    held = _held.get()
    if held is None or held.room is not None:
        return
    room = _rooms.setdefault(asyncio.get_running_loop(), BodyRoom())
    taken = await room.take(size)
    if held.room is None:
        held.room, held.size = room, taken
    else:  # another endpoint was asked at the same time
        room.give_back(taken)
