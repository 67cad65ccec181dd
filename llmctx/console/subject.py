"""What a console shows: a trail, and its live system if there is one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis

from llmctx.context.read_rules import ReadRules
from llmctx.errors import ConsoleError
from llmctx.llm.price import Price
from llmctx.ops.doctor.subject import Places
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.people import show_people
from llmctx.trail.proof.notary_service import anchored_receipt
from llmctx.trail.source.copies import copy_source, receipt_of
from llmctx.trail.source.joined import trail_source
from llmctx.trail.source.source import Source
from llmctx.worker.home import TrailHome


class Live(NamedTuple):
    """A live system: its server, and how it is read."""

    redis: Redis
    """A client of its server."""
    url: str
    """The server's address."""
    instance: Instance
    """The instance of its trail."""
    rules: ReadRules
    """Which sections are read, and when they are stale."""
    places: Places
    """The files and folders of this host."""
    people: Mapping[str, tuple[str, ...]] = {}
    """Who may approve and override: each name with its roles; empty for everybody."""

    @property
    def home(self) -> TrailHome:
        """The trail with its folder, for writing."""
        return TrailHome(self.redis, self.url, self.instance, self.places.state_dir, people=self.people)

    def partition_of(self, symbol: str) -> int:
        """The partition of a symbol."""
        return keys.partition_of(symbol, self.instance.partitions)


class Subject(NamedTuple):
    """What a console shows."""

    name: str
    """Its name, for the head of each page."""
    source: Callable[[], Awaitable[Source]]
    """Opens the trail; raises TrailError or ArchiveError if it cannot be read."""
    receipt: Callable[[Entry], Awaitable[dict[str, Any]]]
    """Makes a record's receipt without signing anything; raises ReceiptError if no checkpoint covers the record."""
    live: Live | None = None
    """The live system; None if the trail is a copy."""
    prices: Mapping[str, Price] = {}
    """Price per million tokens by model."""
    replays: Path | None = None
    """The folder of results of replays; None without one."""

    def require_live(self) -> Live:
        """The live system.

        Raises ConsoleError if the trail is a copy.
        """
        if self.live is None:
            raise ConsoleError(f"{self.name} is a copy, without a live system.", "Ask the live console.")
        return self.live


def live_subject(
    live: Live, archive: str | None = None, prices: Mapping[str, Price] | None = None, replays: Path | None = None
) -> Subject:
    """The subject of a live system; `archive` holds the records that were trimmed from its server."""

    async def source() -> Source:
        show_people(await live.home.names.rows())
        return await trail_source(live.redis, live.instance, archive)

    async def receipt(entry: Entry) -> dict[str, Any]:
        return await asyncio.to_thread(anchored_receipt, live.instance, live.places.state_dir, entry)

    return Subject(f"instance {live.instance.id[:8]}", source, receipt, live, prices or {}, replays)


def copy_subject(where: str, prices: Mapping[str, Price] | None = None, replays: Path | None = None) -> Subject:
    """The subject of an export or an archive.

    Raises ExportError or ArchiveError if there is none, TrailError if it is malformed.
    """
    opened = copy_source(where)

    async def source() -> Source:
        return opened

    async def receipt(entry: Entry) -> dict[str, Any]:
        return await asyncio.to_thread(receipt_of, where, entry)

    return Subject(opened.name, source, receipt, None, prices or {}, replays)
