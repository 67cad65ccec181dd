"""Packages made with a proposed mapping. They are read by plain commands, because the join would load a function."""

from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx.connection import server_ms
from llmctx.context.package import Package, build_package
from llmctx.context.read_rules import DEFAULT_MAX_AGE_S, ReadRules
from llmctx.context.snapshot import RawSection, Snapshot, as_of
from llmctx.errors import ServerError
from llmctx.schema.mapping.document import hash_as_json
from llmctx.schema.mapping.sections import FIELD, HASH, Place, Sections

MAX_PACKAGES = 3


async def preview(redis: Redis, sections: Sections, symbol: str) -> Package:
    """The package of a symbol; unlike a recorded one it is not read at one instant.

    Raises ServerError if the server does not answer.
    """
    rules = ReadRules(sections=sections, max_age_s=DEFAULT_MAX_AGE_S | sections.limits_s)
    places = sections.places(symbol, rules.signal_types, 0)
    try:
        read = {name: await _read(redis, place) for name, place in places.items()}
        now_ms = await server_ms(redis)
    except RedisError as error:
        raise ServerError(f"The keys of {symbol} could not be read: {error}", "See that the server answers.") from error
    as_of_ms, clock = as_of(read["system"].raw, now_ms)
    return build_package(
        Snapshot(
            symbol=symbol, partition=0, server_ms=now_ms, as_of_ms=as_of_ms, clock=clock, rules=rules, sections=read
        )
    )


async def _read(redis: Redis, place: Place) -> RawSection:
    client = cast("Any", redis)
    try:
        if place.kind == HASH:
            found = await client.hgetall(place.key)
            return RawSection(str(place), hash_as_json(found.items()) if found else None)
        if place.kind == FIELD:
            return RawSection(str(place), await client.hget(place.key, place.field))
        return RawSection(str(place), await client.get(place.key))
    except (ResponseError, UnicodeDecodeError) as error:
        return RawSection(str(place), unread=f"cannot be read: {error}")
