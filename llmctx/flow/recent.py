"""What was written lately: a server that is killed may forget its last seconds, and gets them again from here."""

from collections import deque

from llmctx import clock
from llmctx.flow.bars import Bar
from llmctx.flow.news import Headline

KEPT_S = 20.0
"""For how long; an append-only file that is synced every second loses two of them at most, and waits after that."""


class Recent:
    """Bars and headlines of the last seconds, in the order in which they were written."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, Bar | Headline]] = deque()
        self._known: set[Bar | Headline] = set()

    def add(self, item: Bar | Headline) -> bool:
        """Keep an item that was written; False where it was written before, so that it is not counted twice."""
        now_s = clock.monotonic_s()
        while self._kept and self._kept[0][0] < now_s - KEPT_S:
            self._known.discard(self._kept.popleft()[1])
        if item in self._known:
            return False
        self._known.add(item)
        self._kept.append((now_s, item))
        return True

    def knows(self, item: Bar | Headline) -> bool:
        """Whether an item was written lately."""
        return item in self._known

    def items(self) -> list[Bar | Headline]:
        """All of them."""
        return [item for _, item in self._kept]

    def newest_bars(self) -> list[Bar]:
        """The newest bar of each symbol."""
        newest = {item.symbol: item for item in self.items() if isinstance(item, Bar)}
        return list(newest.values())
