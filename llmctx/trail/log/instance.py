"""The instance: one trail in one Redis, known by the same id there and in the state directory.

A state directory used with another Redis, or a Redis that lost everything, must never be written to as if nothing
had happened: what one of them proves, the other one contradicts.
"""

import json
import re
import uuid
from pathlib import Path
from typing import NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from llmctx.errors import InstanceError, TrailError
from llmctx.trail.log.lease import SEE_REDIS

FORMAT = "2"
MAX_PARTITIONS = 1024
"""The largest number of partitions a trail can have."""
_KEY = "audit:instance"
_RESTORE = "Restore the server's data from a backup: this is what llmctx never writes."


class Instance(NamedTuple):
    """What both sides must agree on."""

    id: str
    """Made once."""
    partitions: int
    """How many partitions the trail has; fixed when the instance is made."""


async def read_instance(redis: Redis) -> Instance | None:
    """The instance of a Redis, None where none was made.

    Raises TrailError when the server does not answer or holds a format that this version does not know.
    """
    try:
        found = cast("dict[bytes, bytes]", await redis.hgetall(_KEY))
    except RedisError as error:
        raise TrailError(f"Redis did not answer: {error}", SEE_REDIS) from error
    if not found:
        return None
    if found.get(b"format") != FORMAT.encode():
        said = found.get(b"format", b"?").decode(errors="replace")
        raise TrailError(
            f"{_KEY} has format {said}, this version of llmctx knows {FORMAT}.",
            "Use the version of llmctx that wrote it.",
        )
    return _instance_of(found)


async def require_instance(redis: Redis) -> Instance:
    """The instance of a Redis.

    Raises TrailError if it has none, or as `read_instance` does.
    """
    instance = await read_instance(redis)
    if instance is None:
        raise TrailError("This Redis has no trail yet.", "Record something: `llmctx run` or `llmctx decide SYMBOL`.")
    return instance


def _instance_of(found: dict[bytes, bytes]) -> Instance:
    try:
        name, partitions = found[b"id"].decode(), found[b"partitions"].decode()
    except (KeyError, UnicodeDecodeError) as error:
        raise TrailError(f"{_KEY} cannot be read: {error}.", _RESTORE) from error
    if not re.fullmatch("[1-9][0-9]{0,3}", partitions) or int(partitions) > MAX_PARTITIONS:
        raise TrailError(f"{_KEY} has {partitions[:40]!r} partitions, and not 1 to {MAX_PARTITIONS}.", _RESTORE)
    return Instance(name, int(partitions))


async def bind_instance(
    redis: Redis, state_dir: Path, *, partitions: int = 1, new: bool = False
) -> tuple[Instance, bool]:
    """The instance that Redis and the state directory agree on, and whether it was made now.

    Where neither has one, it is made; a directory without one joins the one of Redis. `new` lets a directory leave
    its old instance behind: its file is kept beside the new one.

    Raises InstanceError where the two differ, or where Redis has none while the directory has; TrailError when the
    server does not answer.
    """
    there = await read_instance(redis)
    file = state_dir / "instance.json"
    here = _read_file(file)
    if here is not None and here != there and not new:
        raise InstanceError(
            f"{file} belongs to instance {here.id}, but Redis has "
            + (f"instance {there.id}." if there else "none: it is another server, or it lost its data."),
            "Name the right --redis-url or --state-dir; restore the server's data from a backup; or start a new "
            "trail with --new-instance.",
        )
    if here is not None and here == there:
        return here, False
    made = there is None
    instance = there or await _make(redis, partitions)
    _write_file(file, instance, before=here)
    return instance, made


def check_state_instance(state_dir: Path, there: Instance) -> Instance | None:
    """The instance of a state directory, which must be the one of Redis; None where it has none.

    Raises InstanceError where the two differ.
    """
    here = read_state_instance(state_dir)
    if here is not None and here != there:
        raise InstanceError(
            f"{state_dir / 'instance.json'} says {here.id} with {here.partitions} partitions, but Redis has instance "
            f"{there.id} with {there.partitions}.",
            "Name the right --redis-url or --state-dir, or restore the server's data from a backup.",
        )
    return here


def read_state_instance(state_dir: Path) -> Instance | None:
    """The instance that a state directory belongs to, None where it has none.

    Raises InstanceError for a file that cannot be read.
    """
    return _read_file(state_dir / "instance.json")


async def _make(redis: Redis, partitions: int) -> Instance:
    instance = Instance(uuid.uuid4().hex, partitions)
    try:
        # Two that start at once: whoever comes first sets everything, and both go on with that.
        async with redis.pipeline(transaction=True) as both:
            for field, value in (("id", instance.id), ("partitions", partitions), ("format", FORMAT)):
                both.hsetnx(_KEY, field, str(value))
            await both.execute()
    except RedisError as error:
        raise TrailError(f"The instance could not be made: {error}", SEE_REDIS) from error
    found = await read_instance(redis)
    assert found is not None
    return found


def _read_file(file: Path) -> Instance | None:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return Instance(document["id"], document["partitions"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InstanceError(
            f"{file} cannot be read: {error}.",
            "Put it back from a backup, or remove it to join the Redis named.",
        ) from error


def _write_file(file: Path, instance: Instance, *, before: Instance | None) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if before is not None:
            file.rename(file.with_name(f"instance.{before.id}.json"))
        file.write_text(json.dumps({"format": FORMAT, **instance._asdict()}) + "\n", encoding="utf-8")
    except OSError as error:
        raise InstanceError(f"{file} cannot be written: {error}.", "Name a --state-dir that can be.") from error
