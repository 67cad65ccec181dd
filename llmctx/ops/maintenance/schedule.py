"""The schedule of maintenance: how often each step is done, and which steps are due."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Step = Literal["archive", "erase", "backup", "cleanup"]
STEPS: tuple[Step, ...] = ("archive", "erase", "backup", "cleanup")
"""The steps, in their order."""
_HOUR_MS = 3_600_000


class Schedule(BaseModel):
    """When each step runs, and with which options. An interval of 0 hours means never."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: str = Field("02:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    """The UTC time of day from which intervals are counted: with 24 hours, a step is due at this time every day."""
    archive_every_h: int = Field(24, ge=0)
    """Hours between two archive runs. Nothing is archived while the setting `archive` is unset."""
    archive_older_than_d: int = Field(7, ge=0)
    """Records older than this many days are archived."""
    archive_keep: int = Field(2000, ge=0)
    """How many of the newest records of each partition stay in Redis."""
    erase_every_h: int = Field(24, ge=0)
    """Hours between two erasures. Nothing is erased while the table `retention` names no piece."""
    backup_every_h: int = Field(24, ge=0)
    """Hours between two backups. Nothing is backed up while `backup_to` is unset."""
    backup_to: str | None = None
    """The folder, or the address in an object store, that collects backups."""
    backup_keep_daily: int = Field(7, ge=0)
    """For how many days the newest backup of a day is kept."""
    backup_keep_weekly: int = Field(8, ge=0)
    """For how many weeks the newest backup of a week is kept."""
    cleanup_every_h: int = Field(24, ge=0)
    """Hours between two cleanups."""

    def interval_ms(self, step: Step) -> int:
        """The interval of a step in milliseconds; 0 means never."""
        hours: int = getattr(self, f"{step}_every_h")
        return hours * _HOUR_MS

    def due_ms(self, step: Step, now_ms: int) -> int:
        """When a step last fell due, at or before now."""
        hours, minutes = map(int, self.at.split(":"))
        offset_ms, interval_ms = hours * _HOUR_MS + minutes * 60_000, self.interval_ms(step)
        return now_ms - (now_ms - offset_ms) % interval_ms

    def is_due(self, step: Step, done_ms: int | None, now_ms: int) -> bool:
        """Whether a step that last ran at `done_ms` is due now; None if it never ran."""
        if self.interval_ms(step) == 0:
            return False
        return done_ms is None or done_ms < self.due_ms(step, now_ms)
