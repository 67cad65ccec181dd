"""A server on a socket that answers with whatever bytes a test gives it, well-formed or not."""

import asyncio
import contextlib
import re
import ssl
from typing import Literal, NamedTuple, Self

PAUSE_S = 0.05
"""How long a slow server waits between two pieces."""


class Answer(NamedTuple):
    """What is sent for one request, and what is done afterwards."""

    raw: bytes
    then: Literal["keep", "close", "reset", "hang"] = "keep"
    later: tuple[bytes, ...] = ()
    """What follows, each piece after a pause."""


class Request(NamedTuple):
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """The server. Each request gets the next answer; the last one answers all that follow."""

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.connections = 0
        self._arrival = asyncio.Event()
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def base_url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/v1"

    async def arrived(self, count: int = 1) -> None:
        """Wait until this many requests have arrived."""
        while len(self.requests) < count:
            self._arrival.clear()
            await self._arrival.wait()

    def _next(self, _line: str) -> Answer:
        """The answer to the request with this first line."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass  # the server closes
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; return whether the connection stays open."""
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()[:-1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append(Request(line, headers, body))
        self._arrival.set()
        answer = self._next(line)
        for number, piece in enumerate((answer.raw, *answer.later)):
            await asyncio.sleep(PAUSE_S if number else 0)
            writer.write(piece)
            await writer.drain()
        if answer.then == "hang":
            await asyncio.Event().wait()
        if answer.then == "reset":
            writer.transport.abort()
        return answer.then == "keep"


def response(
    body: bytes = b"", status: str = "200 OK", *headers: str, length: int | None = None, version: str = "1.1"
) -> bytes:
    """A response's bytes, with a content-length."""
    lines = [f"HTTP/{version} {status}", f"content-length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes) -> bytes:
    """A chunked response's bytes, without the chunk that ends it."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def is_absolute(request: Request) -> bool:
    """Whether the request line names the whole URL, as it does for a proxy."""
    return re.match(r"POST http://", request.line) is not None
