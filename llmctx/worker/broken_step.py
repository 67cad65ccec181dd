"""Steps that break off with an error that nobody foresaw: each is named, and what broke it stands in one sentence."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from llmctx import clock
from llmctx.errors import BrokenStepError, LlmctxError, TrailError, in_short
from llmctx.tasks import pause
from llmctx.trail.log.lease import is_server_trouble

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
_TOLD_AGAIN_S = 60.0
DEFECT = (
    "`llmctx doctor` looks at server, trail and host. If it finds nothing, report a defect: LLMCTX_LOG_LEVEL=debug "
    "logs where it broke off."
)
"""What to do about an error that nobody foresaw."""


@contextmanager
def named_step(what: str, do: str = DEFECT) -> Iterator[None]:
    """Name the step of whatever goes wrong in the block that is no error of ours; `what` and `do` are for people.

    Raises TrailError if the server or the disk does not answer, BrokenStepError for everything else.
    """
    try:
        yield
    except LlmctxError:
        raise
    except (RedisError, OSError) as error:
        raise TrailError(
            f"{what} failed: {in_short(error)}.", "See `llmctx doctor`: server, disk and rights."
        ) from error
    except Exception as error:
        log_traceback(what, error)
        raise BrokenStepError(f"{what} broke off: {in_short(error)}.", do) from error


@contextmanager
def dispensable(what: str, instead: str) -> Iterator[None]:
    """Log what goes wrong in the block, unless the server or the disk is away, and go on: `instead` says without what.

    The stops of every position are worth more than such a step.
    """
    try:
        yield
    except Exception as error:
        if is_server_trouble(error):
            raise  # all of it is tried again
        log_traceback(what, error)
        _log.error(f"{what} broke off: {in_short(error)}. {instead}", extra={"alert": "broken", "subject": what})


async def kept_going(what: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run something that goes on until it is cancelled; if it breaks off, log that and begin it again."""
    told = ""
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001  what runs beside the ticks must not end because of one error
            log_traceback(what, error)
            if (why := in_short(error)) != told:
                told = why
                _log.error(f"{what} broke off: {why}. It is tried again", extra={"alert": "broken", "subject": what})
        else:
            return
        await pause(_RETRY_S)


class Breakdowns:
    """How often the partitions of one process broke off, one after another and without a record in between."""

    MAX_IN_A_ROW = 5
    """After so many of each of its partitions the process has served nothing, and ends."""
    _MAX_PAUSE_S = 30.0

    def __init__(self, partitions: int = 1) -> None:
        """`partitions` are as many as the process may serve."""
        self._partitions = partitions
        self._counts: dict[int, int] = {}
        self._told: dict[int, tuple[str, float]] = {}

    def settled(self, partition: int) -> None:
        """Note that a partition has a new record: what broke off before is over."""
        if self._told:
            self._counts.pop(partition, None)
            self._told.pop(partition, None)

    async def add(self, partition: int, error: BrokenStepError) -> None:
        """Log that a partition broke off, and wait before it is tried again.

        Raises the error if no partition of the process is served any more.
        """
        count = self._counts[partition] = self._counts.get(partition, 0) + 1
        broken = sum(each >= self.MAX_IN_A_ROW for each in self._counts.values())
        if broken >= self._partitions:
            raise error
        if self._is_new(partition, error):
            _log.error(
                f"Partition {partition} is not served: {error.what} It is tried again. {error.do}",
                extra={"alert": "broken", "subject": str(partition)},
            )
        await pause(min(_RETRY_S * count, self._MAX_PAUSE_S))

    def tell(self, partition: int, error: LlmctxError) -> None:
        """Log why a partition is not served while the server or the disk is away, once and then every minute."""
        if self._is_new(partition, error):
            _log.warning(f"{error.what} It is tried again. {error.do}")

    def _is_new(self, partition: int, error: LlmctxError) -> bool:
        now_s = clock.monotonic_s()
        what, told_s = self._told.get(partition, ("", 0.0))
        if error.what == what and now_s - told_s < _TOLD_AGAIN_S:
            return False
        self._told[partition] = error.what, now_s
        return True


def log_traceback(what: str, error: Exception) -> None:
    """Log where an error was raised, for whoever wants to see it (LLMCTX_LOG_LEVEL=debug)."""
    _log.debug(f"{what} broke off", exc_info=error)
