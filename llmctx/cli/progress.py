"""How long work shows that it goes on: a bar with the time left on a terminal, a plain line now and then elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llmctx import clock
from llmctx.cli.output import err

_LINE_EVERY_S = 10.0


@contextmanager
def progress(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Call what this gives once for each step done; `quiet` shows nothing."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if quiet:
        yield lambda: None
    elif err.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)
    else:
        yield _Lines(what, total).advance


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done, self._began_s = 0, clock.monotonic_s()
        self._told_s = self._began_s

    def advance(self) -> None:
        self._done += 1
        if clock.monotonic_s() - self._told_s >= _LINE_EVERY_S:
            self._told_s = clock.monotonic_s()
            left_s = (self._told_s - self._began_s) / self._done * max(0, self._total - self._done)
            left = clock.in_words(round(left_s) * 1000)
            err.print(f"{self._what}: {self._done} of {self._total}, about {left} left")
