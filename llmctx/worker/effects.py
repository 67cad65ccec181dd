"""What the execution side says became of decisions: read from `effects:{p}`, recorded once each by its id.

Rules of order: an entry is acknowledged in the same server function that appends its record, or once a record with its
id is found. So a kill at any step loses nothing, and a repeated report changes nothing. Effects of one symbol are
recorded in the order in which they were reported.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple, cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from llmctx import canonical
from llmctx.connection import pause
from llmctx.errors import AddressError, ForkError, InstanceError, LeaseError, LlmctxError, SettledError, in_short
from llmctx.killpoint import reached
from llmctx.limits import MAX_DETAIL_CHARS, MAX_EFFECT_BYTES, MAX_ERROR_CHARS, cut
from llmctx.record import compose_unread
from llmctx.schema import keys
from llmctx.schema.symbol import is_symbol
from llmctx.schema.values import Effect
from llmctx.statement import about, compose_effect, is_same_effect
from llmctx.trail.log.entry import Entry, parse_address
from llmctx.worker.memory import MemoryWatch
from llmctx.worker.owner import Owner

_log = logging.getLogger(__name__)

_CONSUMER = "owner"
_PAGE = 200
_BLOCK_MS = 2000
_PAUSE_S = 0.5


class MalformedEffect(NamedTuple):
    """An entry that is no effect."""

    field: str
    """The field that is wrong; `effect` if it is the whole."""
    why: str
    """What is wrong with it."""
    said: str
    """What stands there, cut."""


def read_effect(fields: dict[bytes, bytes] | None) -> Effect | MalformedEffect:
    """The effect in an entry of the stream, or what is wrong with it."""
    raw = (fields or {}).get(b"effect")
    if raw is None:
        return MalformedEffect("effect", "the entry has no such field, or was trimmed", "")
    if len(raw) > MAX_EFFECT_BYTES:
        return MalformedEffect("effect", f"it has {len(raw)} bytes, more than {MAX_EFFECT_BYTES}", _shown(raw))
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


def _shown(raw: bytes) -> str:
    return cut(raw[: 4 * MAX_DETAIL_CHARS].decode(errors="replace"), MAX_DETAIL_CHARS)


def _text_of(effect: Effect) -> str:
    return _shown(effect.model_dump_json().encode())


class EffectRecorder:
    """Records one partition's effects, as its owner."""

    def __init__(
        self,
        redis: Redis,
        owner: Owner,
        partitions: int,
        *,
        memory: MemoryWatch,
        on_entry: Callable[[Entry], None] = lambda _: None,
    ) -> None:
        """`redis` must not retry. Nothing is read while `memory` has no room; `on_entry` is called with each record."""
        self._redis = redis
        self._owner = owner
        self._partitions = partitions
        self._memory = memory
        self._on_entry = on_entry
        self._key = keys.effects(owner.partition)

    async def run(self) -> None:
        """Record effects until the partition is lost; what fails is read again."""
        while self._owner.lost is None:
            try:
                await self._open()
                await self._drain()
                while self._owner.lost is None:
                    if self._memory.has_room:
                        await self._record(await self._read(">", _BLOCK_MS))
                    else:
                        await pause(_PAUSE_S)
            except (LeaseError, InstanceError, ForkError) as error:
                self._owner.lost = error
            except Exception as error:  # noqa: BLE001  one effect must not stop the service
                _log.warning(f"Effects of partition {self._owner.partition} are read again: {in_short(error)}")
                await pause(_PAUSE_S)

    async def finish(self) -> None:
        """Record what was reported before now; what fails stays for the next owner."""
        try:
            await self._drain()
        except (LlmctxError, RedisError, OSError) as error:
            _log.warning(f"Effects of partition {self._owner.partition} stay in the stream: {in_short(error)}")

    async def _drain(self) -> None:
        """First what was delivered before, then what is new."""
        after = "0"
        while found := await self._read(after, None):
            await self._record(found)
            after = found[-1][0]
        while self._memory.has_room and (found := await self._read(">", None)):
            await self._record(found)

    async def _open(self) -> None:
        try:
            await self._redis.xgroup_create(self._key, keys.DECIDERS, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _read(self, after: str, block_ms: int | None) -> list[tuple[str, dict[bytes, bytes] | None]]:
        answer = await self._redis.xreadgroup(keys.DECIDERS, _CONSUMER, {self._key: after}, count=_PAGE, block=block_ms)
        streams = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes] | None]]]]", answer or [])
        return [(entry_id.decode(), fields) for _, entries in streams for entry_id, fields in entries]

    async def _record(self, found: list[tuple[str, dict[bytes, bytes] | None]]) -> None:
        """Record a page, each symbol's effects one after the other."""
        if not found:
            return
        reached("effects_read")
        read = [(entry_id, read_effect(fields)) for entry_id, fields in found]
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
            except (LlmctxError, RedisError, OSError):
                raise
            except Exception as error:  # noqa: BLE001  one effect must not keep all others waiting
                await self._report(entry_id, MalformedEffect("effect", in_short(error), _text_of(each)))

    async def _settle(self, entry_id: str, effect: Effect) -> None:
        named = await self._named(effect)
        if isinstance(named, MalformedEffect):
            await self._report(entry_id, named)
            return
        draft = compose_effect(effect, named, await self._owner.metadata())
        try:
            self._on_entry(await self._owner.settle(draft, (entry_id,), stream=self._key))
        except SettledError:
            await self._owner.discard((entry_id,), stream=self._key)
        reached("effect_recorded")

    async def _settle_known(self, entry_id: str, effect: Effect) -> None:
        """An id that is recorded already: nothing, unless something else is said under it."""
        index = (await self._owner.log.said([effect.id]))[0]
        entry = None if index is None else await self._owner.log.entry(index)
        named = await self._named(effect)
        if entry is not None and (isinstance(named, MalformedEffect) or not is_same_effect(entry, effect, named)):
            why = f"record {entry.index} has this id and says something else"
            await self._report(entry_id, MalformedEffect("id", why, _text_of(effect)))
        else:
            await self._owner.discard((entry_id,), stream=self._key)

    async def _named(self, effect: Effect) -> dict[str, object] | MalformedEffect | None:
        """How the record names the decision of an effect; None if it has none."""
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
        """Record an effect that cannot be recorded as one."""
        reason = f"effect entry {entry_id}: the field {found.field} cannot be used: {found.why}"
        incident = {"what": "effect", "entry": entry_id, "field": found.field, "said": found.said}
        draft = compose_unread("incident", None, reason, await self._owner.metadata(), incident=incident)
        self._on_entry(await self._owner.settle(draft, (entry_id,), stream=self._key))
