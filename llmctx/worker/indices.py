"""The maps and lists that lead to a partition's records: looked at every two seconds, and mended from the log.

Whoever can write to Redis can delete or change them. One call of the server, beside the ticks, tells whether a map has
fewer entries than it had, whether it has those of some remembered records, and whether the list of each remembered
symbol ends with its newest one. If not, the log is read, and map and lists say again what it does.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from redis.asyncio import Redis

from llmctx import clock
from llmctx.errors import TrailError, in_short
from llmctx.functions import Argument, ServerFunction
from llmctx.tasks import end
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.index import index_of
from llmctx.trail.log.lease import HELD, redis_errors
from llmctx.trail.log.log import Log
from llmctx.worker.tick_map import IdMap, TickMap

T = TypeVar("T")

_log = logging.getLogger(__name__)

_LOOK = ServerFunction(Path(__file__).with_name("look_at_indices.lua"), read_only=True)
_MEND_LIST = ServerFunction(Path(__file__).with_name("mend_list.lua"), after=[HELD])
_MAX_RECENT, _MAX_SYMBOLS = 1000, 20_000
_LOOKED_AT = 200
"""How many ticks, ids and lists one call looks at; the next one goes on with others."""
_PAGE = 200
_PAUSES = 10
"""So many times as long as the log was read, nothing is read again if it bore out what was looked at."""


class _List(NamedTuple):
    """A symbol's list, as it is known."""

    newest: int
    """The symbol's newest record."""
    length: int = 0
    """How long the list was when it was last looked at."""


class Indices:
    """The maps and lists of one partition, as its owner knows them."""

    def __init__(
        self,
        redis: Redis,
        log: Log,
        owner: str,
        is_genuine: Callable[[Entry], bool],
        ticks: TickMap,
        said: IdMap,
    ) -> None:
        """`owner` must hold the lease; without it nothing is mended. `is_genuine` tells whether a record read from the
        log is the one that was recorded there.
        """
        self._redis = redis
        self._log = log
        self._owner = owner
        self._is_genuine = is_genuine
        self._maps: tuple[TickMap, IdMap] = (ticks, said)
        self._sizes = (0, 0)
        self._first = 0
        self._symbols: OrderedDict[str, _List] = OrderedDict()
        self._turn = 0
        self._is_open = False
        self._quiet_until_s = 0.0
        self._mending: asyncio.Task[None] | None = None
        for each in self._maps:
            each.mend = self.mend

    async def open(self) -> None:
        """Remember the newest records, and look whether maps and lists have them; they are mended if not.

        Raises TrailError if the server does not answer.
        """
        recent: tuple[dict[str, int], dict[str, int]] = ({}, {})
        read = 0
        async for entry in self._log.read_back():
            for each, found in zip(self._maps, recent, strict=True):
                for name in each.ids(entry):
                    found.setdefault(name, entry.index)
            self._symbols.setdefault(_symbol_of(entry), _List(entry.index))
            read += 1
            if read == _MAX_RECENT:
                break
        self._symbols.pop("", None)
        for each, found in zip(self._maps, recent, strict=True):
            each.recent = found
        self._is_open = True
        await self.look()
        if self._mending is not None:
            await self.mend()

    def add(self, entry: Entry) -> None:
        """Remember a record that has just been settled."""
        for each in self._maps:
            each.add(entry)
        if symbol := _symbol_of(entry):
            known = self._symbols.get(symbol)
            if known is None or known.newest < entry.index:
                self._symbols[symbol] = _List(entry.index, 0 if known is None else known.length)
                if len(self._symbols) > _MAX_SYMBOLS:
                    self._symbols.popitem(last=False)

    def forget(self) -> None:
        """Forget everything, because the log has lost records; `open` goes on."""
        for each in self._maps:
            each.forget()
        self._symbols.clear()
        self._sizes, self._is_open = (0, 0), False

    async def close(self) -> None:
        """Stop mending; the next owner does it."""
        self._is_open = False
        if self._mending is not None:
            await end(self._mending)

    async def look(self) -> None:
        """Look at a part of them; if that is not what is remembered, they are mended beside the ticks.

        Raises TrailError if the server does not answer.
        """
        if not self._is_open or (self._mending is not None and not self._mending.done()):
            return
        self._note_end(self._mending)
        self._mending = None
        known = [self._part(*each.remembered) for each in self._maps]
        lists = self._part(self._symbols)
        names = [self._log.key(name) for name in ("log", "base", "ticks", "effects", *(f"symbol:{s}" for s in lists))]
        args: list[Argument] = [len(known[0]), *known[0], *known[1]]
        self._turn += 1
        with redis_errors("The maps of ticks could not be looked at"):
            first, last, *found = await _LOOK(self._redis, names, args)
        sizes, found = (int(found[0]), int(found[1])), found[2:]
        is_wrong = any(now < before for now, before in zip(sizes, self._sizes, strict=True))
        for index, mapped in zip((*known[0].values(), *known[1].values()), found, strict=False):
            is_wrong |= first <= index <= last and mapped != b"%d" % index
        found = found[len(known[0]) + len(known[1]) :]
        for symbol, length, newest in zip(lists, found[::2], found[1::2], strict=True):
            is_wrong |= self._is_wrong_list(symbol, lists[symbol], length, newest, (first, last))
        self._sizes, self._first = sizes, first
        if is_wrong and clock.monotonic_s() >= self._quiet_until_s:
            self._mending = asyncio.create_task(self._mend())

    def _is_wrong_list(
        self, symbol: str, known: _List, length: int, newest: bytes | None, extent: tuple[int, int]
    ) -> bool:
        """Whether a list is not what was known of it before it was looked at; `extent` is the log's then."""
        if symbol in self._symbols:  # a record may have come meanwhile
            self._symbols[symbol] = self._symbols[symbol]._replace(length=length)
        is_shorter = extent[0] == self._first and length < known.length
        at, is_here = index_of(newest or b""), extent[0] <= known.newest <= extent[1]
        return is_shorter or (is_here and not known.newest <= at <= extent[1])

    @staticmethod
    def _note_end(mending: "asyncio.Task[None] | None") -> None:
        """Take note of how the mending ended; what the server or another owner kept it from is done by the next one."""
        error = None if mending is None or mending.cancelled() else mending.exception()
        if error is not None and not isinstance(error, TrailError):
            _log.error(f"The maps and lists of the log could not be mended: {in_short(error)}")

    def _part(self, *known: Mapping[str, T]) -> dict[str, T]:
        """The next part of what is remembered, in turn."""
        begin = self._turn * _LOOKED_AT % max(1, sum(map(len, known)))
        return dict(islice(chain.from_iterable(each.items() for each in known), begin, begin + _LOOKED_AT))

    async def mend(self) -> None:
        """Have the maps and lists say what the log does; whoever asks meanwhile waits for the same.

        Raises TrailError if the server does not answer or another owner has the partition.
        """
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(self._mend())
        await asyncio.shield(self._mending)

    async def _mend(self) -> None:
        began_s = clock.monotonic_s()
        size, first = await self._log.size(), await self._log.first()
        put, lists, page = [0, 0], dict[str, list[int]](), list[Entry]()
        counts = [0, 0]
        async for entry in self._log.read(first, size):
            if symbol := _symbol_of(entry):
                lists.setdefault(symbol, []).append(entry.index)
            counts = [count + len(each.ids(entry)) for count, each in zip(counts, self._maps, strict=True)]
            page.append(entry)
            if len(page) == _PAGE:
                put = [put[number] + await self._put_back(each, page) for number, each in enumerate(self._maps)]
                page.clear()
        put = [put[number] + await self._put_back(each, page) for number, each in enumerate(self._maps)]
        mended = [symbol for symbol, indices in lists.items() if await self._mend_list(symbol, indices, first, size)]
        for each, count in zip(self._maps, put, strict=True):
            if count:
                what = f"lacked {count} of the ids in the log's records, or had them elsewhere"
                _tell(self._log.key(each.name), what)
        for symbol in mended[:1]:
            others = f", nor did the lists of {len(mended) - 1} other symbols" if mended[1:] else ""
            _tell(self._log.key(f"symbol:{symbol}"), f"did not have the symbol's records{others}")
        self._sizes = (counts[0], counts[1])  # at least; what somebody else had put there may be gone
        for symbol, known in self._symbols.items():
            self._symbols[symbol] = known._replace(length=len(lists.get(symbol, ())))
        if not mended and not any(put):
            now_s = clock.monotonic_s()
            self._quiet_until_s = now_s + _PAUSES * (now_s - began_s)

    async def _put_back(self, each: TickMap, entries: Sequence[Entry]) -> int:
        """Put back into a map what it has not of some records; returns how many ids."""
        genuine: dict[int, bool] = {}
        true: dict[str, int] = {}
        for entry in entries:
            true |= dict.fromkeys(each.ids(entry), entry.index)
        mapped = await each.mapped(true)
        wrong = {name: mapped.get(name, b"") for name, index in true.items() if mapped.get(name) != b"%d" % index}
        if not wrong:
            return 0
        by_index = {entry.index: entry for entry in entries}
        for name in list(wrong):
            index = true[name]
            if index not in genuine:
                genuine[index] = self._is_genuine(by_index[index])
            if not genuine[index] or (wrong[name] and await each.is_borne_out(name, wrong[name])):
                del wrong[name]
        await each.correct(wrong, {name: true[name] for name in wrong})
        return len(wrong)

    async def _mend_list(self, symbol: str, indices: list[int], first: int, size: int) -> bool:
        names = [self._log.key(name) for name in ("lease", f"symbol:{symbol}", "repairs", "log")]
        with redis_errors(f"{names[1]} could not be mended"):
            return bool(await _MEND_LIST(self._redis, names, [self._owner, first, size, *indices]))


def _symbol_of(entry: Entry) -> str:
    """The symbol in whose list a record stands; empty if it stands in none."""
    return str(entry.record.get("symbol", "")) if entry.ticks or entry.said else ""


def _tell(key: str, what: str) -> None:
    _log.error(
        f"{key} {what}; it says again what the log does. Somebody else writes to it: see who may "
        "(docs/threat-model.md), and run `llmctx verify`.",
        extra={"alert": "foreign", "subject": key},
    )
