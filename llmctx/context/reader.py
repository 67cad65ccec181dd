"""Read snapshots from Redis: one round trip, one instant."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.context.marks import read_bar
from llmctx.context.portfolio import portfolio_places, portfolio_section
from llmctx.context.read_rules import ReadRules
from llmctx.context.snapshot import Known, RawSection, Snapshot, as_of
from llmctx.errors import SnapshotError
from llmctx.functions import ServerFunction
from llmctx.limits import MAX_PACKAGE_BYTES, MAX_REASON_CHARS, MAX_VALUE_BYTES, cut
from llmctx.schema.keys import TIMEFRAMES, bars, halts_of, optional_sections
from llmctx.schema.mapping.document import hash_as_json
from llmctx.schema.mapping.sections import FIELD, STRING, Place, Sections
from llmctx.schema.symbol import market_of

NOTHING_KNOWN = Known()

_JOIN = ServerFunction(Path(__file__).with_name("join.lua"), read_only=True)


async def read_snapshot(
    redis: Redis, symbol: str, partition: int, rules: ReadRules, known: Known = NOTHING_KNOWN
) -> Snapshot:
    """Read every section of a symbol at one instant, with the server's time.

    `known` is what the trail says of the symbol. It is not read here: anybody who may write to Redis could forge it.
    A missing key, a key of another type and a value over the size cap are reported by their sections, not raised.

    Raises SnapshotError if the server does not answer.
    Source: valkey.io, functions: one call runs alone, so no write happens between its reads.
    """
    keys, how = dict(rules.keys(symbol, partition)), _kinds_of(rules, symbol, partition)
    thesis_key = keys.pop("thesis")
    in_doubt = known.marks is not None and known.marks.doubted is not None
    extra_key = [bars(market_of(symbol))] if in_doubt else []  # a later bar may confirm the price
    portfolio = {} if rules.portfolio is None else portfolio_places(symbol, rules.portfolio, rules)
    further = [*portfolio.values(), *([Place(TIMEFRAMES.key(symbol))] if rules.timeframes else [])]
    halting = halts_of(symbol)
    kinds = _with_further(how, [*further, *map(Place, halting)])
    args = [rules.max_value_bytes, MAX_PACKAGE_BYTES, *([1] if in_doubt else [""] if kinds else []), *kinds]
    try:
        seconds, micros, *values = await _JOIN(
            redis, [*(how.keys or keys.values()), *(place.key for place in further), *halting, *extra_key], args
        )
    except RedisError as error:
        raise SnapshotError(
            f"The keys of {symbol} could not be read: {error}",
            "See that Redis (>= 7.0) or Valkey (>= 7.2) answers: `llmctx status`.",
        ) from error
    found = values.pop() if in_doubt else None
    newest = None if found is None else read_bar(*found)
    values, halts = values[: -len(halting)], dict(zip(halting, values[-len(halting) :], strict=True))
    server_ms = int(seconds) * 1000 + int(micros) // 1000
    sections = {name: _raw_section(key, value) for (name, key), value in zip(keys.items(), values, strict=False)}
    as_of_ms, clock = as_of(sections["system"].raw, server_ms, rules.clock)
    thesis = known.thesis
    if thesis is not None and thesis.as_of_ms > as_of_ms + (rules.skew_ms if clock == "server" else 0):
        thesis = None  # data of an earlier day is fed again: later decisions must not show in it
    sections["thesis"] = RawSection(thesis_key, None if thesis is None else thesis.text)
    if rules.portfolio is not None:
        found_positions = {
            other: _raw_section(str(place), value)
            for (other, place), value in zip(portfolio.items(), values[len(keys) :], strict=False)
        }
        own = {symbol: sections["position"]} if rules.portfolio else {}
        sections["portfolio"] = portfolio_section(own | found_positions, joined=bool(rules.portfolio))
    if rules.timeframes:
        sections["timeframes"] = _raw_section(TIMEFRAMES.key(symbol), values[-1])
    if rules.memory != "off":
        sections["memory"] = RawSection(optional_sections(symbol, partition)["memory"], known.memory)
    return Snapshot.model_construct(
        symbol=symbol,
        partition=partition,
        server_ms=server_ms,
        as_of_ms=as_of_ms,
        clock=clock,
        rules=rules,
        sections=sections,
        marks=known.marks,
        bar=newest,
        ledger=known.ledger,
        halts={key: _said(value) for key, value in halts.items() if value is not None},
        thesis=None if thesis is None else thesis.record,
        remembered=None if rules.memory == "off" else known.remembered,
    )


async def read_raw(redis: Redis, keys: Sequence[str], kind: str = STRING) -> list[RawSection]:
    """The values of some keys, read as `kind` says, each within the size that a section may have.

    Raises redis.exceptions.RedisError if the server does not answer.
    """
    limits = [MAX_VALUE_BYTES, MAX_VALUE_BYTES * len(keys)]
    _, _, *values = await _JOIN(redis, keys, [*limits, "", kind * len(keys)])
    return [_raw_section(key, value) for key, value in zip(keys, values, strict=True)]


def _said(value: object) -> str:
    """The value of a halt key; any value halts."""
    text = value if isinstance(value, bytes) else value[0] if isinstance(value, list) else b""
    return cut(text.decode(errors="replace"), MAX_REASON_CHARS)


class _Kinds(NamedTuple):
    """How the keys of a package are read, if not all are strings with the schema's names."""

    keys: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


_STRINGS = _Kinds()


def _kinds_of(rules: ReadRules, symbol: str, partition: int) -> _Kinds:
    return _STRINGS if rules.sections is None else _kinds(rules.sections, symbol, rules.signal_types, partition)


@lru_cache(maxsize=4096)
def _kinds(sections: Sections, symbol: str, signal_types: tuple[str, ...], partition: int) -> _Kinds:
    places = list(sections.places(symbol, signal_types, partition).values())[:-1]  # the thesis is not read
    kinds = "".join(place.kind for place in places)
    fields = tuple(place.field for place in places if place.kind == FIELD)
    return _Kinds(tuple(place.key for place in places), (kinds, *fields) if set(kinds) != {STRING} else ())


def _with_further(how: _Kinds, further: Sequence[Place]) -> list[str]:
    """How the keys are read, with extra ones behind them; empty if all are strings."""
    if not how.args and all(place.kind == STRING for place in further):
        return []
    kinds, *fields = how.args or (STRING * len(how.keys),)
    return [
        "".join([kinds, *(place.kind for place in further)]),
        *fields,
        *(place.field for place in further if place.kind == FIELD),
    ]


def _raw_section(key: str, value: Any) -> RawSection:
    """The result of reading a section: a text, None, [why it cannot be read], or ["", name, value, ...] for a hash."""
    if value is None or isinstance(value, bytes):
        return RawSection(key, value)
    first, *pairs = value
    if first:
        return RawSection(key, unread=first.decode())
    try:
        return RawSection(key, hash_as_json(zip(pairs[::2], pairs[1::2], strict=True)))
    except UnicodeDecodeError:
        return RawSection(key, unread="has a field whose name is not UTF-8")
