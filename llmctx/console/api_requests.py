"""The changes that the API accepts, and its answers to them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from llmctx.console.api_models import Answer
from llmctx.limits import MAX_BY_CHARS, MAX_WHY_CHARS


class TickRequest(Answer):
    """A request for a decision."""

    symbol: str
    """The symbol."""
    cause: str = "api"
    """Why it is requested; it is recorded."""
    id: str | None = Field(None, max_length=200)
    """A tick id of your own: raising the same id again changes nothing. null makes one."""


class TickAnswer(Answer):
    """A tick that was raised."""

    tick: str
    """Its id."""
    symbol: str
    """The symbol."""


class EffectAnswer(Answer):
    """An accepted effect; `llmctx run` records it once by its id."""

    id: str
    """Its id."""


class HaltRequest(Answer):
    """A halt or its end."""

    act: Literal["halt", "resume"] = "halt"
    """Which of the two."""
    symbol: str | None = None
    """The symbol; null for all."""
    by: str = Field(min_length=1, max_length=MAX_BY_CHARS)
    """Who does it; recorded."""
    why: str = Field(min_length=1, max_length=MAX_WHY_CHARS)
    """Why; recorded."""


class HaltAnswer(Answer):
    """A halt or its end that is recorded."""

    address: str
    """The address of its record."""
    halted: list[str]
    """What is halted now: symbols, and before them "all" if everything is."""


class ApprovalRequest(Answer):
    """What a person decides about a record that waits for it."""

    kind: Literal["approval", "override"]
    """Whether it is approved, or something else takes its place."""
    address: str
    """The address of the record."""
    by: str = Field(min_length=1, max_length=MAX_BY_CHARS)
    """Who; recorded."""
    why: str = Field(min_length=1, max_length=MAX_WHY_CHARS)
    """Why; recorded."""
    action: Literal["hold", "exit"] | None = None
    """What an override puts in the decision's place; null for an approval."""

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if (self.kind == "override") != (self.action is not None):
            raise ValueError("an override has an action, hold or exit, and an approval has none")
        return self


class AnnotationRequest(Answer):
    """A person's note about a record."""

    address: str
    """The address of the record."""
    by: str = Field(min_length=1, max_length=MAX_BY_CHARS)
    """Who; recorded."""
    why: str = Field(min_length=1, max_length=MAX_WHY_CHARS)
    """The note; recorded."""


class RecordedAnswer(Answer):
    """The recorded statement."""

    address: str
    """The address of its record."""
