"""What each role may do in Redis: which commands on which keys and channels.

A rule of Redis that shapes this table: all keys of one command must be allowed by one grant, and FCALL counts each of
its keys as read and written. What a function does inside is checked again, command by command, for the user who calls
it. So a grant may allow FCALL on a key that no other grant lets that user write.
"""

from typing import NamedTuple

from llmctx.schema import keys
from llmctx.schema.keys import BY_SECTION, FAMILIES
from llmctx.schema.mapping.sections import Sections
from llmctx.trail.log.instance import INSTANCE_KEY
from llmctx.trail.log.lease import partition_key
from llmctx.trail.log.people import PEOPLE_KEY


class Grant(NamedTuple):
    """Commands that are allowed on keys."""

    commands: tuple[str, ...]
    """The commands; a subcommand as `command|subcommand`."""
    reads: tuple[str, ...] = ()
    """Patterns of keys that they may read."""
    writes: tuple[str, ...] = ()
    """Patterns of keys that they may write but not read."""
    both: tuple[str, ...] = ()
    """Patterns of keys that they may read and write."""
    channels: tuple[str, ...] = ()
    """Patterns of channels that they may use."""


class Role(NamedTuple):
    """A role that a program has."""

    name: str
    """Its name, which is also its user's unless another is given."""
    does: str
    """Its purpose, in one line."""
    grants: tuple[Grant, ...]
    """Everything that it may do."""


def _live(*sections: str) -> tuple[str, ...]:
    return tuple(BY_SECTION[section].key("*", "*") for section in sections)


def _updates(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(keys.UPDATES + pattern for pattern in patterns)


_EXECUTED = (*_live("position", "monitoring", "performance"), keys.PORTFOLIO)
_COLLECTED = (
    *(family.key("*", "*") for family in FAMILIES if family.key("*", "*") not in _EXECUTED),
    keys.TIMEFRAMES.key("*"),
)
_LIVE = (*_COLLECTED, *_EXECUTED)
_BARS, _NEWS = keys.bars("*"), keys.news("*")
_LISTS = (keys.SCORES, keys.SCREENED, _NEWS)
_HISTORY = (keys.FILLS, keys.FUNDING, keys.CLOSED, keys.DAYS)
_TICKS, _ATTEMPTS = keys.ticks("*"), keys.attempts("*")
_EFFECTS = keys.effects("*")
_DECISIONS, _LATEST = keys.decisions("*"), keys.latest("*", "*")
_CONTROLS = (keys.halt(), keys.halt("*"), keys.RESERVED)
_TRAIL = (INSTANCE_KEY, PEOPLE_KEY, partition_key("*", "*"))

CONNECT = Grant(("ping", "info", "time", "select", "multi", "exec", "discard", "unwatch"))
"""What every user may do: connect, ask for the time, and send several commands as one."""
_READ = (
    "get", "mget", "exists", "type", "ttl", "pttl", "strlen",
    "hget", "hmget", "hgetall", "hexists", "hkeys", "hscan", "hvals", "hlen", "lrange", "llen", "lindex",
    "zrange", "zrangebyscore", "zrevrange", "zcard", "zscore",
    "xrange", "xrevrange", "xread", "xlen", "xpending", "xinfo|stream", "xinfo|groups", "xinfo|consumers",
)  # fmt: skip
_WRITE = ("set", "setex", "mset", "expire", "del", "unlink", "xadd", "publish")
_LISTED = ("hset", "hget", "zadd", "zrem", "zrevrange", "zrange", "zremrangebyscore", "hgetall")
_SAMPLE = Grant(("scan", "pttl", "memory|usage"), reads=("*",))
_LOAD = ("function|list", "function|load", "function|delete")


def roles_for(database: int, sections: Sections | None = None) -> tuple[Role, ...]:
    """Every role, for a server whose live keys and trail are in this database; `sections` are read from other keys."""
    return (
        Role(
            "collector",
            "writes prices, indicators, headlines, lists, signals and the system's state",
            (Grant((*_READ, *_WRITE), both=(*_COLLECTED, _BARS), channels=_updates(_COLLECTED)),),
        ),
        Role(
            "raiser",
            "raises ticks, and reads how many partitions there are",
            (Grant(("xadd", "hget", "hgetall"), reads=(INSTANCE_KEY,), writes=(_TICKS,)),),
        ),
        Role(
            "worker",
            "`llmctx run`, `decide`, `confirm`, `halt`, `archive`: decides, records, publishes, archives",
            _worker(database, sections),
        ),
        Role(
            "notary",
            "`llmctx notary`: reads the trail and writes checkpoints",
            (
                Grant((*_READ, "watch"), reads=_TRAIL),
                Grant(("set",), writes=(partition_key("*", "checkpoint"),)),
            ),
        ),
        Role(
            "execution",
            "reads decisions, in a consumer group or alone, writes positions, and reports effects",
            (
                Grant((*_READ, *_WRITE), both=(*_EXECUTED, *_HISTORY), channels=_updates(_EXECUTED)),
                Grant(_READ, reads=(_DECISIONS, _LATEST, INSTANCE_KEY)),
                Grant(("xadd",), writes=(_EFFECTS,)),
                Grant(
                    ("xreadgroup", "xack", "xclaim", "xautoclaim", "xgroup|create", "xgroup|createconsumer"),
                    both=(_DECISIONS,),
                ),
            ),
        ),
        Role(
            "auditor",
            "reads trail, published decisions and bars: `verify`, `export`, `decisions`, `show`, `replay`",
            (Grant((*_READ, "scan", "function|list"), reads=(*_TRAIL, _DECISIONS, _LATEST, _BARS)),),
        ),
        Role("operator", "`llmctx status`, `keys`, `watch`, `context`, `backup`, `cleanup`", _operator()),
        Role("feed", "`llmctx feed`: collector, raiser and paper broker in one", _feed()),
    )


def _worker(database: int, sections: Sections | None) -> tuple[Grant, ...]:
    position = BY_SECTION["position"] if sections is None else sections.family("position")
    mapped = () if sections is None else tuple(sections.family(name).key("*", "*") for name in sections.rules)
    notified = f"__keyspace@{database}__:{position.key('*')}"
    own = (
        *_TRAIL,
        *_CONTROLS,
        _TICKS,
        _ATTEMPTS,
        _EFFECTS,
        _DECISIONS,
        _LATEST,
        keys.decisions_made("*"),
        keys.ticks_made("*"),
        keys.effects_made("*"),
        keys.WORKERS,
        keys.BUDGET,
    )
    writes = (
        "fcall", "set", "del", "rename", "hset", "hsetnx", "hdel", "hincrby", "rpush", "lpush", "ltrim", "xtrim",
        "zadd", "zrem", "zremrangebyscore", "watch",
        "xadd", "xdel", "xack", "xclaim", "xreadgroup", "xgroup|create", "xgroup|setid",
    )  # fmt: skip
    return (
        Grant(
            (*_READ, *writes, "fcall_ro", *_LOAD, "wait", "bgrewriteaof", "psubscribe", "punsubscribe"),
            reads=(*_LIVE, *mapped, _BARS, *_HISTORY),
            both=own,
            channels=(notified,),
        ),
        Grant(("fcall", "hgetall", "hset", "hdel", "expire"), both=(keys.rate_limit("*"),)),
        _SAMPLE,
    )


def _operator() -> tuple[Grant, ...]:
    diagnoses = (
        "function|list", "config|get", "dbsize", "lastsave", "latency|latest", "latency|history", "latency|histogram",
        "slowlog|get", "slowlog|len", "memory|stats", "memory|doctor", "acl|whoami", "acl|log",
    )  # fmt: skip
    temporary = (*(family.key("*", "*") for family in FAMILIES if family.section != "position"), *_LISTS)
    tidied = (*temporary, _BARS, *_HISTORY)
    return (
        Grant((*_READ, *diagnoses, "scan", "memory|usage", "fcall_ro"), reads=("*",)),
        Grant(("subscribe", "psubscribe", "unsubscribe", "punsubscribe"), channels=_updates(_LIVE)),
        Grant(("bgsave", "bgrewriteaof", "psync", "sync", "replconf")),
        Grant(("fcall",), both=(*tidied, _TICKS, _EFFECTS, _DECISIONS, *_live("position"))),
        Grant(
            ("expire", "unlink", "xtrim", "hdel", "zrem", "zremrangebyscore", "publish"),
            both=tidied,
            channels=_updates(temporary),
        ),
        Grant(("xgroup|delconsumer",), both=(_TICKS, _EFFECTS, _DECISIONS)),
    )


def _feed() -> tuple[Grant, ...]:
    written = (*_LIVE, _BARS, *_LISTS, *_HISTORY, keys.BOOK)
    awaited = tuple(partition_key("*", name) for name in ("log", "ticks", "blob:*", "dictionaries"))  # by --lockstep
    return (
        Grant(
            (*_READ, *_WRITE, *_LISTED, "scan", "xdel"),
            both=written,
            reads=(INSTANCE_KEY, _DECISIONS, *awaited),
            channels=_updates(_LIVE),
        ),
        Grant(("xadd",), writes=(_TICKS, _EFFECTS)),
        Grant(("fcall",), both=(*written, _TICKS, _EFFECTS, _DECISIONS)),
    )
