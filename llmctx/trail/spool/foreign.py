"""Foreign entries: entries of a log that no writer of this instance appended.

They are removed by rebuilding the log without them; an incident takes the place of each and keeps its bytes.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection.streams import StreamEntry
from llmctx.functions import Argument, ServerFunction
from llmctx.killpoint import reached
from llmctx.trail.log.appended import remember
from llmctx.trail.log.lease import GROUPS, HELD, redis_errors
from llmctx.trail.log.log import Draft, Log
from llmctx.trail.log.packing import pack, textual
from llmctx.trail.proof.merkle import leaf_hash

MAX_SHOWN = 100
"""How many foreign entries an incident keeps; it counts all of them."""
MAX_VALUE_BYTES = 16 * 1024
"""How much an incident keeps of each value; it has the SHA-256 of the whole."""

_COPIED_AT_ONCE = 1000
_REBUILD = ServerFunction(Path(__file__).with_name("rebuild.lua"), after=[HELD, GROUPS])


class Foreign(NamedTuple):
    """An entry that does not belong in the log."""

    entry: StreamEntry
    """The entry."""
    why: str
    """Why it is not one of ours."""
    original: int | None = None
    """The index of the same record, or of the one that settled its tick; None if there is none."""
    ticks: Sequence[str] = ()
    """The ticks that it claims to settle."""
    said: Sequence[str] = ()
    """The id that it claims to have, as statements about a decision do."""
    symbol: str = ""
    """The symbol that it claims to be about."""


Compose = Callable[[str, bytes, int], Awaitable[Draft]]
"""Composes the incident about foreign entries from a message, their evidence, and their number."""


class Placed(NamedTuple):
    """A record to be inserted into a log at an index."""

    at: int
    """The index."""
    packed: bytes
    """The exact value of its log entry."""
    proof: bytes
    """Its proof; empty if it has none."""
    leaf_hash: bytes
    """Its leaf hash."""


def evidence_of(found: Sequence[Foreign]) -> bytes:
    """The bytes of foreign entries as a piece of evidence: canonical JSON, with long values cut."""
    return canonical.dumps([_described(foreign) for foreign in found[:MAX_SHOWN]])


def _described(foreign: Foreign) -> dict[str, object]:
    fields = [
        {
            "name": textual(name[:MAX_VALUE_BYTES]),
            "value": textual(value[:MAX_VALUE_BYTES]),
            "size": len(value),
            "sha256": canonical.sha256(value),
        }
        for name, value in list(foreign.entry.fields.items())[:MAX_SHOWN]
    ]
    return {"id": foreign.entry.id, "why": foreign.why, "fields": fields}


async def incidents_for(log: Log, found: Sequence[Foreign], holes: Sequence[int], compose: Compose) -> list[Placed]:
    """The incidents that fill the indices `holes`, each with the foreign entries found there.

    Entries at no particular index are in the first one.
    """
    placed = []
    for hole in holes:
        here = [each for each in found if _place(each.entry, holes) == hole]
        said = ", ".join(dict.fromkeys(each.why for each in here)) or "nothing stood there"
        reason = (
            f"index {hole} was taken by {len(here)} foreign entries, which no writer signed or which stood elsewhere"
        )
        draft = await compose(f"{reason}: {said}", evidence_of(here), len(here))
        hashed = leaf_hash(draft.leaf)
        remember(log.partition, hole, hashed)
        placed.append(Placed(hole, pack(draft.leaf, draft.pieces), log.prove(draft.leaf), hashed))
    return placed


def _place(entry: StreamEntry, holes: Sequence[int]) -> int:
    return entry.number if entry.number in holes else holes[0]


async def take_out_of_indices(redis: Redis, log: Log, foreign: Foreign) -> None:
    """Remove a foreign entry from the maps and its symbol's list; entries of another record then point to that one.

    This comes before the rebuild: if it is interrupted, the entry is still there and is found again.
    """
    index = str(foreign.entry.number)
    claimed = [(log.key("ticks"), each) for each in foreign.ticks]
    claimed += [(log.key("effects"), each) for each in foreign.said]
    with redis_errors("A foreign entry could not be taken out of the indices"):
        mapped = [await redis.hget(name, each) for name, each in claimed]
        async with redis.pipeline(transaction=True) as both:
            for (name, each), at in zip(claimed, mapped, strict=True):
                if at == index.encode() and foreign.original is None:
                    both.hdel(name, each)
                elif at == index.encode():
                    both.hset(name, each, str(foreign.original))
            if foreign.symbol:
                both.lrem(
                    log.key(f"symbol:{foreign.symbol}"), -1, index
                )  # the last one, because an older one may be a record's own
            await both.execute()


async def rebuild(
    redis: Redis, log: Log, owner: str, start: int, seen: str, keep: Sequence[int], put: Sequence[Placed]
) -> None:
    """Rebuild a log: everything below `start`, of what was `seen` from there on only `keep`, and `put`.

    The log is copied in parts and replaced at once, so a kill in between changes nothing.

    Raises TrailError if the server does not answer or the lease is lost.
    """
    tail: list[Argument] = [len(keep), *keep]
    for placed in sorted(put):
        tail += [placed.at, placed.packed, placed.proof]
    keys = [log.key("lease"), log.key("log"), log.key("log:copy")]
    cursor, is_tail = "", start == 0
    while True:
        with redis_errors(f"The log of partition {log.partition} could not be rebuilt"):
            last = "+" if is_tail else f"({start}-0"
            call: list[Argument] = [owner, start, seen, cursor, last, _COPIED_AT_ONCE, *(tail if is_tail else [0])]
            cursor, is_whole = await _REBUILD(redis, keys, call)
        reached("copied")
        if is_whole and is_tail:
            return
        is_tail = is_tail or bool(is_whole)
