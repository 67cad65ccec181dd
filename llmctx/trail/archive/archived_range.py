"""A range that is archived and proven: what the owner of a partition is told, so that it notes and trims it."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from llmctx.errors import TrailError
from llmctx.trail.log.base import Base

REQUEST = "archived"
"""The kind of a request to trim one."""


class ArchivedRange(BaseModel):
    """A range of records that is archived and proven."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int
    """The index of its first record, where the log begins so far."""
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

    @classmethod
    def read(cls, content: dict[str, Any]) -> Self:
        """The range in a request.

        Raises TrailError if it is malformed.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise TrailError(
                f"A request to trim the log is malformed: {error}", "Use one version of llmctx."
            ) from error
