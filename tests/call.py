"""One call of the program: forked by tests/prefork, but to whoever started it as a process of the standard library."""

import asyncio
import os
import select
import socket
import subprocess
import sys
from asyncio.base_subprocess import BaseSubprocessTransport
from asyncio.subprocess import Process, SubprocessStreamProtocol
from typing import Any

from tests import prefork

_BUFFER_BYTES = 2**16
_SERVER_GONE = 1 << 8
"""The status of a call whose server ended: exit code 1."""


class Call(subprocess.Popen[Any]):
    """A process that the forking server started: its pid and status come over a socket, all else is the usual."""

    connection: socket.socket
    """Where the server tells the pid and, once the process has ended, the status."""

    def _execute_child(self, args: list[str], *others: Any) -> None:
        """Ask the server for a process with these arguments, folder, environment and streams."""
        cwd, environment, pipes = others[4], others[5], others[9:15]  # as in Python 3.11 to 3.14
        given = (os.environ if environment is None else environment).items()
        streams = [number if end == -1 else end for number, end in enumerate((pipes[0], pipes[3], pipes[5]))]
        pairs = (f"{name}={value}" for name, value in given)
        words = b"\0".join(map(os.fsencode, (cwd or os.getcwd(), str(len(args)), *args, *pairs)))  # noqa: PTH109
        try:
            self.connection = socket.socket(socket.AF_UNIX)
            self.connection.connect(prefork.address())
            self.connection.sendall(len(words).to_bytes(4, "big"))
            socket.send_fds(self.connection, [words[:1]], streams)
            self.connection.sendall(words[1:])
            self.pid = self._line()
            self._child_created = True
        finally:
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # typeshed leaves it out

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """As os.waitpid of a child."""
        if wait_flags & os.WNOHANG and not select.select([self.connection], [], [], 0)[0]:
            return 0, 0
        status = self._line()
        self.connection.close()
        return self.pid, status

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):  # type: ignore[attr-defined]
            try:
                pid, status = self._try_wait(os.WNOHANG) if self.returncode is None else (0, 0)
                if pid:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode

    def _line(self) -> int:
        """The next number that the server sends."""
        text = b""
        while not text.endswith(b"\n"):
            read = self.connection.recv(1)
            if not read:
                return _SERVER_GONE
            text += read
        return int(text)


class _Transport(BaseSubprocessTransport):
    """A call in an event loop."""

    def _start(self, args: Any, shell: bool, *streams: Any, **options: Any) -> None:  # noqa: ARG002  as it is called
        self._proc = call = Call(args, *streams, **options)
        self._loop.add_reader(call.connection, self._ended, call)

    def _ended(self, call: Call) -> None:
        self._loop.remove_reader(call.connection)
        self._process_exited(call.wait())


def start(*arguments: str, before: str = "", **options: Any) -> "subprocess.Popen[Any]":
    """Start `llmctx` with these arguments and Popen's options; `before` is Python that runs before it."""
    if prefork.FORKED:
        return Call([before, *arguments], **options)
    return subprocess.Popen(_installed(arguments, before), **options)


def run(*arguments: str, timeout_s: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    """What `llmctx` with these arguments printed and how it ended."""
    with start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as call:
        try:
            printed = call.communicate(timeout=timeout_s)
        except BaseException:
            call.kill()
            raise
    return subprocess.CompletedProcess(arguments, call.returncode, *printed)


async def spawn(*arguments: str, before: str = "", **options: Any) -> Process:
    """As `start`, but in the event loop, and with its streams as pipes; stdin may be named."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    if not prefork.FORKED:
        return await asyncio.create_subprocess_exec(*_installed(arguments, before), **options)
    loop = asyncio.get_running_loop()
    protocol = SubprocessStreamProtocol(limit=_BUFFER_BYTES, loop=loop)
    connected = loop.create_future()
    words = [before, *arguments]
    transport = _Transport(loop, protocol, words, shell=False, bufsize=0, waiter=connected, **options)
    await connected
    return Process(transport, protocol, loop)


def _installed(arguments: tuple[str, ...], before: str) -> list[str]:
    """The words that start the installed program."""
    if before:
        return [sys.executable, "-c", f"{before}\nfrom llmctx.cli import main; main()", *arguments]
    return [str(prefork.INSTALLED), *arguments]
