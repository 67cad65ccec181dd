"""A circuit breaker: an endpoint that fails again and again is skipped for a while.

Closed, it lets every call pass. After so many failures in a row it is open and lets none pass. After a pause it is
half-open: one call passes as a trial, whose success closes it and whose failure opens it again. Its state belongs to
one process.
"""

from llmctx import clock

MAX_FAILURES = 5
"""Failures in a row after which a breaker opens, by default."""
OPEN_S = 30.0
"""Seconds for which it then stays open, by default."""


class Breaker:
    """The breaker of one endpoint."""

    def __init__(self, max_failures: int = MAX_FAILURES, open_s: float = OPEN_S) -> None:
        self._max_failures = max_failures
        self._open_s = open_s
        self._failures = 0
        self._until_s = 0.0
        self._trial = False

    @property
    def is_closed(self) -> bool:
        """Whether every call passes; once open, it is closed by the next call that succeeds."""
        return self._failures < self._max_failures

    @property
    def is_open(self) -> bool:
        """Whether no call may pass now."""
        return not self.is_closed and (self._trial or clock.monotonic_s() < self._until_s)

    def refuse(self) -> str | None:
        """Why no call may pass now; None lets one pass, which ends in `succeed`, `fail` or `release`."""
        if self.is_closed:
            return None
        failed = f"circuit breaker open after {self._failures} failures in a row"
        if (left_s := self._until_s - clock.monotonic_s()) > 0:
            return f"{failed}, for another {left_s:.1f} s"
        if self._trial:
            return f"{failed}, and a trial is under way"
        self._trial = True
        return None

    def succeed(self) -> bool:
        """Count a call that the endpoint answered; return whether that closed it."""
        was_open = not self.is_closed
        self._failures, self._trial = 0, False
        return was_open

    def fail(self) -> bool:
        """Count a call that it did not answer; return whether that was the one that opened it."""
        self._failures += 1
        self._trial = False
        self._until_s = clock.monotonic_s() + self._open_s
        return self._failures == self._max_failures

    def release(self) -> None:
        """Count nothing: the call says nothing about the endpoint."""
        self._trial = False
