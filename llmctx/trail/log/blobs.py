"""A partition's blobs in Redis: content that records name by digest, stored once. Dictionaries have a short reference.

Rule of order: a dictionary's reference is written before its content, so whoever misses the content stores both again.
"""

from typing import cast

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.bounded_cache import BoundedCache
from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.lease import partition_key, redis_errors

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
        """The blob with this digest, None if it is missing."""
        with redis_errors():
            return cast("bytes | None", await self._redis.get(self.key(digest)))

    async def keep_dictionary(self, dictionary: Dictionary, size: int) -> None:
        """Store a dictionary, trained when the log had this size, so that entries can name it."""
        with redis_errors("A dictionary could not be stored"):
            reference = dictionary.reference.hex()
            await self._redis.hsetnx(self._references, reference, f"{size} {dictionary.digest}")
        await self.keep(dictionary.content)
        self._loaded.put(dictionary.reference, dictionary, len(dictionary.content))

    async def dictionary(self, reference: bytes | None) -> Dictionary | None:
        """The dictionary with this reference, None if it is missing."""
        if reference is None:
            return None
        if (loaded := self._loaded.get(reference)) is not None:
            return loaded
        with redis_errors():
            described = cast("bytes | None", await self._redis.hget(self._references, reference.hex()))
        return None if described is None else await self._load(described)

    async def lists(self, reference: bytes) -> bool:
        """Whether a dictionary with this reference was ever stored, even if its content is missing now."""
        with redis_errors():
            return await self._redis.hexists(self._references, reference.hex())

    async def dictionaries(self) -> list[str]:
        """The digests of all dictionaries that were ever stored."""
        with redis_errors():
            described = cast("list[bytes]", await self._redis.hvals(self._references))
        return [one.partition(b" ")[2].decode(errors="replace") for one in described]

    async def newest_dictionary(self) -> tuple[Dictionary | None, int]:
        """The dictionary that was trained last and the log's size then; None and -1 if there is none."""
        with redis_errors():
            described = cast("dict[bytes, bytes]", await self._redis.hgetall(self._references))
        if not described:
            return None, -1
        newest = max(described.values(), key=_trained_at)
        return await self._load(newest), _trained_at(newest)

    async def _load(self, described: bytes) -> Dictionary | None:
        digest = described.partition(b" ")[2].decode(errors="replace")
        content = await self.blob(digest)
        if content is None or canonical.sha256(content) != digest:
            return None
        dictionary = Dictionary(content)
        self._loaded.put(dictionary.reference, dictionary, len(dictionary.content))
        return dictionary


def _trained_at(described: bytes) -> int:
    """The log's size in the value "SIZE DIGEST"."""
    return int(described.partition(b" ")[0])
