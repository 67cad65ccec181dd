"""A snapshot of the whole server as an RDB file.

Where the server's own file can be read on this machine, the server saves one (BGSAVE), and that file is read. Elsewhere
redis-cli or valkey-cli fetches one over the replication protocol, as a replica would.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from redis.asyncio import Redis, SSLConnection
from redis.exceptions import RedisError, ResponseError

from llmctx.errors import ServerError
from llmctx.functions import execute
from llmctx.limits import MAX_ERROR_CHARS, cut
from llmctx.tasks import pause

TOOLS = ("redis-cli", "valkey-cli")
_POLL_S = 0.1
_LOOPBACK = ("127.", "::1", "localhost")
_TLS_OPTIONS = {
    "ssl_ca_certs": "--cacert",
    "ssl_ca_path": "--cacertdir",
    "ssl_certfile": "--cert",
    "ssl_keyfile": "--key",
}


class Snapshot(NamedTuple):
    """A snapshot that can be read."""

    file: BinaryIO
    """The RDB file, open at its beginning."""
    method: str
    """How it was made: BGSAVE, redis-cli or valkey-cli."""


@asynccontextmanager
async def snapshot_of(redis: Redis, scratch: Path) -> AsyncIterator[Snapshot]:
    """A snapshot of the server as it is now; `scratch` is a file that may be written meanwhile.

    Raises ServerError if the server does not answer or refuses, or if there is no way to fetch a snapshot.
    """
    try:
        file, method = await _saved(redis), "BGSAVE"
    except RedisError as error:
        raise ServerError(f"The server could not save a snapshot: {error}", "See the server's log.") from error
    if file is None:
        file, method = await _fetch(redis, scratch)
    with file:
        yield Snapshot(file, method)


async def _saved(redis: Redis) -> BinaryIO | None:
    """The server's RDB file, saved now and open; None if it is not on this machine or may not be read."""
    path = await _own_path(redis)
    if path is None or not os.access(path.parent, os.R_OK | os.X_OK):
        return None
    before = _identity(path)
    await _save(redis)
    try:
        file = path.open("rb")  # the server replaces the file by renaming, so this one stays as it is
    except OSError:
        return None
    if _identity(path) == before:  # another server's file: this address leads into a container, for example
        file.close()
        return None
    return file


async def _own_path(redis: Redis) -> Path | None:
    options = _options(redis)
    if "path" not in options and not str(options.get("host", "")).startswith(_LOOPBACK):
        return None
    try:
        config = {**await redis.config_get("dir"), **await redis.config_get("dbfilename")}
    except ResponseError:  # renamed, or not permitted to this user
        return None
    found = {_text(name): _text(value) for name, value in config.items()}
    return Path(found["dir"], found["dbfilename"]) if found.keys() >= {"dir", "dbfilename"} else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _identity(path: Path) -> tuple[int, float] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime


async def _save(redis: Redis) -> None:
    """Save a snapshot that begins now, and wait until it is complete."""
    while True:
        before = await redis.info("persistence")
        if not before["rdb_bgsave_in_progress"]:
            try:
                await execute(redis, "BGSAVE", "SCHEDULE")  # after a rewrite of the AOF that may be running
                break
            except ResponseError as error:
                if "in progress" not in str(error):
                    raise
        await pause(_POLL_S)  # a save that began earlier does not hold the newest records
    while True:
        now = await redis.info("persistence")
        if now["rdb_saves"] > before["rdb_saves"] and not now["rdb_bgsave_in_progress"]:
            break
        if now["rdb_last_bgsave_status"] != "ok" and not now["rdb_bgsave_in_progress"]:
            break
        await pause(_POLL_S)
    if now["rdb_last_bgsave_status"] != "ok":
        raise ResponseError("BGSAVE failed: its disk may be full, or it may not fork.")


async def _fetch(redis: Redis, scratch: Path) -> tuple[BinaryIO, str]:
    """Fetch a snapshot with the server's own tool; the open file and the tool's name."""
    tool = next((name for name in TOOLS if shutil.which(name)), None)
    if tool is None:
        raise ServerError(
            "The server's RDB file cannot be read here, and neither redis-cli nor valkey-cli is installed.",
            "Install one of them (Debian: redis-tools), or run `llmctx backup` on the server's machine.",
        )
    options = _options(redis)
    command = [shutil.which(tool) or tool, *_address(redis, options), "--no-auth-warning", "--rdb", str(scratch)]
    # The password goes through the environment: every user of the machine can read a command line.
    password = options.get("password")
    process = await asyncio.create_subprocess_exec(
        *command,
        env={} if password is None else {"REDISCLI_AUTH": str(password)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, trouble = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    file = _take(scratch) if process.returncode == 0 else None
    if file is None:
        lines = [line.strip() for line in trouble.decode(errors="replace").splitlines() if line.strip()]
        why = cut(lines[-1], MAX_ERROR_CHARS) if lines else f"exit code {process.returncode}"
        raise ServerError(
            f"{tool} could not fetch a snapshot: {why}.", "Its user needs the right to SYNC, PSYNC and REPLCONF."
        )
    return file, tool


def _take(path: Path) -> BinaryIO | None:
    """The open file, which loses its name; None if there is none."""
    try:
        file = path.open("rb")
    except OSError:
        return None
    path.unlink()
    return file


def _address(redis: Redis, options: dict[str, Any]) -> list[str]:
    words = (
        ["-s", str(options["path"])] if "path" in options else ["-h", str(options["host"]), "-p", str(options["port"])]
    )
    if options.get("username"):
        words += ["--user", str(options["username"])]
    if issubclass(redis.connection_pool.connection_class, SSLConnection):
        words.append("--tls")
        for name, option in _TLS_OPTIONS.items():
            words += [option, str(options[name])] if options.get(name) else []
        words += ["--insecure"] if str(options.get("ssl_cert_reqs", "required")).lower().endswith("none") else []
    return words


def _options(redis: Redis) -> dict[str, Any]:
    """The options of the client's connections: host and port or path, user, password, TLS."""
    return dict(redis.connection_pool.connection_kwargs)
