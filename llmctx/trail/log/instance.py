"""The instance: one trail in one Redis, with the same ID there and in the state directory.

A state directory must never be used with another Redis, or with one that lost everything, as if nothing had happened:
what one of them proves, the other contradicts.
"""

import json
import re
import uuid
from pathlib import Path
from typing import NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from llmctx.errors import InstanceError, TrailError
from llmctx.private_files import make_private_directory, write_private
from llmctx.tasks import pause
from llmctx.trail.log.lease import redis_errors

FORMAT = "2"
MAX_PARTITIONS = 1024
"""The largest number of partitions that a trail can have."""
INSTANCE_KEY = "audit:instance"
"""The key of the instance in Redis."""
_TURNS, _PAUSE_S = 40, 0.05
_RESTORE_FILE = "Restore it from a backup of the state directory; `llmctx status` names the instance in Redis."
_RESTORE = "Restore the server's data from a backup: llmctx never writes such a value."


class Instance(NamedTuple):
    """The identity that Redis and the state directory must share."""

    id: str
    """A random ID, made once."""
    partitions: int
    """The number of partitions, fixed when the instance is made."""


async def read_instance(redis: Redis) -> Instance | None:
    """The instance in Redis, None if there is none.

    Raises InstanceError if this version cannot read it, TrailError if the server does not answer.
    """
    with redis_errors("The instance could not be read"):
        try:
            found = cast("dict[bytes, bytes]", await redis.hgetall(INSTANCE_KEY))
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            raise InstanceError(f"{INSTANCE_KEY} is not a hash.", _RESTORE) from error
    if not found:
        return None
    if found.get(b"format") != FORMAT.encode():
        theirs = found.get(b"format", b"?").decode(errors="replace")
        raise InstanceError(
            f"{INSTANCE_KEY} has format {theirs}, but this version of llmctx knows only {FORMAT}.",
            "Use the version of llmctx that wrote it.",
        )
    try:
        name, partitions = found[b"id"].decode(), found[b"partitions"].decode()
    except (KeyError, UnicodeDecodeError) as error:
        raise InstanceError(f"{INSTANCE_KEY} cannot be read: {error}.", _RESTORE) from error
    if not re.fullmatch("[1-9][0-9]{0,3}", partitions) or int(partitions) > MAX_PARTITIONS:
        raise InstanceError(
            f"{INSTANCE_KEY} has {partitions[:40]!r} partitions instead of 1 to {MAX_PARTITIONS}.", _RESTORE
        )
    return Instance(name, int(partitions))


async def require_instance(redis: Redis) -> Instance:
    """The instance of a Redis.

    Raises TrailError if it has none, or as `read_instance` does.
    """
    instance = await read_instance(redis)
    if instance is None:
        raise TrailError("This Redis has no trail yet.", "Record something: `llmctx run` or `llmctx decide SYMBOL`.")
    return instance


async def agree(redis: Redis, field: str, value: str) -> str:
    """The value of a field that all partitions share, set to `value` if no partition has set it before.

    Raises TrailError if the server does not answer.
    """
    with redis_errors(f"The field {field} of {INSTANCE_KEY} could not be written"):
        await redis.hsetnx(INSTANCE_KEY, field, value)
    return await agreed(redis, field) or value


async def agreed(redis: Redis, field: str) -> str | None:
    """The value of a field that all partitions share; None if no partition has set it.

    Raises TrailError if the server does not answer.
    """
    with redis_errors(f"The field {field} of {INSTANCE_KEY} could not be read"):
        found = cast("bytes | None", await redis.hget(INSTANCE_KEY, field))
    return None if found is None else found.decode(errors="replace")


async def bind_instance(
    redis: Redis, state_dir: Path, *, partitions: int = 1, new: bool = False
) -> tuple[Instance, bool]:
    """The instance that Redis and the state directory share, and whether it was just made.

    If neither has one, it is made. With `new` a state directory leaves its old instance, whose file is kept beside the
    new one, if Redis has none. Raises InstanceError if the two differ, or if only one of them has one (a state
    directory joins a trail by `join_instance`); TrailError if the server does not answer.
    """
    in_redis = await read_instance(redis)
    file = state_dir / "instance.json"
    in_directory = read_state_instance(state_dir)
    if in_directory is not None and in_directory != in_redis and not new:
        raise InstanceError(
            f"{file} belongs to instance {in_directory.id}, but Redis has {_other(in_redis, in_directory)}.",
            "Name the right --redis-url or --state-dir; restore the server's data from a backup; or start a new "
            "trail with --new-instance.",
        )
    if in_directory is not None and in_directory == in_redis:
        return in_directory, False
    made = None
    if in_redis is None:
        made, in_redis = await _make(redis, file, partitions)
    if in_redis == (made or _read_file(_pending(file))):  # made here, just now or before a kill
        _write_file(file, in_redis, before=in_directory)
        _pending(file).unlink(missing_ok=True)
        return in_redis, made is not None
    for _ in range(_TURNS):  # another process with this state directory may just have made it
        if read_state_instance(state_dir) == in_redis:
            return in_redis, False
        await pause(_PAUSE_S)
    raise InstanceError(
        f"{state_dir} has not joined the trail in Redis.",
        "Name the --state-dir of that trail; or let this one join it: `llmctx join` says how.",
    )


def join_instance(state_dir: Path, instance: Instance) -> None:
    """Bind a state directory to an instance made by another one.

    Raises InstanceError if it belongs to another one, or if its file cannot be written.
    """
    if check_state_instance(state_dir, instance) is None:
        _write_file(state_dir / "instance.json", instance, before=None)


def check_state_instance(state_dir: Path, expected: Instance) -> Instance | None:
    """The instance of a state directory, which must be the expected one of Redis; None if it has none.

    Raises InstanceError if the two differ.
    """
    found = read_state_instance(state_dir)
    if found is not None and found != expected:
        raise InstanceError(
            f"{state_dir / 'instance.json'} says {found.id} with {found.partitions} partitions, but Redis has instance "
            f"{expected.id} with {expected.partitions}.",
            "Name the right --redis-url or --state-dir, or restore the server's data from a backup.",
        )
    return found


def read_state_instance(state_dir: Path) -> Instance | None:
    """The instance of a state directory, None if it has none.

    Raises InstanceError if its file cannot be read.
    """
    return _read_file(state_dir / "instance.json")


def _read_file(file: Path) -> Instance | None:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InstanceError(f"{file} cannot be read: {error}.", _RESTORE_FILE) from error
    fields = document if isinstance(document, dict) else {}
    name, partitions = fields.get("id"), fields.get("partitions")
    if type(name) is not str or type(partitions) is not int or not re.fullmatch("[A-Za-z0-9_-]{1,64}", name):
        raise InstanceError(f"{file} cannot be read: it names no instance and number of partitions.", _RESTORE_FILE)
    return Instance(name, partitions)


def _other(there: Instance | None, here: Instance) -> str:
    """How the instance in Redis differs from the one here."""
    if there is None:
        return "none: it is another server, or it lost its data"
    if there.id == here.id:
        return f"it in {there.partitions} partitions, not {here.partitions}"
    return f"instance {there.id}"


def _pending(file: Path) -> Path:
    """The file that names an instance until Redis is known to have accepted it."""
    return file.with_name("instance.new.json")


async def _make(redis: Redis, file: Path, partitions: int) -> tuple[Instance, Instance]:
    """Make an instance; returns it, and the one that Redis has afterwards."""
    instance = Instance(uuid.uuid4().hex, partitions)
    _write_file(_pending(file), instance, before=None)
    with redis_errors("The instance could not be made"):
        # If two processes start at once, the first sets all fields.
        async with redis.pipeline(transaction=True) as both:
            for field, value in (("id", instance.id), ("partitions", partitions), ("format", FORMAT)):
                both.hsetnx(INSTANCE_KEY, field, str(value))
            await both.execute()
    found = await read_instance(redis)
    assert found is not None
    return instance, found


def _write_file(file: Path, instance: Instance, *, before: Instance | None) -> None:
    try:
        make_private_directory(file.parent)
        if before is not None:
            file.rename(file.with_name(f"instance.{before.id}.json"))
        write_private(file, json.dumps({"format": FORMAT, **instance._asdict()}) + "\n")
    except OSError as error:
        raise InstanceError(f"{file} cannot be written: {error}.", "Name a --state-dir that can be.") from error
