"""Serve a console: one socket, one process, until it is stopped."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from llmctx.console.access import Bind, door_of
from llmctx.console.subject import Subject
from llmctx.errors import ConsoleError
from llmctx.tasks import end

try:
    import uvicorn

    from llmctx.console.app import Console
except ImportError as import_error:
    raise ConsoleError(
        "The packages for the console are not installed.", "pip install 'llmctx[console]'"
    ) from import_error

_MAX_CONNECTIONS = 256
_MAX_HEAD_BYTES = 32 * 1024
_GRACE_S = 3


class _Server(uvicorn.Server):
    """A server that leaves signals to its caller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def serve_console(subject: Subject, bind: Bind, state_dir: Path, *, warms_up: bool = False) -> AsyncIterator[str]:
    """Serve a console and yield its address; it ends with the block.

    `warms_up` loads in advance whatever would delay the first reader of a page. Raises ConsoleError if it may not be
    opened there, or the port cannot be used.
    """
    try:
        listening = socket.create_server((bind.host, bind.port), family=_family(bind.host))
    except OSError as error:
        raise ConsoleError(
            f"The console cannot listen on {bind.host}:{bind.port}: {error.strerror}.", "Name a free port with --port."
        ) from error
    with listening:
        port = listening.getsockname()[1]
        console = Console(subject, door_of(bind, port, state_dir))
        server = _Server(_config(console, bind))
        serving, warming = asyncio.create_task(server.serve([listening])), list[asyncio.Task[None]]()
        try:
            while not server.started:
                if serving.done():
                    why = serving.exception()
                    raise ConsoleError(f"The console did not start: {why}.", "Check --tls-cert and --tls-key.") from why
                await asyncio.sleep(0.01)
            if warms_up:
                warming.append(asyncio.create_task(console.warm_up()))
            host = f"[{bind.host}]" if ":" in bind.host else bind.host
            yield f"{bind.scheme}://{host}:{port}/"
        finally:
            server.should_exit = True
            await end(*warming)
            await console.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(serving), _GRACE_S + 2)
            await end(serving)


def _config(console: "Console", bind: Bind) -> uvicorn.Config:
    return uvicorn.Config(
        console.app,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        limit_concurrency=_MAX_CONNECTIONS,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=None if bind.certificate is None else str(bind.certificate),
        ssl_keyfile=None if bind.key is None else str(bind.key),
    )


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
