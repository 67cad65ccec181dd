"""What shapes a package apart from its data: which keys are read, and how old and how large they may be."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from llmctx.context.memory import MemoryLength
from llmctx.limits import MAX_VALUE_BYTES
from llmctx.schema.keys import SIGNAL_TYPES, section_keys
from llmctx.schema.mapping.sections import Sections

DEFAULT_MAX_AGE_S: dict[str, int] = {
    "price": 90,
    "indicators": 180,
    "sentiment": 4 * 3600,
    "position": 300,
    "monitoring": 300,
    "signals": 3600,
    "candidates": 900,
    "system": 300,
    "performance": 86_400,
    "market": 3600,
}
"""Seconds after which a section is stale; the watchlist and the thesis have no limit."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
"""A signal type, as used in keys and records."""
SectionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,60}$")]
"""A section, or the section of one signal type: signals.entry."""
Limit = Annotated[int, Field(ge=0, le=10**12)]
Clock = Literal["server", "bars"]
"""The clock that ages are measured against: the server's, or system:state's, which a feed of recorded data writes."""


class ReadRules(BaseModel):
    """What shapes a package apart from its data."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    signal_types: tuple[Name, ...] = SIGNAL_TYPES
    """The signal types to read, one section each."""
    max_age_s: dict[SectionName, Limit] = DEFAULT_MAX_AGE_S
    """Maximum age by section, in seconds."""
    max_value_bytes: Limit = MAX_VALUE_BYTES
    """A larger value is not transferred, and its section is invalid."""
    skew_ms: Limit = 2000
    """How far a collector's clock may run ahead of the server's; on the bars clock the tolerance is 0."""
    clock: Clock | None = None
    """The trail's clock; None while it is not fixed and system:state decides."""
    stale_stop_factor: Annotated[int, Field(ge=1, le=10**6)] = 10
    """How many times its limit a price may be old and still trigger a stop."""
    portfolio: tuple[str, ...] | None = None
    """The symbols whose positions form the portfolio section, empty for `portfolio:current`; None without that section.
    """
    timeframes: bool = False
    """Whether there is a section with indicators of longer bars."""
    memory: MemoryLength = "off"
    """The length of the memory section."""
    sections: Sections | None = None
    """The rules of mapped and custom sections; None if all keys are the schema's."""

    def keys(self, symbol: str, partition: int) -> Mapping[str, str]:
        """Map every section of a symbol's package to its key, in prompt order."""
        if self.sections is None:
            return section_keys(symbol, self.signal_types, partition)
        return self.sections.keys(symbol, self.signal_types, partition)

    def plain(self) -> "ReadRules":
        """The same without the sections that settings add."""
        return self.model_copy(update={"portfolio": None, "timeframes": False, "memory": "off"})
