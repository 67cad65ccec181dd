"""What is sent to open pages as it happens: the desk, and each decision for programs.

All readers share one reading of the server: a hundred open pages cost as much as one, and none costs nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from llmctx import clock
from llmctx.console.api_answers import record_text
from llmctx.console.desk import read_desk, read_position
from llmctx.console.rendering import render
from llmctx.console.story import known_of
from llmctx.console.subject import Subject
from llmctx.errors import ConsoleError, LlmctxError
from llmctx.trail.log.entry import address
from llmctx.trail.source.filter import Filter
from llmctx.trail.source.lookup import follow

Event = dict[str, Any]
"""An event in the form of sse-starlette: event, data, id."""

MAX_READERS = 64
"""How many may read one stream at a time."""
_INTERVAL_S = 1.0
_MAX_WAITING = 1000
"""Events that wait for a slow reader; after that it is cut off, and its browser connects again."""


class Broadcast:
    """One source of events for any number of readers; it runs while somebody reads."""

    def __init__(self, produce: Callable[[Callable[[Event], None]], Awaitable[None]]) -> None:
        """`produce` sends events until it is cancelled."""
        self._produce = produce
        self._readers: set[asyncio.Queue[Event | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._newest: dict[str, Event] = {}
        self._closed = False

    @property
    def is_idle(self) -> bool:
        """Whether nobody reads."""
        return not self._readers

    def open(self) -> AsyncIterator[Event]:
        """Begin to read. Raises ConsoleError if too many are reading already."""
        if self._closed or len(self._readers) >= MAX_READERS:
            raise ConsoleError(f"{MAX_READERS} read this stream already.", "Close some of the open pages.")
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_MAX_WAITING)
        for event in self._newest.values():
            queue.put_nowait(event)
        self._readers.add(queue)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return self._read(queue)

    async def _read(self, queue: asyncio.Queue[Event | None]) -> AsyncIterator[Event]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._readers.discard(queue)
            if not self._readers:
                await self._stop()

    async def _run(self) -> None:
        while True:
            try:
                await self._produce(self._send)
            except LlmctxError as error:
                self._send({"event": "problem", "data": f"{error.what} {error.do}"})
            await asyncio.sleep(_INTERVAL_S)

    def _send(self, event: Event) -> None:
        if event["event"] in ("page", "time"):
            self._newest[event["event"]] = event
        for queue in list(self._readers):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._readers.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)

    async def _stop(self) -> None:
        task, self._task = self._task, None
        self._newest.clear()
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """End every reader."""
        self._closed = True
        for queue in self._readers:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
        await self._stop()


def desk_stream(subject: Subject) -> Broadcast:
    """The desk, once a second if it changed."""

    async def shown() -> str:
        return render("desk_body", desk=await read_desk(subject.require_live(), await subject.source()), now=None)

    return _page_stream(shown)


class SymbolStreams:
    """The current sections of symbols, one stream for each symbol that somebody looks at."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._streams: dict[str, Broadcast] = {}

    def open(self, symbol: str) -> AsyncIterator[Event]:
        """Begin to read those of a symbol. Raises ConsoleError if too many are reading, or the trail is a copy."""
        live = self._subject.require_live()
        self._streams = {name: one for name, one in self._streams.items() if not one.is_idle}
        if len(self._streams) >= MAX_READERS:
            raise ConsoleError(f"{MAX_READERS} symbols are looked at already.", "Close some of the open pages.")

        async def shown() -> str:
            package = await read_position(live, symbol)
            return render("symbol_live", symbol=symbol, package=package, sections=known_of(package))

        if symbol not in self._streams:
            self._streams[symbol] = _page_stream(shown)
        return self._streams[symbol].open()

    async def close(self) -> None:
        """End every reader."""
        for stream in list(self._streams.values()):
            await stream.close()


def _page_stream(render_page: Callable[[], Awaitable[str]]) -> Broadcast:
    """A part of a page, once a second if it changed, and the time."""

    async def produce(send: Callable[[Event], None]) -> None:
        shown = ""
        while True:
            text = await render_page()
            if text != shown:
                shown = text
                send({"event": "page", "data": text})
            send({"event": "time", "data": clock.iso(clock.now_ms())})
            await asyncio.sleep(_INTERVAL_S)

    return Broadcast(produce)


def decision_stream(subject: Subject) -> Broadcast:
    """Each record as it is recorded, in the API's form."""

    async def produce(send: Callable[[Event], None]) -> None:
        source = await subject.source()
        sizes = [await part.size() for part in source.parts]
        async for entry in follow(source.parts, sizes, Filter()):
            where = address(entry.index, entry.partition, source.partitions)
            send({"event": "decision", "id": where, "data": record_text(entry, where)})

    return Broadcast(produce)
