"""Which archived records stay readable in Redis, because what goes on there still names them."""

import contextlib
from collections.abc import Iterable

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection.streams import read_stream_back
from llmctx.errors import AddressError
from llmctx.publication import thesis_of
from llmctx.schema import keys
from llmctx.symbols.held import held_symbols
from llmctx.trail.log.entry import Entry, parse_address
from llmctx.trail.log.lease import redis_errors
from llmctx.trail.log.log import Log

MAX_RECORDS_READ = 200
"""How far back a symbol's records are searched for its thesis, as the owner does."""


async def records_that_stay(redis: Redis, log: Log, partitions: int, end: int) -> set[int]:
    """The indices below `end` that a live position's thesis or opening names, or that is published as the latest.

    Raises TrailError if the server does not answer.
    """
    found: set[int] = set()
    with redis_errors():
        async for symbol in held_symbols(redis, log, partitions):
            found |= await _of_position(log, symbol, partitions)
        newest = await read_stream_back(redis, keys.decisions(log.partition), count=1)
        found |= {entry.number for entry in newest}
        async for name in redis.scan_iter(match=f"{keys.latest(log.partition, '')}*", count=1000):
            text = await redis.get(name)
            found |= _named([_address(text)], log.partition, partitions)
    return {index for index in found if 0 <= index < end}


async def _of_position(log: Log, symbol: str, partitions: int) -> set[int]:
    """What the next decision on a symbol reads: its newest record, what that knew, and the thesis."""
    found: set[int] = set()
    has_snapshot, read = False, 0
    async for entry in log.read_back_of(symbol):
        if entry.record.get("symbol") != symbol:
            continue
        read, is_thesis = read + 1, _is_thesis(entry, partitions)
        if read == 1 or (not has_snapshot and "snapshot" in entry.pieces):
            found.add(entry.index)
            names = ("opening",) if is_thesis else ("opening", "thesis")  # a thesis stands for those before it
            found |= _named(_addresses(entry, names), log.partition, partitions)
        has_snapshot = has_snapshot or ("tick" in entry.record and "snapshot" in entry.pieces)
        if is_thesis:
            return found | {entry.index}
        if read == MAX_RECORDS_READ:
            break
    return found


def _is_thesis(entry: Entry, partitions: int) -> bool:
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
        return thesis_of(entry, partitions) is not None
    return False


def _addresses(entry: Entry, names: tuple[str, ...]) -> list[str]:
    """The addresses of earlier records that a record's snapshot has under these names."""
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        snapshot = canonical.loads(entry.pieces.get("snapshot", b"{}"))
        named = [snapshot.get(name) for name in names]
        return [str(each["address"]) for each in named if isinstance(each, dict) and "address" in each]
    return []


def _address(text: bytes | str | None) -> str:
    """The address in a published decision; empty if it has none."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(canonical.loads(text)["address"]) if isinstance(text, bytes) else ""
    return ""


def _named(addresses: Iterable[str], partition: int, partitions: int) -> set[int]:
    """The indices of those addresses that are of this partition."""
    found = set()
    for text in addresses:
        with contextlib.suppress(AddressError):
            of, index = parse_address(text, partitions)
            found |= {index} if of == partition else set()
    return found
