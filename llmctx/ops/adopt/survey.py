"""Survey a keyspace: its keys by pattern, with samples. It only reads, and stays within its limits."""

import re
from collections import defaultdict
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import canonical
from llmctx.errors import ServerError
from llmctx.schema import keys
from llmctx.schema.mapping.document import hash_as_json
from llmctx.schema.mapping.sections import FIELD, HASH, STRING
from llmctx.schema.symbol import is_symbol
from llmctx.trail.log.instance import INSTANCE_KEY

MAX_SAMPLES = 3
_MAX_VALUE_BYTES = 256 * 1024
_MAX_FIELDS = 500
_UPPER = re.compile(r"(?=.*[A-Z])[A-Z0-9][A-Z0-9.\-/=^&]{0,19}\Z", re.ASCII)
_LOWER = re.compile(r"(?=.*[a-z])[a-z0-9][a-z0-9.\-]{1,14}\Z", re.ASCII)
_PAIR = re.compile(r"(?<![A-Za-z0-9])[A-Z0-9]{1,15}/[A-Z0-9]{2,10}(?::[A-Z0-9]{2,10})?(?![A-Za-z0-9])", re.ASCII)
"""A pair as ccxt writes it, BTC/USDT or BTC/USDT:USDT: its slash and colon do not split the key."""
_WITH_EXCHANGE = re.compile(r"(?:(?<=[/|])|^)[A-Z]{2,8}:[A-Z0-9.&-]{1,20}(?=[/|]|$)", re.ASCII)
"""A symbol after its exchange, NSE:INFY, in a key whose other parts have another separator."""
_SPLIT = re.compile(r"([:|/]+)")
_MIN_LOWER = 3
"""This many keys must differ in one lower-case part alone before that counts as a symbol."""
_PRIVATE = tuple(
    key.partition(":")[0] + ":" for key in (INSTANCE_KEY, keys.ticks(0), keys.decisions(0), keys.UPDATES, keys.WORKERS)
)
"""The keys that llmctx itself writes."""


class Group(NamedTuple):
    """Keys of one pattern."""

    pattern: str
    """The key, with {symbol} or {symbol_lower} if each symbol has one."""
    kind: str
    """How it is read: STRING, HASH or FIELD."""
    symbols: tuple[str, ...]
    """The symbols seen; empty if the key is one for all."""
    samples: tuple[Any, ...]
    """The documents of the first of them."""


class Survey(NamedTuple):
    """The content of a keyspace."""

    keys: int
    """How many keys were looked at."""
    complete: bool
    """Whether these are all."""
    groups: tuple[Group, ...]
    """The keys that can be read, by pattern."""
    passed_over: dict[str, int]
    """How many keys of each other type there are."""


async def survey(redis: Redis, max_keys: int) -> Survey:
    """Look at up to `max_keys` keys of a server.

    Raises ServerError if it does not answer.
    """
    try:
        names, complete = await _names(redis, max_keys)
        groups, passed_over = [], defaultdict[str, int](int)
        for pattern, symbols in sorted(_patterns(names).items()):
            group = await _group(redis, pattern, symbols)
            if isinstance(group, Group):
                groups.append(group)
            else:
                passed_over[group] += max(1, len(symbols))
    except RedisError as error:
        raise ServerError(
            f"The keys could not be read: {error}", "See that the server answers, and who may SCAN."
        ) from error
    return Survey(len(names), complete, tuple(groups), dict(passed_over))


async def _names(redis: Redis, max_keys: int) -> tuple[list[str], bool]:
    found: set[str] = set()
    cursor = 0
    while True:
        cursor, page = await redis.scan(cursor, count=1000)
        names = [key.decode(errors="replace") for key in cast("list[bytes]", page)]
        found |= {name for name in names if not name.startswith(_PRIVATE)}
        if cursor == 0 or len(found) >= max_keys:
            return sorted(found)[:max_keys], cursor == 0


def _patterns(names: list[str]) -> dict[str, list[str]]:
    """The patterns of keys, each with its symbols in order; a key that fits none is its own pattern."""
    lower: defaultdict[str, list[str]] = defaultdict(list)
    upper: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        for placeholder, symbol, pattern in _readings(name):
            (upper if placeholder == "{symbol}" else lower)[pattern].append(symbol)
    found: dict[str, list[str]] = {}
    for name in names:
        readings = [
            reading for reading in _readings(name) if reading[0] == "{symbol}" or len(lower[reading[2]]) >= _MIN_LOWER
        ]
        best = max(readings, key=lambda one: (one[0] == "{symbol}", len(upper[one[2]] or lower[one[2]])), default=None)
        if best is None:
            found.setdefault(name, [])
        else:
            found.setdefault(best[2], []).append(best[1])
    return found


def _readings(name: str) -> list[tuple[str, str, str]]:
    """Each way to see a symbol in a key: placeholder, symbol, and the pattern that follows."""
    whole = _PAIR.search(name) or (_WITH_EXCHANGE.search(name) if re.search("[/|]", name) else None)
    if whole is not None and is_symbol(whole[0]):
        return [("{symbol}", whole[0], f"{name[: whole.start()]}{{symbol}}{name[whole.end() :]}")]
    parts = _SPLIT.split(name)
    found = []
    for i in range(0, len(parts), 2):
        if len(parts) == 1 or not is_symbol(parts[i]):
            continue
        placeholder = "{symbol}" if _UPPER.match(parts[i]) else "{symbol_lower}" if _LOWER.match(parts[i]) else None
        if placeholder is not None:
            symbol = parts[i].upper() if placeholder == "{symbol_lower}" else parts[i]
            found.append((placeholder, symbol, "".join([*parts[:i], placeholder, *parts[i + 1 :]])))
    return found


async def _group(redis: Redis, pattern: str, symbols: list[str]) -> Group | str:
    """The group of a pattern with its samples; the type of its keys if they cannot be read."""
    names = [key_of(pattern, symbol) for symbol in symbols[:MAX_SAMPLES]] or [pattern]
    kind = cast("bytes", await redis.type(names[0])).decode()
    if kind == "string":
        raws = [
            cast("bytes | None", await redis.get(key)) for key in names if await redis.strlen(key) <= _MAX_VALUE_BYTES
        ]
        documents = [document for raw in raws if (document := _document(raw)) is not None]
        return Group(pattern, STRING, tuple(symbols), tuple(documents)) if documents else "string without JSON"
    if kind != "hash" or await redis.hlen(names[0]) > _MAX_FIELDS:
        return kind
    hashes = [cast("dict[bytes, bytes]", await cast("Any", redis).hgetall(key)) for key in names]
    fields = {name.decode(errors="replace"): value for name, value in hashes[0].items()}
    if not symbols and fields and all(_UPPER.match(name) for name in fields):
        documents = [_document(value) for value in list(fields.values())[:MAX_SAMPLES]]
        if all(isinstance(document, dict) for document in documents):
            return Group(pattern, FIELD, tuple(fields), tuple(documents))
    return Group(pattern, HASH, tuple(symbols), tuple(canonical.loads(hash_as_json(each.items())) for each in hashes))


def key_of(pattern: str, symbol: str) -> str:
    """The key of a symbol."""
    return pattern.replace("{symbol}", symbol).replace("{symbol_lower}", symbol.lower())


def _document(raw: bytes | None) -> Any:
    try:
        document = None if raw is None else canonical.loads_lenient(raw)
    except ValueError:
        return None
    return document if isinstance(document, dict | list) else None
