"""Checks of the trail: whose it is, who serves it, what waits, what failed, and whether it is signed."""

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.connection.streams import read_stream
from llmctx.errors import CheckpointError, InstanceError
from llmctx.functions import foreign_libraries, own_libraries
from llmctx.ops.doctor.finding import Finding, Level, amber, green, red
from llmctx.ops.doctor.subject import Subject
from llmctx.schema import keys
from llmctx.trail.log.entry import address
from llmctx.trail.log.instance import check_state_instance
from llmctx.trail.log.log import Log
from llmctx.trail.log.unreadable import TO_DO
from llmctx.trail.proof.checkpoint import read_note
from llmctx.worker.controls import halted

AMBER_WAIT_MS, RED_WAIT_MS = 30_000, 300_000
"""How long a tick may wait."""
AMBER_UNSIGNED_MS, RED_UNSIGNED_MS = 120_000, 600_000
"""How old the newest checkpoint may be while records wait for the next one; one is signed every minute at least."""
AMBER_ARCHIVE_MS = 30 * 86_400_000
"""How old the oldest record may be that is in no archive."""

_RUN = "Start `llmctx run`."


async def instance(subject: Subject) -> Finding:
    """Whether server and state directory belong to the same trail."""
    found = await subject.instance()
    if found is None:
        return amber("no trail yet", "Nothing is recorded.", _RUN)
    try:
        here = check_state_instance(subject.places.state_dir, found)
    except InstanceError as error:
        return red(error.what, "No worker starts with this state directory.", error.do)
    if here is None:
        return amber(
            f"{found.id}, but {subject.places.state_dir} belongs to no trail",
            "Spool, anchor and key of the trail are not examined.",
            "Name its --state-dir, or run the doctor on the worker's machine.",
        )
    return green(f"{found.id}, {found.partitions} partitions")


async def functions(subject: Subject) -> Finding:
    """Whether the functions in the server are ours."""
    foreign = await foreign_libraries(subject.redis)
    if foreign:
        return red(
            f"not ours, under names of ours: {', '.join(foreign)}",
            "They may change what is read and recorded.",
            "Run `llmctx verify`, see who may load functions (docs/threat-model.md); a running worker deletes them.",
        )
    loaded = await own_libraries(subject.redis)
    if not any(name.startswith("llmctx_append_") for name in loaded):
        return amber(
            "the function that appends records is not loaded",
            "It is loaded at the first append, which fails if FUNCTION LOAD is forbidden there.",
            f"{_RUN} If it is running, another version of llmctx serves this trail.",
        )
    return green(f"{len(loaded)} loaded, as this version has them")


async def leases(subject: Subject) -> Finding:
    """Whether each partition has an owner."""
    partitions = await subject.partitions()
    free = [partition for partition in partitions if partition["owner"] is None]
    if free:
        waiting = sum(partition["backlog"] for partition in free)
        finding = red if waiting else amber
        names = ", ".join(str(partition["partition"]) for partition in free)
        return finding(f"nobody holds partition {names}", f"No tick is decided meanwhile; waiting: {waiting}.", _RUN)
    owners = sorted({partition["owner"] for partition in partitions})
    return green(f"{len(partitions)} partitions held by {', '.join(owners)}")


async def backlog(subject: Subject) -> Finding:
    """How many ticks wait, and for how long the oldest does."""
    now_ms, oldest_ms = await server_ms(subject.redis), 0
    for partition in await subject.partitions():
        entries = await read_stream(subject.redis, keys.ticks(partition["partition"]), count=1)
        oldest_ms = max([oldest_ms, *(now_ms - entry.number for entry in entries)])
    waiting = sum(partition["backlog"] for partition in await subject.partitions())
    pending = sum(partition["pending"] for partition in await subject.partitions())
    what = f"{waiting:,} ticks wait, {pending:,} of them are being decided"
    if oldest_ms < AMBER_WAIT_MS:
        return green(what)
    finding = red if oldest_ms >= RED_WAIT_MS else amber
    return finding(
        f"{what}; the oldest for {clock.in_words(oldest_ms)}",
        "Decisions come late, stops too.",
        "See owners and the last failure in `llmctx status`; raise concurrency, or start more workers.",
    )


async def dead_letters(subject: Subject) -> Finding:
    """Whether ticks among the newest records could not be decided."""
    recent, found = await subject.recent(), await subject.instance()
    dead = [entry for entry in recent if entry.record["kind"] == "dead_letter"]
    if not dead or found is None:
        return green(f"none among the newest {len(recent)} records")
    where = address(dead[0].index, dead[0].partition, found.partitions)
    return red(
        f"{len(dead)} among the newest {len(recent)} records: {dead[0].record['verdict']['reason']}",
        "These ticks got no decision, at best the guardrails' verdict.",
        f"See `llmctx show {where}` and the worker's messages of that time.",
    )


async def incidents(subject: Subject) -> Finding:
    """Whether stops wait, records cannot be read, or somebody else writes to the trail."""
    partitions = await subject.partitions()
    if stops := [symbol for partition in partitions for symbol in partition["unconfirmed_stops"]]:
        return red(
            f"a stop waits in {', '.join(stops)}",
            "The position is held below its stop.",
            "Look at the price now: `llmctx confirm SYMBOL` if it is right, correct it if not.",
        )
    if unreadable := [line for partition in partitions for line in partition["unreadable"]]:
        return red(unreadable[0], f"{len(unreadable)} records prove nothing.", TO_DO)
    if repairs := sum(sum(partition["repairs"].values()) for partition in partitions):
        return amber(
            f"{repairs} foreign entries were removed",
            "Somebody else writes to this server.",
            "Run `llmctx verify`, and give every program its own ACL user (docs/threat-model.md).",
        )
    return green("no stop waits, every record can be read, nobody else wrote")


async def halts(subject: Subject) -> Finding:
    """Whether everything or a symbol is halted."""
    if found := await halted(subject.redis):
        return amber(
            f"halted: {', '.join(found)}",
            "No new risk is taken there and no model is asked; exits stay possible.",
            "`llmctx resume` once the reason is gone; `llmctx decisions --kind notice` says who halted it and why.",
        )
    return green("nothing is halted")


async def checkpoints(subject: Subject) -> Finding:
    """Whether the newest records are signed."""
    found = await subject.instance()
    now_ms = await server_ms(subject.redis)
    logs = [] if found is None else subject.logs(found)
    findings = [await checkpoint_of(log, now_ms) for log in logs]
    return max(findings, key=lambda finding: list(Level).index(finding.level))


async def checkpoint_of(log: Log, now_ms: int) -> Finding:
    """Whether the newest records of a partition are signed; `now_ms` is the server's time."""
    note, size = await log.checkpoint(), await log.size()
    do = "See that `llmctx run` (without --no-notary) or `llmctx notary` runs, and what it logs."
    unsigned = "Records that nothing signs yet could be changed unnoticed."
    if note is None:
        what = f"none over {size} records"
        is_new = not size or now_ms - await _oldest_ms(log) < AMBER_UNSIGNED_MS
        return green(what) if is_new else red(what, unsigned, do)
    try:
        checkpoint = read_note(note)
    except CheckpointError as error:
        return red(f"unusable: {error.why}", unsigned, f"{do} Run `llmctx verify`.")
    age_ms = now_ms - checkpoint.time_ms
    what = f"the newest is {clock.in_words(max(0, age_ms))} old, over {checkpoint.size} of {size} records"
    if checkpoint.size >= size or age_ms < AMBER_UNSIGNED_MS:
        return green(what)
    return (red if age_ms >= RED_UNSIGNED_MS else amber)(what, unsigned, do)


async def _oldest_ms(log: Log) -> int:
    """When the oldest record here was made; 0 if it cannot be read."""
    entry = await log.entry(await log.first())
    return 0 if entry is None else int(entry.record.get("recorded_at_ms", 0))


async def archive(subject: Subject) -> Finding:
    """How old the oldest record outside any archive is."""
    found = await subject.instance()
    logs = [] if found is None else subject.logs(found)
    now_ms = await server_ms(subject.redis)
    oldest_ms, archived = now_ms, 0
    for log in logs:
        # Records below the base are archived, even if some of them stay readable here.
        base = await log.base()
        archived += base.size
        async for entry in log.read(base.size):
            oldest_ms = min(oldest_ms, int(entry.record.get("recorded_at_ms", now_ms)))
            break
    what = (
        f"{archived:,} records are archived; the oldest other one is {clock.in_words(max(0, now_ms - oldest_ms))} old"
    )
    if now_ms - oldest_ms < AMBER_ARCHIVE_MS:
        return green(what)
    return amber(
        what,
        "It takes memory that new records need, and exists only in Redis and its backups.",
        "Run `llmctx archive` daily, from cron.",
    )
