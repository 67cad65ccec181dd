"""Count the steps of checking an answer. They are not timed, so that a replay stops where the live run did."""

from llmctx.errors import JudgingError
from llmctx.limits import MAX_JUDGING_STEPS


class Steps:
    """Counts the steps of one check."""

    def __init__(self, limit: int = MAX_JUDGING_STEPS) -> None:
        self._limit = limit
        self.taken = 0
        """The steps so far."""

    def take(self, steps: int) -> None:
        """Count some steps before they are taken.

        Raises JudgingError beyond the limit; it becomes the guardrail judging_failed, and the position is held.
        """
        self.taken += steps
        if self.taken > self._limit:
            raise JudgingError(self._limit)
