"""Limits of requests and tokens per minute, shared by all workers on one server.

A request reserves its place, and as many tokens as it may use, in the first second that has room within every minute;
it waits for that second if its deadline allows. The unused part is given back with the next reservation, so there is
one round trip per request. The server's clock decides.
"""

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.errors import ServerError
from llmctx.functions import ServerFunction

_log = logging.getLogger(__name__)
_RESERVE = ServerFunction(Path(__file__).with_name("rate_limit.lua"))
_MAX_CORRECTIONS = 200


class Reservation(NamedTuple):
    """A request's place."""

    wait_s: float
    """Seconds until its turn."""
    second: int
    """The second of the server's time in which it counts; 0 if it counts nowhere."""
    tokens: int
    """The tokens that it reserves."""


class RateLimit:
    """The limits of one endpoint."""

    def __init__(self, key: str, requests: int | None = None, tokens: int | None = None) -> None:
        """`requests` and `tokens` are per minute; None sets no limit. `key` is where the server keeps them."""
        self._key = key
        self._requests = requests
        self._tokens = tokens
        self._corrections: list[int] = []
        self._redis: Redis | None = None

    def share(self, redis: Redis) -> None:
        """Share the limits with all other workers on this server. Before this call nothing is limited."""
        self._redis = redis

    async def reserve(self, tokens: int, within_s: float) -> Reservation | str:
        """Reserve a place for a request of so many tokens; returns why there is none within `within_s`.

        If the server does not answer, the request goes out unlimited.
        """
        if self._redis is None:
            return Reservation(0.0, 0, 0)
        corrections, self._corrections = self._corrections, []
        arguments = [self._requests or 0, self._tokens or 0, tokens, int(within_s * 1000), *corrections]
        # A command that is cancelled half-way would leave its reply on the connection.
        answer = await asyncio.shield(self._ask_server(self._redis, arguments))
        if answer is None:
            return Reservation(0.0, 0, 0)
        wait_ms, second = answer
        if second == 0:
            wait_s = wait_ms / 1000
            return f"the limit of {self} would mean a wait of {wait_s:.1f} s, and {max(0.0, within_s):.1f} s are left"
        return Reservation(wait_ms / 1000, second, tokens)

    async def _ask_server(self, redis: Redis, arguments: list[int]) -> tuple[int, int] | None:
        """The wait in milliseconds and the second reserved, 0 if none is; None if the server does not answer."""
        try:
            wait_ms, second = await _RESERVE(redis, [self._key], arguments)
        except (RedisError, ServerError, OSError) as error:
            _log.warning(f"The limits of a minute cannot be kept: {error}")
            return None
        return wait_ms, second

    def settle(self, reservation: Reservation, used: int) -> None:
        """Correct a reservation to the tokens that were used."""
        if reservation.second and used != reservation.tokens:
            self._corrections += (reservation.second, used - reservation.tokens)
            del self._corrections[: -2 * _MAX_CORRECTIONS]

    def __str__(self) -> str:
        limits = ((self._requests, "requests"), (self._tokens, "tokens"))
        return " and ".join(f"{limit} {name}" for limit, name in limits if limit is not None) + " a minute"
