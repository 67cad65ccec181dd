"""Long work: its progress, and how it is stopped."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from llmctx import clock
from llmctx.cli.shared.output import err, messages

_LINE_INTERVAL_S = 10.0


@contextmanager
def progress(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Yield a function to call once for each finished step; `quiet` shows nothing.

    A terminal shows a bar with the remaining time; elsewhere a line is printed every ten seconds.
    """
    if quiet:
        yield lambda: None
    elif err.is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)
    else:
        yield _print_lines(what, total)


@contextmanager
def beginning(*, quiet: bool) -> Iterator[Callable[[str, int], Callable[[], None]]]:
    """Yield a function that begins a step, by its name and its length, as `progress` does; the next one ends it."""
    with ExitStack() as stack:

        def begin(what: str, total: int) -> Callable[[], None]:
            stack.pop_all().close()
            return stack.enter_context(progress(what, total, quiet=quiet))

        yield begin


def _print_lines(what: str, total: int) -> Callable[[], None]:
    done, started_s = 0, clock.monotonic_s()
    printed_s = started_s

    def advance() -> None:
        nonlocal done, printed_s
        done, now_s = done + 1, clock.monotonic_s()
        if now_s - printed_s >= _LINE_INTERVAL_S:
            printed_s = now_s
            left_s = (now_s - started_s) / done * max(0, total - done)
            err.print(f"{what}: {done} of {total}, about {clock.in_words(round(left_s) * 1000)} left")

    return advance


def stop_signal() -> asyncio.Event:
    """An event set by the first SIGTERM or Ctrl-C; the second one ends the process at once."""
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


def end_on_sigterm() -> None:
    """Let SIGTERM end the process as Ctrl-C does, so that child processes are ended and temporary files removed."""
    # asyncio answers SIGINT by cancelling the command; KeyboardInterrupt, raised in the middle of it, is a traceback.
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in the background
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
