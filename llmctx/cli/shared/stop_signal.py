"""SIGTERM and Ctrl-C for commands that run until they are stopped."""

import asyncio
import signal

from llmctx.cli.shared.output import messages


def stop_signal() -> asyncio.Event:
    """An event that the first SIGTERM or Ctrl-C sets; the second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_first() -> None:
        stop.set()
        messages.note("Stopping. Press Ctrl-C again to stop at once.")
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_first)
    return stop
