"""Checks of the server itself: what it is, who can reach it, how it persists, how fast it answers."""

from redis.exceptions import AuthenticationError, NoPermissionError

from llmctx import clock
from llmctx.connection import check, connect
from llmctx.connection.address import without_password
from llmctx.functions import execute
from llmctx.ops.doctor.finding import Finding, amber, green, red, unknown
from llmctx.ops.doctor.subject import Subject

MAX_CALL_MS = 20
"""A p99 of our functions above this is slow: a tick calls three of them."""
MAX_STALL_MS = 100
"""A command or an event that blocks the server for longer is reported."""
MAX_CONNECTED_SHARE = 0.8
"""A larger share of maxclients in use is reported."""

_CLOSED = {
    "client_output_buffer_limit_disconnections": "client-output-buffer-limit",
    "client_query_buffer_limit_disconnections": "client-query-buffer-limit",
    "evicted_clients": "maxmemory-clients",
}
"""A count of closed connections in INFO, and the setting that closes them."""
_HOUR_S = 3600
_LOOPBACK = ("127.", "::1", "-::1", "localhost")


async def server(subject: Subject) -> Finding:
    """Whether a server of a sufficient version answers; `check` refuses all others."""
    return green(f"{await check(subject.redis, subject.url)} at {without_password(subject.url)}")


async def role(subject: Subject) -> Finding:
    """Whether it is a primary."""
    info = await subject.info()
    if info["role"] in ("slave", "replica"):
        return red(
            f"a replica of {info.get('master_host')}:{info.get('master_port')}, link {info.get('master_link_status')}",
            "It refuses every write, so nothing is recorded.",
            "Name the primary with --redis-url; after a failover that stopped half-way, `redis-cli REPLICAOF NO ONE`.",
        )
    replicas = int(info.get("connected_slaves", 0))
    wanted = int((await subject.config()).get("min-replicas-to-write", "0"))
    if (good := int(info.get("min_slaves_good_slaves", replicas))) < wanted:
        return red(
            f"primary with {good} replicas that keep up, but min-replicas-to-write is {wanted}",
            "It refuses every write, so nothing is recorded.",
            "Bring the replicas back, or lower min-replicas-to-write.",
        )
    return green(f"primary with {replicas} replicas")


async def connections(subject: Subject) -> Finding:
    """Whether the server has connections left, and closes none because of what they ask for."""
    info = await subject.info()
    used, most, rejected = int(info["connected_clients"]), int(info["maxclients"]), int(info["rejected_connections"])
    what = f"{used:,} of {most:,}, {rejected:,} were refused since the server started"
    if rejected or used > most * MAX_CONNECTED_SHARE:
        return amber(
            what,
            "A worker that cannot connect decides nothing, and another one cannot take over.",
            "See `redis-cli CLIENT LIST` for who holds them; raise maxclients.",
        )
    for field, setting in _CLOSED.items():
        if closed := int(info.get(field, 0)):
            return amber(
                f"{closed:,} were closed by {setting} since the server started",
                "Whoever asks for that much is cut off each time: a worker, a backup, this doctor.",
                f"See the server's log for whom it closed; raise {setting}.",
            )
    return green(what)


async def exposure(subject: Subject) -> Finding:
    """Whether other machines can reach it without a password."""
    config = await subject.config()
    bind = config.get("bind", "").split()
    if bind and all(address.startswith(_LOOPBACK) for address in bind):
        return green("it listens on this machine alone")
    where = f"it listens on {' '.join(bind) or 'every address'}"
    if not await _lets_strangers_in(subject):
        return green(f"{where} and refuses whoever names no user")
    do = (
        "Bind it to 127.0.0.1; or give every program its user and turn the default one off (docs/operations/access.md)."
    )
    if config.get("protected-mode") == "yes" and not config.get("requirepass"):
        shown = f"{where} and asks for no password; protected-mode refuses other machines"
        return amber(shown, "One setting alone keeps others out.", do)
    shown = f"{where} and asks for no password"
    return red(shown, "Whoever reaches the port can read, change and delete everything.", do)


async def _lets_strangers_in(subject: Subject) -> bool:
    """Whether it answers a connection without user and password."""
    stranger = connect(subject.url, retries=0)
    stranger.connection_pool.connection_kwargs |= {"username": None, "password": None}
    try:
        await stranger.info("server")
    except (AuthenticationError, NoPermissionError):
        return False
    finally:
        await stranger.aclose()
    return True


async def persistence(subject: Subject) -> Finding:
    """Whether the server writes its append-only file."""
    info = await subject.info()
    if not info["aof_enabled"]:
        return red(
            "appendonly is off",
            "A restart loses live keys, positions and ticks; the trail comes back only from the spool or a backup.",
            "Run `redis-cli CONFIG SET appendonly yes`, and write it in redis.conf.",
        )
    for field, what in (("aof_last_write_status", "write to"), ("aof_last_bgrewrite_status", "rewrite of")):
        if info.get(field) != "ok":
            return red(
                f"the last {what} the append-only file failed",
                "The server refuses writes, or its file grows until the disk is full.",
                "See the server's log and the free space of its disk.",
            )
    return green("the append-only file is written")


async def last_save(subject: Subject) -> Finding:
    """When the server last saved a snapshot, and whether that worked."""
    info = await subject.info()
    age_ms = clock.now_ms() - 1000 * int(info["rdb_last_save_time"])
    if info.get("rdb_last_bgsave_status") != "ok":
        return red(
            "the last snapshot failed",
            "With save points set the server refuses writes; `llmctx backup` cannot use BGSAVE.",
            "See the server's log, the free space of its disk, and vm.overcommit_memory.",
        )
    changes = int(info.get("rdb_changes_since_last_save", 0))
    if not info["aof_enabled"] and changes:
        return red(
            f"{changes:,} changes since the last snapshot, {clock.in_words(age_ms)} ago, and no append-only file",
            "They are lost if the server dies now.",
            "Run `redis-cli CONFIG SET appendonly yes`.",
        )
    since = "the append-only file has what came later" if info["aof_enabled"] else "nothing changed since"
    return green(f"{clock.in_words(age_ms)} ago; {since}")


async def fsync(subject: Subject) -> Finding:
    """Whether the disk keeps up with the append-only file."""
    delayed = int((await subject.info()).get("aof_delayed_fsync", 0))
    if delayed:
        return amber(
            f"{delayed:,} delayed since the server started",
            "The disk is too slow: every write waits for it, and a crash loses more than a second.",
            "Move the append-only file to a faster disk, away from the state directory.",
        )
    return green("none was delayed")


async def latency(subject: Subject) -> Finding:
    """How long the server takes for our functions, by its own measure (`INFO latencystats`)."""
    statistics = await subject.info()
    found = {
        verb: statistics[name]["p99"] / 1000
        for verb in ("fcall", "fcall_ro")
        if "p99" in statistics.get(name := f"latency_percentiles_usec_{verb}", {})
    }
    if not found:
        return unknown("no function was called yet, or latency-tracking is off", "Ask again under load.")
    what = ", ".join(f"{verb} p99 {ms:.1f} ms" for verb, ms in found.items())
    if max(found.values()) > MAX_CALL_MS:
        return amber(
            what,
            "Each tick waits for three such calls, and everything else waits meanwhile.",
            "See `redis-cli SLOWLOG GET`; give the server a core of its own, and large values less room.",
        )
    return green(what)


async def stalls(subject: Subject) -> Finding:
    """Whether anything blocked the server in the last hour (LATENCY, if it monitors, and SLOWLOG)."""
    events = await execute(subject.redis, "LATENCY", "LATEST")
    slow = await execute(subject.redis, "SLOWLOG", "GET", 128)
    since_s = clock.now_ms() // 1000 - _HOUR_S
    found = [
        f"{event.decode()} took {ms} ms" for event, at_s, ms, *_ in events if at_s >= since_s and ms > MAX_STALL_MS
    ]
    found += [
        f"{words[0].decode(errors='replace')} took {micros // 1000} ms"
        for _, at_s, micros, words, *_ in slow
        if at_s >= since_s and micros > MAX_STALL_MS * 1000
    ]
    if found:
        return amber(
            f"{len(found)} in the last hour: {', '.join(found[:3])}",
            "The server runs one command at a time: every tick waited as long.",
            "See `redis-cli SLOWLOG GET` and `redis-cli LATENCY LATEST` for who sent them.",
        )
    if (await subject.config()).get("slowlog-log-slower-than", "").startswith("-"):
        return unknown("the slow log is off", "Run `redis-cli CONFIG SET slowlog-log-slower-than 10000`.")
    return green(f"no command took more than {MAX_STALL_MS} ms in the last hour")
