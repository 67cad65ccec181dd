"""What a `llmctx replay` command line asks for."""

from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from llmctx.context.memory import MemoryLength
from llmctx.decision.mandate.mandate import Mandate
from llmctx.replay.selection import Selection


class ReplayOptions(NamedTuple):
    """What a `llmctx replay` command line asks for."""

    where: str | None
    """The export or corpus to read; None for the trail in Redis."""
    selection: Selection
    """The records to take."""
    text: str
    """The selection as text."""
    mode: str
    """rebuild, again, or what is changed: prompt, model, mandate, memory, joined by `and`."""
    prompt: str | None
    """The prompt to ask with instead of the recorded one."""
    model: str | None
    """The model to ask instead of the recorded one."""
    mandate: Mandate | None
    """The mandate to judge by instead of the recorded one."""
    memory: MemoryLength | None
    """How much packages remember instead of what they did."""
    repeat: int
    """How often each record is asked."""
    concurrency: int
    """How many calls are in flight at once."""
    budget_tokens: int | None
    """How many tokens may be spent."""
    budget_cost: Decimal | None
    """How much money may be spent."""
    out: Path | None
    """The results file."""
    fresh: bool
    """Whether answers in the results file are asked for again."""
    batch: Path | None
    """The batch file to write instead of asking."""
    answers: list[Path]
    """The batch output files to take answers from."""
    strict: bool
    """Whether a rebuild fails on records that differ and name unknown rules."""
    as_json: bool
    """Whether to print JSON."""

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What must not be overwritten."""
        return (*([] if self.where is None else [Path(self.where)]), *self.answers)
