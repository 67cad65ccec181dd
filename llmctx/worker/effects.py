"""What the execution side says became of decisions: read from `effects:{p}`, recorded once each by its id.

Rules of order: an entry is acknowledged in the same server function that appends its record, or once a record with its
id is found. So a kill at any step loses nothing, and a repeated report changes nothing. Effects of one symbol are
recorded in the order in which they were reported.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

from pydantic import ValidationError

from llmctx import canonical
from llmctx.connection.streams import StreamEntry
from llmctx.errors import AddressError, SettledError, in_short
from llmctx.killpoint import reached
from llmctx.limits import MAX_DETAIL_CHARS, MAX_EFFECT_BYTES, MAX_ERROR_CHARS, cut
from llmctx.schema import keys
from llmctx.schema.symbol import is_symbol
from llmctx.schema.values import Effect
from llmctx.schema.values.effect import UNDONE
from llmctx.statement import about, compose_effect, is_same_effect
from llmctx.trail.log.entry import Entry, parse_address
from llmctx.trail.log.lease import is_server_trouble
from llmctx.worker.owner import Owner
from llmctx.worker.unusable import or_pending, settle_unusable

_log = logging.getLogger(__name__)


class MalformedEffect(NamedTuple):
    """An entry that is not a valid effect."""

    field: str
    """The wrong field; `effect` if the whole entry is wrong."""
    why: str
    """What is wrong with it."""
    said: str
    """Its value, cut."""


def read_effect(fields: Mapping[bytes, bytes]) -> Effect | MalformedEffect:
    """The effect in an entry of the stream, or what is wrong with it."""
    raw = fields.get(b"effect")
    if raw is None:
        return MalformedEffect("effect", "the entry has no such field, or was trimmed", "")
    if len(raw) > MAX_EFFECT_BYTES:
        return MalformedEffect("effect", f"it has more than {MAX_EFFECT_BYTES} bytes", _shown(raw))
    try:
        effect = Effect.model_validate(canonical.loads(raw))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "effect"
        return MalformedEffect(cut(field, MAX_ERROR_CHARS), cut(first["msg"], MAX_ERROR_CHARS), _shown(raw))
    except (ValueError, RecursionError) as error:
        return MalformedEffect("effect", f"it is not JSON: {cut(str(error), MAX_ERROR_CHARS)}", _shown(raw))
    if not is_symbol(effect.symbol):
        return MalformedEffect("symbol", "it is not a symbol", _shown(raw))
    try:
        canonical.dumps([effect.id, effect.order_id, effect.reason])
    except ValueError:
        return MalformedEffect("effect", "it has a lone surrogate", _shown(raw))
    return effect


def _read(entry: StreamEntry) -> Effect | MalformedEffect:
    try:
        return read_effect(entry.fields)
    except Exception as error:  # noqa: BLE001  one effect must not keep all others, and the ticks, waiting
        return MalformedEffect("effect", in_short(error), _shown(entry.fields.get(b"effect", b"")))


def _shown(raw: bytes) -> str:
    return cut(raw[: 4 * MAX_DETAIL_CHARS].decode(errors="replace"), MAX_DETAIL_CHARS)


def _text_of(effect: Effect) -> str:
    return _shown(effect.model_dump_json().encode())


class EffectRecorder:
    """Records one partition's effects, as its owner."""

    def __init__(
        self,
        owner: Owner,
        partitions: int,
        on_entry: Callable[[Entry], None] = lambda _: None,
        release: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`on_entry` is called with each record; `release` frees the room of a tick or act that was not carried out."""
        self._release = release
        self._owner = owner
        self._partitions = partitions
        self._on_entry = on_entry
        self._key = keys.effects(owner.partition)

    async def record(self, found: list[StreamEntry]) -> None:
        """Record entries of the stream, each symbol's effects one after the other.

        Raises LeaseError if another owner has the partition now, TrailError if the server does not answer.
        """
        reached("effects_read")
        read = [(entry.id, _read(entry)) for entry in found]
        known = await self._owner.said.settled({each.id for _, each in read if isinstance(each, Effect)})
        queues: dict[str, list[tuple[str, Effect | MalformedEffect]]] = {}
        for entry_id, each in read:
            queues.setdefault(each.symbol if isinstance(each, Effect) else "", []).append((entry_id, each))
        ended = await asyncio.gather(
            *(self._record_all(each, known) for each in queues.values()), return_exceptions=True
        )
        for error in ended:
            if error is not None:
                raise error

    async def _record_all(self, queue: list[tuple[str, Effect | MalformedEffect]], known: set[str]) -> None:
        for entry_id, each in queue:
            if isinstance(each, MalformedEffect):
                await self._report(entry_id, each)
                continue
            try:
                await (self._settle_known if each.id in known else self._settle)(entry_id, each)
                known.add(each.id)
            except Exception as error:
                if is_server_trouble(error):
                    raise
                # One effect must not hold up all others.
                await self._report(entry_id, MalformedEffect("effect", in_short(error), _text_of(each)))

    async def _settle(self, entry_id: str, effect: Effect) -> None:
        named = await self._named(effect)
        if isinstance(named, MalformedEffect):
            await self._report(entry_id, named)
            return
        draft = compose_effect(effect, named, await self._owner.metadata())
        try:
            self._on_entry(await self._owner.settle(draft, (entry_id,), stream=self._key))
            if effect.address is not None and effect.status in UNDONE:  # the position shows what was filled
                await self._end(effect.symbol, effect.address)
        except SettledError:
            await self._owner.discard((entry_id,), stream=self._key)
        reached("effect_recorded")

    async def _end(self, symbol: str, address: str) -> None:
        """Stop waiting for a decision that is not carried out, and free the room that it reserved."""
        entry = await self._owner.log.entry(parse_address(address, self._partitions)[1])
        record = {} if entry is None else entry.record
        self._owner.memory.cancel(symbol, record.get("verdict", {}).get("repeat_of", address))
        if self._release is not None and (reserved_by := record.get("tick", record.get("id"))):
            await self._release(reserved_by)

    async def _settle_known(self, entry_id: str, effect: Effect) -> None:
        """Handle an id that is recorded already: do nothing, unless the effect differs."""
        index = (await self._owner.log.said([effect.id]))[0]
        entry = None if index is None else await self._owner.log.entry(index)
        named = await self._named(effect)
        if entry is not None and (isinstance(named, MalformedEffect) or not is_same_effect(entry, effect, named)):
            why = f"record {entry.index} has this id and says something else"
            await self._report(entry_id, MalformedEffect("id", why, _text_of(effect)))
        else:
            await self._owner.discard((entry_id,), stream=self._key)

    async def _named(self, effect: Effect) -> dict[str, object] | MalformedEffect | None:
        """How the record names the decision of an effect; None if there is none."""
        if effect.address is None:
            return None
        said = _text_of(effect)
        try:
            partition, index = parse_address(effect.address, self._partitions)
        except AddressError as error:
            return MalformedEffect("address", cut(error.what, MAX_ERROR_CHARS), said)
        log = self._owner.log
        entry = await log.entry(index) if partition == log.partition else None
        if partition != log.partition or (entry is None and index >= await log.first()):
            return MalformedEffect("address", "there is no such record in this partition", said)
        if entry is not None and entry.record.get("symbol") != effect.symbol:
            return MalformedEffect("address", f"record {index} is not about {effect.symbol}", said)
        return about(entry, index)

    async def _report(self, entry_id: str, found: MalformedEffect) -> None:
        """Record an entry that is not a valid effect."""
        reason = f"effect entry {entry_id}: the field {found.field} cannot be used: {found.why}"
        incident = {"what": "effect", "entry": entry_id, "field": found.field, "said": found.said}
        settle = partial(
            settle_unusable, self._owner, "incident", None, reason, entry_id, stream=self._key, incident=incident
        )
        entry = await or_pending(settle, f"Effect {entry_id} ({reason})")
        if entry is not None:
            self._on_entry(entry)
