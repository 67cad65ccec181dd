"""The retention classes: how long what is archived is kept, and from when on pieces of evidence are erased."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from llmctx.trail.log.entry import PIECES

_DAY_MS = 86_400_000


class Retention(BaseModel):
    """How long each piece of evidence is kept, in days; 0 keeps it for ever. Leaves and digests are always kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    locked_d: int = Field(0, ge=0)
    """For how many days an object store retains what is archived, by object lock; 0 locks nothing."""
    snapshot_d: int = Field(0, ge=0)
    """Days after which the raw live keys are erased; they hold headlines and what others wrote."""
    messages_d: int = Field(0, ge=0)
    """Days after which the messages to the model are erased."""
    completion_d: int = Field(0, ge=0)
    """Days after which the model's raw answer is erased."""
    foreign_d: int = Field(0, ge=0)
    """Days after which entries are erased that somebody else had written to the log."""

    @model_validator(mode="after")
    def _lock_ends_first(self) -> Self:
        for piece in PIECES:
            if 0 < (days := int(getattr(self, f"{piece}_d"))) < self.locked_d:
                raise ValueError(f"locked_d {self.locked_d} is longer than {piece}_d {days}: what is locked stays")
        return self

    @property
    def erases(self) -> bool:
        """Whether any piece is ever erased."""
        return any(getattr(self, f"{piece}_d") for piece in PIECES)

    def erased(self, age_ms: int) -> tuple[str, ...]:
        """The pieces that are past their time in a record of this age."""
        days = {piece: int(getattr(self, f"{piece}_d")) for piece in PIECES}
        return tuple(piece for piece, kept in days.items() if kept and age_ms >= kept * _DAY_MS)
