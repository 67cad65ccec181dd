"""The outcome of decisions: whether each was right, and what following it earned, once the bars reach that far."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx import clock
from llmctx.connection.streams import read_stream
from llmctx.console.subject import Subject
from llmctx.replay.corpus import Place
from llmctx.replay.outcome import PastDecision, outcome_of
from llmctx.replay.price_series import Candle, PriceSeries
from llmctx.schema import keys

HORIZON = "15"
"""After how many minutes a decision is judged."""
_BAR_MS = 60_000
_FRESH_MS = 15_000
_MAX_KEPT = 20_000
_FIELDS = ("open", "high", "low", "close")


class Judgement(NamedTuple):
    """The outcome of a decision."""

    right: bool | None
    """Whether it earned more than its opposite: doing nothing, or closing in case of a hold; None if both the same."""
    gain: Decimal
    """What following it earned over leaving the position unchanged."""


class Judgements:
    """The judgements of a subject's decisions; each is made once, when the bars in the server reach its horizon."""

    def __init__(self, subject: Subject) -> None:
        self._live = subject.live
        self._made: dict[Place, Judgement] = {}
        self._series: dict[str, PriceSeries] = {}
        self._read_ms = 0

    async def of(self, decisions: Iterable[PastDecision]) -> Mapping[Place, Judgement]:
        """The judgement of each decision that can be judged, by its place; none if the trail is a copy.

        Raises RedisError if the server does not answer.
        """
        found, open_ones = {}, []
        for decision in decisions:
            if decision.place in self._made:
                found[decision.place] = self._made[decision.place]
            else:
                open_ones.append(decision)
        if self._live is None or not open_ones:
            return found
        await self._read(self._live.redis, {decision.symbol for decision in open_ones})
        for decision in open_ones:
            outcome = outcome_of(decision, self._series, {})
            if HORIZON in outcome.results:
                found[decision.place] = Judgement(outcome.right(HORIZON), outcome.results[HORIZON].gain)
        self._made = {**self._made, **found} if len(self._made) < _MAX_KEPT else dict(found)
        return found

    async def _read(self, redis: Redis, symbols: set[str]) -> None:
        now_ms = clock.now_ms()
        if now_ms - self._read_ms >= _FRESH_MS:
            self._series.clear()
            self._read_ms = now_ms
        for symbol in symbols - self._series.keys():
            self._series[symbol] = await read_series(redis, symbol)


async def read_series(redis: Redis, symbol: str) -> PriceSeries:
    """The bars of a symbol in the server; malformed ones are left out.

    Raises RedisError if the server does not answer.
    """
    candles = []
    for entry in await read_stream(redis, keys.bars(symbol)):
        try:
            candles.append(Candle(entry.number, *(Decimal(entry.fields[name.encode()].decode()) for name in _FIELDS)))
        except (KeyError, ValueError, InvalidOperation):
            continue
    return PriceSeries(candles, _BAR_MS)
