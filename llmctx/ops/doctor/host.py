"""Checks of this host: its clock, the disk of the state directory, and the newest backup."""

import os
import shutil
from pathlib import Path

from llmctx import clock
from llmctx.connection import server_ms
from llmctx.errors import BackupError
from llmctx.ops.backup.manifest import BAD, backups_in
from llmctx.ops.doctor.finding import Finding, amber, green, red, unknown
from llmctx.ops.doctor.subject import Subject
from llmctx.trail.log.instance import read_state_instance
from llmctx.trail.proof.key import key_file
from llmctx.trail.proof.replaced import key_trouble

AMBER_SKEW_MS, RED_SKEW_MS = 100, 1000
"""How far the clocks of server and host may be apart."""
AMBER_BACKUP_MS, RED_BACKUP_MS = 26 * 3_600_000, 8 * 86_400_000
"""How old the newest backup may be: a day and two hours, or a week and a day."""
AMBER_FREE, RED_FREE = 2**30, 2**28
"""So few bytes free are too few, or will soon be."""

_UNPUBLISHED = "Without it decisions are recorded, but none is published."


async def clock_skew(subject: Subject) -> Finding:
    """How far the server's clock is from this host's, by half the round trip at most."""
    sent_ms, server_now_ms, received_ms = clock.now_ms(), await server_ms(subject.redis), clock.now_ms()
    skew_ms = abs(server_now_ms - (sent_ms + received_ms) // 2)
    what = f"{skew_ms} ms between server and host"
    if skew_ms < AMBER_SKEW_MS:
        return green(what)
    return (red if skew_ms >= RED_SKEW_MS else amber)(
        what,
        "Ages follow the server's clock: what collectors of this host write is judged too old or too new.",
        "Synchronise both machines with UTC.",
    )


async def disk(subject: Subject) -> Finding:
    """How much spool and anchor take, and how much their disk has left."""
    folder = subject.places.state_dir
    if not folder.is_dir():
        do = "Name the --state-dir of the trail, or run the doctor on the worker's machine."
        return unknown(f"there is no {folder} here", do)
    free = shutil.disk_usage(folder).free
    sizes = {name: _size(folder / name) for name in ("spool", "anchor")}
    what = (
        ", ".join(f"{name} {size / 2**20:,.1f} MB" for name, size in sizes.items()) + f", {free / 2**30:,.1f} GB free"
    )
    if not os.access(folder, os.W_OK | os.X_OK):
        return red(f"{folder} cannot be written by this user", _UNPUBLISHED, "Run it as the worker's user.")
    instance = await subject.instance()
    if instance is not None and read_state_instance(folder) == instance and not (folder / "spool").is_dir():
        return red(
            f"{folder} has no spool",
            "What Redis forgets cannot be refilled.",
            "Restore the folder from a backup, or start `llmctx run`, which begins a new one.",
        )
    if free >= AMBER_FREE:
        return green(what)
    return (red if free < RED_FREE else amber)(what, _UNPUBLISHED, f"Free space on the disk of {folder}, or move it.")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def key(subject: Subject) -> Finding:
    """Whether the instance key is here, is the one that signed the trail, and readable only by its owner."""
    instance = await subject.instance()
    if instance is None:
        return green("none yet; it is made with the trail")
    path = key_file(subject.places.state_dir, instance.id)
    if not path.is_file():
        if (trouble := key_trouble(subject.places.state_dir, instance.id, instance.partitions)) is not None:
            return red(trouble.what.rstrip("."), "Nothing that is verified here can be believed.", trouble.do)
        return amber(
            f"{path} is missing",
            "Nothing signs checkpoints, unless `llmctx notary` runs with another state directory.",
            "Restore it from where you keep it (docs/operations.md, Keys); or run the doctor where the notary runs.",
        )
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return red(
            f"{path} has mode {mode:o}",
            "Other users of this machine can read it and sign what they like.",
            f"Run `chmod 600 {path}`, and take the key for stolen if you do not trust them all.",
        )
    if (trouble := key_trouble(subject.places.state_dir, instance.id, instance.partitions)) is not None:
        return red(trouble.what.rstrip("."), "Records go on, and no checkpoint signs them here.", trouble.do)
    return green(f"{path.name}, for its owner alone")


async def backup(subject: Subject) -> Finding:
    """How old the newest good backup of this trail is, and whether the last one failed."""
    folder, instance = subject.places.backups, await subject.instance()
    do = "Run `llmctx backup --to DIR` daily, from cron, and name DIR with --backups."
    consequence = "What server and state directory lose together is lost for good."
    try:
        made = [found for found in backups_in(folder) if instance is None or found.manifest.instance == instance.id]
    except (BackupError, OSError) as error:
        return red(str(error).partition("\n")[0], consequence, do)
    failed = max((path.name for path in folder.glob(f"*{BAD}")), default="") if folder.is_dir() else ""
    if not made:
        return red(f"none of this trail in {folder}", consequence, do)
    newest = made[-1]
    if failed > newest.folder.name:
        return red(f"{failed}: its proof failed", consequence, "Run `llmctx backup` again; it says why.")
    age_ms = clock.now_ms() - newest.manifest.made_ms
    what = f"{newest.folder} is {clock.in_words(max(0, age_ms))} old"
    if age_ms < AMBER_BACKUP_MS:
        return green(what)
    return (red if age_ms >= RED_BACKUP_MS else amber)(what, "What came later exists only here.", do)
