"""The door to a partition's blobs: what records name by digest, kept once; a dictionary also has a short reference."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx import canonical
from llmctx.bounded_cache import BoundedCache
from llmctx.errors import TrailError
from llmctx.trail.log.lease import SEE_REDIS
from llmctx.trail.log.packing import Dictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_LOADED = 8
_MAX_LOADED_BYTES = 1024 * 1024
# A dictionary takes about ten times its size once it has compressed and decompressed; records name the newest ones.


class Blobs:
    """One partition's blobs."""

    def __init__(self, redis: Redis, partition: int) -> None:
        self._redis = redis
        self._prefix = f"audit:{{{partition}}}:blob:"
        self._dictionaries = f"audit:{{{partition}}}:dictionaries"
        self._loaded: BoundedCache[bytes, Dictionary] = BoundedCache(_MAX_LOADED, _MAX_LOADED_BYTES)

    def key(self, digest: str) -> str:
        """Where the blob of a digest lies."""
        return self._prefix + digest

    async def keep(self, blob: bytes) -> str:
        """Keep a blob under its digest; keeping it again changes nothing.

        Raises TrailError when the server does not answer.
        """
        digest = canonical.sha256(blob)
        with door("could not be kept"):
            await self._redis.set(self.key(digest), blob, nx=True)
        return digest

    async def blob(self, digest: str) -> bytes | None:
        """The blob of a digest, None where it is not there."""
        with door():
            return cast("bytes | None", await self._redis.get(self.key(digest)))

    async def keep_dictionary(self, dictionary: Dictionary, size: int) -> None:
        """Keep a dictionary, trained when the log had this size, so that entries can name it."""
        # The reference first: who finds the blob missing keeps both again.
        with door("could not be kept"):
            reference = dictionary.reference.hex()
            await self._redis.hsetnx(self._dictionaries, reference, f"{size} {dictionary.digest}")
        await self.keep(dictionary.content)
        self._loaded.put(dictionary.reference, dictionary, len(dictionary.content))

    async def dictionary(self, reference: bytes | None) -> Dictionary | None:
        """The dictionary of a reference; None where there is none.

        Raises TrailError when the server does not answer.
        """
        if reference is None:
            return None
        if (loaded := self._loaded.get(reference)) is not None:
            return loaded
        with door():
            found = cast("bytes | None", await self._redis.hget(self._dictionaries, reference.hex()))
        return None if found is None else await self._load(found)

    async def newest_dictionary(self) -> tuple[Dictionary | None, int]:
        """The dictionary that was trained last and the log's size then; None and -1 where there is none."""
        with door():
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(self._dictionaries))
        if not found:
            return None, -1
        newest = max(found.values(), key=lambda said: int(said.partition(b" ")[0]))
        return await self._load(newest), int(newest.partition(b" ")[0])

    async def _load(self, said: bytes) -> Dictionary | None:
        digest = said.partition(b" ")[2].decode(errors="replace")
        content = await self.blob(digest)
        if content is None or canonical.sha256(content) != digest:
            return None
        dictionary = Dictionary(content)
        self._loaded.put(dictionary.reference, dictionary, len(dictionary.content))
        return dictionary


@contextmanager
def door(what: str = "could not be read") -> "Iterator[None]":
    """No exception of the client leaves: what the server does not answer is a TrailError."""
    try:
        yield
    except RedisError as error:
        raise TrailError(f"The trail {what}: {error}", SEE_REDIS) from error
