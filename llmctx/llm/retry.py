"""When to repeat a call, and after how long. Tenacity owns the waits and is used only after a first failure."""

from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from llmctx import clock
from llmctx.limits import MAX_ATTEMPTS
from llmctx.llm.reported import read_error, retry_delay_s
from llmctx.llm.transport import NoReply, Reply

_BACKOFF = wait_random_exponential(multiplier=0.25, max=8)
MAX_NO_REPLIES = 3
"""Consecutive attempts without any reply after which an endpoint is given up for this tick."""
MAX_HASTY = 6
"""How many waits shorter than ours an endpoint may ask for; one that always asks for 0 s would be flooded."""
_TRANSIENT = {408, 409, 429}
_SERVER_ERROR = 500


def is_transient(reply: Reply | NoReply) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(reply, NoReply):
        return reply.result != "limited"
    if reply.status in _TRANSIENT or reply.status >= _SERVER_ERROR:
        error = read_error(reply.body)
        return error is None or "insufficient_quota" not in error.code
    return False


async def retry(
    first: Reply | NoReply,
    attempt: Callable[[], Awaitable[Reply | NoReply]],
    *,
    max_attempts: int | None,
    remaining_s: float,
) -> Reply | NoReply:
    """Repeat a failed first attempt until one succeeds or nothing more helps; return the last reply.

    `max_attempts` counts the first one; None sets no limit for an endpoint that replies, as a server does that loads
    its model. No wait begins that would end after `remaining_s`.
    """
    earlier = [first]
    limit = _NoReplies() if max_attempts is None else stop_after_attempt(max_attempts)

    async def first_or_next() -> Reply | NoReply:
        return earlier.pop() if earlier else await attempt()

    retrying = AsyncRetrying(
        stop=stop_any(limit, stop_after_attempt(MAX_ATTEMPTS), stop_before_delay(remaining_s)),
        wait=_wait,
        retry=retry_if_result(is_transient),
        retry_error_callback=_last_reply,
    )
    reply: Reply | NoReply = await retrying(first_or_next)
    return reply


class _NoReplies(stop_base):
    """Stops after so many consecutive attempts without any reply: nobody is listening, and the guardrails wait."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def __call__(self, retry_state: RetryCallState) -> bool:
        self._in_a_row = self._in_a_row + 1 if isinstance(_last_reply(retry_state), NoReply) else 0
        return self._in_a_row >= MAX_NO_REPLIES


def _last_reply(state: RetryCallState) -> Reply | NoReply:
    assert state.outcome is not None
    reply: Reply | NoReply = state.outcome.result()
    return reply


def _wait(state: RetryCallState) -> float:
    """Return the seconds until the next attempt: as requested by the endpoint, otherwise exponential with jitter."""
    reply, backoff_s = _last_reply(state), _BACKOFF(state)
    wait_s = None
    if isinstance(reply, Reply):
        wait_s = retry_after_s(reply.headers)
        wait_s = retry_delay_s(reply.body) if wait_s is None else wait_s
    if wait_s is None:
        return backoff_s
    return wait_s if state.attempt_number <= MAX_HASTY else max(wait_s, backoff_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that retry-after-ms or retry-after (seconds or an HTTP date) requests; None if unreadable."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        if "retry-after" in headers:
            text = headers["retry-after"]
            if text[:1].isdigit():
                return float(text)
            return max(0.0, (clock.to_ms(parsedate_to_datetime(text)) - clock.now_ms()) / 1000)
    except (ValueError, TypeError, OverflowError):  # OverflowError: the year 99999999999
        return None
    return None
