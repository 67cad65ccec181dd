"""Lua functions that run inside the server, one call at a time, so that nothing comes between their steps.

A function's name carries the digest of its source, so two versions of llmctx on one server never run each other's code.
Functions are part of the server's data and are lost with it, so a call loads its function again if the server does not
know it. FCALL is used rather than EVALSHA, because a script cache never survives a restart.

Whoever may load functions can load others under the same names. `foreign_libraries` finds them by comparing the
server's source with ours. So only a worker's user should be allowed to: it loads what all other programs call.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from llmctx.errors import ServerError

Argument = bytes | str | int


async def execute(redis: Redis, *command: Argument) -> Any:
    """Send a command and return the reply."""
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]  # untyped in redis-py


_OWN: dict[str, str] = {}
"""The source of each function of this process, by its name, which is also its library's name."""


class ServerFunction:
    """A Lua function from one file, which defines `run(keys, args)`; the files in `after` are put before it."""

    def __init__(
        self, path: Path, *, after: Sequence[Path] = (), read_only: bool = False, allow_oom: bool = False
    ) -> None:
        """`allow_oom` says that it adds nothing, so that a full server runs it too."""
        source = "".join(file.read_text(encoding="utf-8") for file in (*after, path))
        self.name = f"llmctx_{path.stem}_{hashlib.sha256(source.encode()).hexdigest()[:8]}"
        flag = "no-writes" if read_only else "allow-oom" if allow_oom else ""
        flags = f"flags = {{'{flag}'}}, " if flag else ""
        self._library = (
            f"#!lua name={self.name}\n{source}\n"
            f"redis.register_function{{function_name = '{self.name}', {flags}callback = run}}\n"
        )
        self._verb = "FCALL_RO" if read_only else "FCALL"
        _OWN[self.name] = self._library

    async def __call__(self, redis: Redis, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Call the function and return its reply.

        Raises redis.exceptions.ResponseError if the function itself replies with an error, ServerError if the server
        lacks it and this user may not load it.
        """
        command = (self._verb, self.name, len(keys), *keys, *args)
        try:
            return await execute(redis, *command)
        except ResponseError as error:
            if not _not_found(error):
                raise
        await self._load(redis)
        return await execute(redis, *command)

    async def many(self, redis: Redis, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]) -> list[Any]:
        """Make several calls in one round trip and return their replies; the calls are not one transaction.

        Raises as a single call does.
        """
        answers = await self._pipelined(redis, calls)
        missing = [number for number, answer in enumerate(answers) if _not_found(answer)]
        if missing:
            await self._load(redis)
            again = await self._pipelined(redis, [calls[number] for number in missing])
            answers = [again.pop(0) if number in missing else answer for number, answer in enumerate(answers)]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _pipelined(self, redis: Redis, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]) -> list[Any]:
        async with redis.pipeline(transaction=False) as pipeline:
            for keys, args in calls:
                pipeline.execute_command(self._verb, self.name, len(keys), *keys, *args)
            return await pipeline.execute(raise_on_error=False)

    async def _load(self, redis: Redis) -> None:
        try:
            await execute(redis, "FUNCTION", "LOAD", "REPLACE", self._library)
        except NoPermissionError as error:
            raise ServerError(
                f"The server lacks the function {self.name}, and this user may not load it.",
                "Start a worker (`llmctx run`) of this version: its user loads the functions of all programs.",
            ) from error


async def foreign_libraries(redis: Redis) -> list[str]:
    """The libraries in the server that have a function of ours in another source."""
    return _foreign(await _libraries(redis))


async def own_libraries(redis: Redis) -> list[str]:
    """The libraries in the server that are functions of this process, in the same source."""
    found = await _libraries(redis)
    return [name for name, (code, _) in found.items() if name in _OWN and code == _OWN[name].encode()]


async def restore_libraries(redis: Redis) -> list[str]:
    """Delete the `foreign_libraries`, load those of ours that are missing, and return the names of the deleted."""
    found = await _libraries(redis)
    foreign = _foreign(found)
    for name in foreign:
        await execute(redis, "FUNCTION", "DELETE", name)
    for name in _OWN.keys() - (found.keys() - set(foreign)):
        with contextlib.suppress(ResponseError):  # a full server refuses: its call loads it later, or says why not
            await execute(redis, "FUNCTION", "LOAD", "REPLACE", _OWN[name])
    return foreign


async def _libraries(redis: Redis) -> dict[str, tuple[bytes, list[str]]]:
    """Source and function names of each library in the server."""
    found = [_fields(library) for library in await execute(redis, "FUNCTION", "LIST", "WITHCODE")]
    return {
        library["library_name"].decode(): (
            library["library_code"],
            [_fields(function)["name"].decode() for function in library["functions"]],
        )
        for library in found
    }


def _foreign(libraries: dict[str, tuple[bytes, list[str]]]) -> list[str]:
    return [
        library
        for library, (code, names) in libraries.items()
        if any(name in _OWN and code != _OWN[name].encode() for name in names)
    ]


def _fields(reply: list[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _not_found(answer: Any) -> bool:
    return isinstance(answer, ResponseError) and "Function not found" in str(answer)
