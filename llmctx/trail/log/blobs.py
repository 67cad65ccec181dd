"""A partition's blobs in Redis: content that records name by digest, stored once. Dictionaries have a short reference.

Rule of order: a dictionary's reference is written before its content, so whoever misses the content stores both again.
"""

from typing import cast

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.bounded_cache import BoundedCache
from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.index import index_of
from llmctx.trail.log.lease import of_another_type, partition_key, redis_errors

_MAX_LOADED = 4
_MAX_LOADED_BYTES = 1024 * 1024
# In use, a dictionary takes about ten times its size, and neighbouring records share one.


class Blobs:
    """One partition's blobs. Every method raises TrailError if the server does not answer."""

    def __init__(self, redis: Redis, partition: int) -> None:
        self._redis = redis
        self._prefix = partition_key(partition, "blob:")
        self._references = partition_key(partition, "dictionaries")
        self._loaded: BoundedCache[bytes, Dictionary] = BoundedCache(_MAX_LOADED, _MAX_LOADED_BYTES)

    def key(self, digest: str) -> str:
        """The key of the blob with this digest."""
        return self._prefix + digest

    async def keep(self, blob: bytes) -> str:
        """Store a blob and return its digest; storing it again changes nothing."""
        digest = canonical.sha256(blob)
        with redis_errors("A blob could not be stored"):
            await self._redis.set(self.key(digest), blob, nx=True)
        return digest

    async def blob(self, digest: str) -> bytes | None:
        """The blob with this digest; None if it is missing or its key holds another type."""
        with redis_errors(), of_another_type():
            return cast("bytes | None", await self._redis.get(self.key(digest)))
        return None

    async def restore(self, blob: bytes) -> bool:
        """Store a blob again if something else is in its place; returns whether it did."""
        digest = canonical.sha256(blob)
        if await self.blob(digest) == blob:
            return False
        with redis_errors("A blob could not be stored"):
            await self._redis.set(self.key(digest), blob)
        return True

    async def restore_dictionary(self, dictionary: Dictionary, size: int) -> bool:
        """The same for a dictionary that was trained when the log had this size, and for its reference."""
        described = await self._described(dictionary.reference)
        is_listed = described is not None and _digest_of(described) == dictionary.digest
        if not is_listed:
            with redis_errors("A dictionary could not be stored"):
                reference = dictionary.reference.hex()
                await self._redis.hset(self._references, reference, f"{size} {dictionary.digest}")
        return await self.restore(dictionary.content) or not is_listed

    async def keep_dictionary(self, dictionary: Dictionary, size: int) -> None:
        """Store a dictionary, trained when the log had this size, so that entries can name it."""
        with redis_errors("A dictionary could not be stored"):
            reference = dictionary.reference.hex()
            await self._redis.hsetnx(self._references, reference, f"{size} {dictionary.digest}")
        await self.keep(dictionary.content)
        self._loaded.put(dictionary.reference, dictionary, len(dictionary.content))

    async def dictionary(self, reference: bytes | None) -> Dictionary | None:
        """The dictionary with this reference; None if it is missing."""
        if reference is None:
            return None
        if (loaded := self._loaded.get(reference)) is not None:
            return loaded
        described = await self._described(reference)
        return None if described is None else await self._load(described)

    async def lists(self, reference: bytes) -> bool:
        """Whether a dictionary with this reference was ever stored, even if its content is missing now."""
        return await self._described(reference) is not None

    async def dictionaries(self) -> list[str]:
        """The digests of all dictionaries that were ever stored."""
        return [_digest_of(one) for one in (await self._listed()).values()]

    async def newest_dictionary(self, size: int) -> tuple[Dictionary | None, int]:
        """The newest dictionary for a log of this size, and the log's size when it was trained; None and -1 without
        one.

        References that no process of ours can have stored are skipped.
        """
        trained = {at: one for one in (await self._listed()).values() if 0 <= (at := _trained_at(one)) <= size}
        for at in sorted(trained, reverse=True):
            dictionary = await self._load(trained[at])
            if dictionary is not None and dictionary.is_usable:
                return dictionary, at
        return None, -1

    async def _described(self, reference: bytes) -> bytes | None:
        with redis_errors(), of_another_type():
            return cast("bytes | None", await self._redis.hget(self._references, reference.hex()))
        return None

    async def _listed(self) -> dict[bytes, bytes]:
        with redis_errors(), of_another_type():
            return cast("dict[bytes, bytes]", await self._redis.hgetall(self._references))
        return {}

    async def _load(self, described: bytes) -> Dictionary | None:
        digest = _digest_of(described)
        with redis_errors(), of_another_type():
            if await self._redis.strlen(self.key(digest)) > _MAX_LOADED_BYTES:  # each record would wait for it
                return None
        content = await self.blob(digest)
        if content is None or canonical.sha256(content) != digest:
            return None
        dictionary = Dictionary(content)
        self._loaded.put(dictionary.reference, dictionary, len(dictionary.content))
        return dictionary


def _trained_at(described: bytes) -> int:
    """The log's size in the value "SIZE DIGEST"; -1 if it is malformed."""
    return index_of(described.partition(b" ")[0])


def _digest_of(described: bytes) -> str:
    return described.partition(b" ")[2].decode(errors="replace")
