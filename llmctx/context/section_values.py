"""Every value of a section in a server, wherever a mapping places it: for lists, counts and totals."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from redis.asyncio import Redis

from llmctx.context.content import Mapped, SectionContent, read_content
from llmctx.context.snapshot import RawSection
from llmctx.context.staleness import Status
from llmctx.limits import MAX_VALUE_BYTES
from llmctx.schema.keys import BY_SECTION, Family
from llmctx.schema.mapping.document import hash_as_json
from llmctx.schema.mapping.sections import Sections

_PAGE_KEYS = 200
_MAX_HASH_BYTES, _MAX_READ_BYTES = 16 * 2**20, 8 * 2**20


class SectionValue(NamedTuple):
    """The value of one symbol in a section; a section shared by all has no symbol."""

    section: str
    """price, position, signals.entry, ..."""
    symbol: str
    """The symbol; empty if the key does not name one."""
    raw: RawSection
    """Its key, or its field of a hash, and the bytes read."""
    memory_bytes: int
    """The server memory used by its key; if it is a field of a hash, the first field has the total."""

    def content(self, sections: Sections | None) -> SectionContent:
        """Its content, as in a package but without an age."""
        if self.raw.unread is not None or self.raw.raw is None:
            return SectionContent(self.section, None, Status.INVALID, self.raw.unread or "says nothing")
        if sections is None or sections.rule_of(self.section) is None:
            return read_content(self.section, self.raw.raw)
        return read_content(self.section, self.raw.raw, Mapped(sections, self.symbol))


async def read_values(redis: Redis, section: str, sections: Sections | None = None) -> AsyncIterator[SectionValue]:
    """Every value of a family of sections, wherever the rules of `sections` place it; they are not from one instant.

    Raises RedisError if the server does not answer.
    """
    family = BY_SECTION[section] if sections is None else sections.family(section)
    rule = None if sections is None else sections.rules.get(section)
    is_hash = rule is not None and rule.kind == "hash"
    fields = None if rule is None or rule.field is None else replace(family, pattern=rule.field)
    async for page in pages_of(redis, family.key("*", "*")):
        async with redis.pipeline(transaction=False) as reading:
            for key in page:
                reading.memory_usage(key)
            sizes = await reading.execute(raise_on_error=False)
        most = MAX_VALUE_BYTES if fields is None else _MAX_HASH_BYTES
        async for key, size, found in _values_of(redis, zip(page, sizes, strict=True), most, is_hash=is_hash):
            name = key.decode(errors="replace")
            if found and (sections is None or _owner_of(name, sections) is family):
                value = SectionValue(section, "", RawSection(name), size)
                for each in _fields_of(value, fields, found) if fields is not None else [_whole(value, found)]:
                    yield _named(each, family, fields)


async def _values_of(
    redis: Redis, sizes: Iterable[tuple[bytes, Any]], most: int, *, is_hash: bool
) -> AsyncIterator[tuple[bytes, int, Any]]:
    """Each key with the memory that it takes and its value, or why that is not read; a few megabytes at a time."""
    batch: dict[bytes, int] = {}
    for key, answer in sizes:
        size = answer if isinstance(answer, int) else 0
        if size > 2 * most:  # memory is more than the text, but not twice as much
            yield key, size, f"takes {size} bytes of memory, more than the cap of {most}"
            continue
        if batch and sum(batch.values()) + size > _MAX_READ_BYTES:
            for found in await _read(redis, batch, is_hash=is_hash):
                yield found
            batch.clear()
        batch[key] = size
    for found in await _read(redis, batch, is_hash=is_hash):
        yield found


async def _read(redis: Redis, sizes: Mapping[bytes, int], *, is_hash: bool) -> list[tuple[bytes, int, Any]]:
    async with redis.pipeline(transaction=False) as reading:
        for key in sizes:
            _ = reading.hgetall(key) if is_hash else reading.get(key)
        found = await reading.execute(raise_on_error=False)
    return list(zip(sizes, sizes.values(), found, strict=True))


def _whole(value: SectionValue, found: Any) -> SectionValue:
    return value._replace(raw=_raw(value.raw.key, found))


def _fields_of(value: SectionValue, fields: Family, found: Any) -> Iterator[SectionValue]:
    """The values in the fields of one hash."""
    if not isinstance(found, dict):
        yield _whole(value, found)
        return
    for name, raw in found.items():
        field = name.decode(errors="replace")
        if fields.parts_of(field) is not None:
            yield value._replace(raw=RawSection(f"{value.raw.key}[{field}]", raw))
            value = value._replace(memory_bytes=0)


def _named(value: SectionValue, family: Family, fields: Family | None) -> SectionValue:
    """The value with the symbol, and for a signal its type, from its key and field."""
    key, _, field = value.raw.key.partition("[")
    parts = (family.parts_of(key) or {}) | ((fields.parts_of(field.removesuffix("]")) or {}) if fields else {})
    section = f"{value.section}.{parts['signal_type']}" if "signal_type" in parts else value.section
    return value._replace(section=section, symbol=parts.get("symbol", ""))


def _raw(key: str, found: Any) -> RawSection:
    if isinstance(found, str):
        return RawSection(key, unread=found)
    if isinstance(found, Exception):
        return RawSection(key, unread="is not a string, or not the hash that its mapping names")
    if isinstance(found, dict):
        try:
            return RawSection(key, hash_as_json(found.items()))
        except UnicodeDecodeError:
            return RawSection(key, unread="has a field whose name is not UTF-8")
    if len(found) > MAX_VALUE_BYTES:
        return RawSection(key, unread=f"has {len(found)} bytes, more than the cap of {MAX_VALUE_BYTES}")
    return RawSection(key, found)


def _owner_of(key: str, sections: Sections) -> Family | None:
    """The family of a key; if several match, the one with the longest pattern."""
    suited = [family for family in sections.families if family.parts_of(key) is not None]
    return max(suited, key=lambda family: len(family.pattern), default=None)


async def pages_of(redis: Redis, pattern: str) -> AsyncIterator[list[bytes]]:
    """The keys that match a pattern, each once, in batches."""
    page: list[bytes] = []
    seen: set[bytes] = set()  # a scan may return a key twice
    async for key in redis.scan_iter(pattern, count=1000):
        if key not in seen:
            seen.add(key)
            page.append(key)
        if len(page) == _PAGE_KEYS:
            yield page
            page = []
    if page:
        yield page
