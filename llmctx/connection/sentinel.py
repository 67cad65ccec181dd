"""The primary of a service that Redis Sentinels watch: looked up for every new connection."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redis.asyncio.sentinel import Sentinel
from redis.exceptions import ConnectionError, RedisError  # noqa: A004

_TIMEOUT_S = 1.0


class Place(NamedTuple):
    """The address of a server."""

    host: str
    """The host's name or address."""
    port: int
    """The port."""


class PrimaryFinder:
    """Finds the primary of one service."""

    def __init__(self, sentinels: Sequence[Place], service: str, options: Mapping[str, Any]) -> None:
        """`options` are those of connections to the sentinels, such as user and password."""
        self._sentinels = list(sentinels)
        self._service = service
        self._options = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S, "protocol": 2, **options}

    async def find(self) -> Place:
        """The address of the primary, from the first sentinel that answers and knows one.

        Raises redis.exceptions.ConnectionError if none does; during a failover that lasts until a replica is promoted.
        """
        sentinels = Sentinel(self._sentinels, sentinel_kwargs=self._options)  # type: ignore[no-untyped-call]
        async with sentinels as sentinel:
            try:
                host, port = await sentinel.discover_master(self._service)
            except RedisError as error:  # its message may quote connection options
                named = ", ".join(f"{place.host}:{place.port}" for place in self._sentinels)
                raise ConnectionError(
                    f"no Sentinel of {named} names a primary of {self._service} now ({type(error).__name__})"
                ) from None
            answered = sentinel.sentinels[0].connection_pool.connection_kwargs
        first = Place(answered["host"], answered["port"])
        self._sentinels.sort(key=lambda place: place != first)  # the one that answered is asked first next time
        return Place(host.decode() if isinstance(host, bytes) else str(host), int(port))


def connecting_to_primary(connection_class: Any, finder: PrimaryFinder) -> Any:
    """A subclass of a connection class that connects to the current primary."""

    class ToPrimary(connection_class):  # type: ignore[misc]
        async def _connect(self) -> None:
            self.host, self.port = await finder.find()
            await super()._connect()

    return ToPrimary
