"""A directory of backups: one writer at a time, and older backups rotated out."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from llmctx import clock
from llmctx.errors import BackupError
from llmctx.ops.backup.manifest import PARTIAL, backups_in
from llmctx.private_files import exclusive_lock


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other backups out of a directory, which is made if it is missing.

    Raises BackupError if another process is making a backup there, OSError if the directory cannot be used.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(directory / ".lock"))
        except BlockingIOError as error:
            raise BackupError(
                f"Another backup is being made in {directory}.",
                "Wait until it is done, or name another folder.",
                exit_code=3,
            ) from error
        yield


def remove_partial(directory: Path) -> None:
    """Remove what is not, or no longer, a backup; the caller holds the lock."""
    for folder in directory.glob(f"{PARTIAL}*"):
        shutil.rmtree(folder, ignore_errors=True)


def rotate(directory: Path, instance: str, daily: int, weekly: int) -> list[Path]:
    """Remove older good backups of a trail and return their folders.

    Kept are the newest backup, the newest of each of the last `daily` days that have one, and of each of the last
    `weekly` weeks; days and weeks are in UTC. Backups whose proof failed stay.

    Raises OSError if the disk fails.
    """
    with locked(directory):
        backups = [backup for backup in backups_in(directory) if backup.manifest.instance == instance]
        kept = kept_times([backup.manifest.made_ms for backup in backups], daily, weekly)
        removed = [backup.folder for backup in backups if backup.manifest.made_ms not in kept]
        for folder in removed:
            folder.rename(folder.with_name(f"{PARTIAL}{folder.name}"))  # no half of a backup keeps its name
        remove_partial(directory)
        return removed


def kept_times(times_ms: Iterable[int], daily: int, weekly: int) -> set[int]:
    """Which of the backups made at these times are kept."""
    days: dict[object, int] = {}
    weeks: dict[object, int] = {}
    for time_ms in sorted(times_ms):
        moment = clock.from_ms(time_ms)
        days[moment.date()] = weeks[moment.isocalendar()[:2]] = time_ms
    newest_first = [*reversed(days.values())], [*reversed(weeks.values())]  # a later backup has replaced an earlier one
    return {*newest_first[0][: max(1, daily)], *newest_first[1][:weekly]}
