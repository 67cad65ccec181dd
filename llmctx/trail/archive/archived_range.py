"""A range that is archived and proven, as told to the owner of a partition, which records and trims it."""

from pydantic import BaseModel, ConfigDict

from llmctx.trail.log.base import Base


class ArchivedRange(BaseModel):
    """A range of records that is archived and proven."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int
    """The index of its first record, where the log begins before the trim."""
    base: dict[str, str]
    """The base after it (`Base.fields`)."""
    made_ms: int
    """When it was archived, in milliseconds of the server's time."""
    stays: tuple[int, ...] = ()
    """The indices of archived records that stay readable in Redis."""

    @property
    def after(self) -> Base:
        """The base after it.

        Raises ValueError if it is malformed.
        """
        return Base.read({name.encode(): value.encode() for name, value in self.base.items()})
