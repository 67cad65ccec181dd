"""The values of the quality page, as the API returns them."""

from decimal import Decimal

from llmctx.console.api_models import Answer


class Group(Answer):
    """The answers of one prompt and model, or of one period."""

    name: str
    """What they have in common; for a period, its beginning."""
    first_ms: int
    """The time of the first, in milliseconds since 1970."""
    last_ms: int
    """The time of the last."""
    asked: int
    """How many answers were requested."""
    failed: int
    """How many had no usable answer."""
    guarded: int
    """How many a guardrail changed."""
    numbers: int
    """Numbers in the answers."""
    cited: int
    """Numbers that equal what they cite."""
    wrong: int
    """Numbers that the facts do not support."""
    confidence: float | None
    """Mean confidence; null without answers."""
    judged: int
    """Decisions that turned out right or wrong after 15 minutes; for others that is unknown, or no price moved."""
    right: int
    """How many of these were right."""
    gain: Decimal | None
    """What following them earned over leaving the positions unchanged, after 15 minutes; null if none can be judged."""
    brier: float | None
    """The Brier score of their confidence: 0 is perfect, 0.25 is always saying 0.5; null if none can be judged."""
    tokens: int
    """Tokens, in and out."""
    cost: Decimal | None
    """What they cost; null if a model has no price."""
    p50_ms: float | None
    """Median time of the model."""
    p95_ms: float | None
    """The time that 95% of the calls stayed under."""


class Bin(Answer):
    """Decisions with about the same confidence."""

    low: float
    """The lowest confidence, included."""
    high: float
    """The highest."""
    confidence: float
    """Their mean confidence."""
    judged: int
    """How many turned out right or wrong after 15 minutes."""
    right: int
    """How many were right."""
    interval: tuple[float, float]
    """The share that was right, from and to (Wilson, 95%)."""


class Use(Answer):
    """A version of something, and when it was in use."""

    kind: str
    """prompt and model, llmctx or limits."""
    name: str
    """Which version."""
    first_ms: int
    """Its first answer."""
    last_ms: int
    """Its last answer."""
    answers: int
    """How many."""
    periods: tuple[int, ...]
    """The periods in which it was used, by their place in `by_period`."""
    newest: bool
    """Whether the newest answer is of this version."""


class Quality(Answer):
    """Answers in groups."""

    answers: int
    """How many were measured."""
    period_ms: int
    """The length of a period, in milliseconds."""
    by_version: tuple[Group, ...]
    """By prompt and model, in the order in which they were first used."""
    by_period: tuple[Group, ...]
    """Over time, oldest first; periods without answers are absent."""
    calibration: tuple[Bin, ...]
    """By confidence: of decisions at 0.7, seven in ten should be right."""
    in_use: tuple[Use, ...]
    """Which versions were in use when."""
