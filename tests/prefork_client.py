"""Stands for one call of the program: hands its streams to tests/prefork, passes signals on, ends as the call ends.

Only built-in modules are imported, so that it starts in a few milliseconds.
"""

import _signal
import _socket
import os
import sys

SIGNALS = {_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP}


def line(call: "_socket.socket") -> int:
    text = b""
    while not text.endswith(b"\n"):
        read = call.recv(1)
        if not read:
            os._exit(1)  # the server is gone, and the call with it
        text += read
    return int(text)


def main() -> None:
    """Run the call in `sys.argv[2:]` by the server whose socket is `sys.argv[1]`."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, SIGNALS)
    call = _socket.socket(_socket.AF_UNIX)
    call.connect(sys.argv[1])
    arguments = sys.argv[2:]
    folder = os.getcwd()  # noqa: PTH109  pathlib takes longer to import than all of this
    environment = [f"{name}={value}" for name, value in os.environ.items()]
    words = b"\0".join(os.fsencode(word) for word in (folder, str(len(arguments)), *arguments, *environment))
    call.send(len(words).to_bytes(4, "big"))
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    call.sendmsg([words[:1]], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    call.sendall(words[1:])
    pid = line(call)
    for number in range(3):
        os.close(number)  # only the call holds them now: a reader sees their end when it ends
    for number in SIGNALS:
        _signal.signal(number, lambda given, _: os.kill(pid, given))
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, SIGNALS)
    code = line(call)
    if code < 0:
        if -code != _signal.SIGKILL:
            _signal.signal(-code, _signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main()
