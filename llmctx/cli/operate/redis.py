"""`llmctx redis`: the embedded server."""

import contextlib
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.shared.options import MessagesAsJson
from llmctx.cli.shared.output import out
from llmctx.errors import ServerError


def redis(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.", min=0, max=65535)] = 6379,
    directory: Annotated[Path, typer.Option("--dir", help="The folder for its data.")] = Path("var/redis"),
    _as_json: MessagesAsJson = False,
) -> None:
    """Run the embedded Valkey server.

    It uses the shipped redis.conf and runs in the foreground until Ctrl-C or SIGTERM.

    \b
    llmctx redis --port 6390 --dir ./var/redis
    """
    from llmctx.ops.server import EmbeddedServer

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    with contextlib.suppress(KeyboardInterrupt), EmbeddedServer(directory, port=port) as server:
        out.print(f"Valkey listens on {server.url}, data in {directory}. Ctrl-C stops it.")
        while server.running:
            time.sleep(0.5)
        raise ServerError("The embedded Valkey stopped.", f"Read {directory / 'valkey.log'}, then start it again.")
