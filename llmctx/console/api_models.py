"""The answers of the API: one model each, from which the OpenAPI document is made."""

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """An answer; it has the fields named here and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Answer):
    """What went wrong."""

    error: str
    """What happened."""
    what_to_do: str
    """What to do."""


class RecordList(Answer):
    """Records, newest first."""

    records: list[dict[str, Any]]
    """The leaves, each with its address and index, as `llmctx decisions --json` prints them."""


class RecordDetail(Answer):
    """One record with its evidence, as `llmctx show --json` prints it."""

    address: str
    """Its address."""
    index: int
    """Its index in its partition."""
    leaf_hash: str
    """Its leaf hash, in hex."""
    leaf: dict[str, Any]
    """The leaf, parsed."""
    leaf_text: str
    """The exact text that is hashed."""
    pieces: dict[str, str | dict[str, str]]
    """The evidence: piece name to text, or {"base64": ...}."""
    said: list[dict[str, Any]]
    """The records about it: effects, and people's statements, each with its index."""


class ReceiptAnswer(Answer):
    """A proof of one record, as `llmctx receipt` prints it."""

    format: str
    """llmctx-receipt/1."""
    origin: str
    """The origin of the log."""
    index: int
    """The record's index."""
    leaf: str
    """The exact text that is hashed."""
    size: int
    """The records that the checkpoint covers."""
    proof: list[str]
    """The hashes to the root, in hex."""
    checkpoint: str
    """The signed note."""


class PositionAnswer(Answer):
    """An open position as it stands."""

    symbol: str
    """Its symbol."""
    side: str | None
    """long or short; null if the position is unusable."""
    quantity: Decimal | None
    """Shares held."""
    entry_price: Decimal | None
    """Price paid per share."""
    price: Decimal | None
    """The last price."""
    price_age_ms: int | None
    """Its age."""
    price_status: str | None
    """fresh, stale, empty, missing or invalid."""
    profit: Decimal | None
    """Profit at the last price."""
    stop_loss: Decimal | None
    """The stop."""
    take_profit: Decimal | None
    """The target."""
    needs_a_look: list[str]
    """Sections that are stale, missing or invalid."""
    stop_unconfirmed: bool
    """Whether a stop waits for a confirmation of its price."""
    last_record: str | None
    """The address of its newest record."""
    last_action: str | None
    """The action of that record's verdict."""


class PositionList(Answer):
    """Every open position, those that need attention first."""

    positions: list[PositionAnswer]
    """The positions."""


class WaitingAnswer(Answer):
    """A decision that waits for a person."""

    address: str
    """The address of its record."""
    symbol: str
    """Its symbol."""
    action: str
    """What would be done."""
    quantity: str | None
    """Shares, if the action needs a quantity."""
    stop_loss: str | None
    """The stop that would be set."""
    take_profit: str | None
    """The target that would be set."""
    expires_at_ms: int
    """Until when it may be approved, in milliseconds since 1970."""
    reason: str
    """Why it waits."""


class WaitingList(Answer):
    """What waits for a person, the first to expire first."""

    waiting: list[WaitingAnswer]
    """The decisions."""


class StatusAnswer(Answer):
    """The state of the trail."""

    positions: int
    """Open positions."""
    backlog: int
    """Ticks that are not settled."""
    records: int
    """Records in the trail."""
    records_last_minute: int
    """Records of the last minute."""
    signed_at_ms: int | None
    """When the newest checkpoint was signed, in milliseconds since 1970; null if there is none."""
    unsigned_records: int
    """Records that no checkpoint covers."""
    budget: str | None
    """What was used of the daily budget, in words; null if no call was asked for today."""
    calls_refused: int
    """Calls that the budget did not allow today."""
    halted: list[str]
    """What is halted: symbols, and before them "all" if everything is."""
