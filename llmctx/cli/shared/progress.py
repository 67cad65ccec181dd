"""Progress of long work: a bar with the remaining time on a terminal, a line every ten seconds elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llmctx import clock
from llmctx.cli.shared.output import err

_LINE_INTERVAL_S = 10.0


@contextmanager
def progress(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Yield a function to call once for each finished step; `quiet` shows nothing."""
    if quiet:
        yield lambda: None
    elif err.is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)
    else:
        yield _Lines(what, total).advance


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._started_s = self._printed_s = clock.monotonic_s()

    def advance(self) -> None:
        self._done += 1
        now_s = clock.monotonic_s()
        if now_s - self._printed_s < _LINE_INTERVAL_S:
            return
        self._printed_s = now_s
        left_s = (now_s - self._started_s) / self._done * max(0, self._total - self._done)
        err.print(f"{self._what}: {self._done} of {self._total}, about {clock.in_words(round(left_s) * 1000)} left")
