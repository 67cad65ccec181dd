"""A mandate: the limits of an account, with exceptions for groups, symbols and short positions.

It is a blob of the trail, and every verdict on a position names it by digest.
"""

from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from llmctx import canonical
from llmctx.decision.decision import Action
from llmctx.limits import MAX_BY_CHARS, MAX_WHY_CHARS
from llmctx.schema.fields import Setting
from llmctx.schema.keys import BY_SECTION
from llmctx.schema.symbol import legs_of, market_of

FORMAT = "llmctx-mandate/1"
OFF = "off"
"""The text by which a setting turns a limit off."""


def _off(value: Any) -> Any:
    return None if value == OFF else value


def _on_sections(needed: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    for action, sections in needed.items():
        if action not in (Action.ADD, Action.REDUCE, Action.ADJUST_STOPS):
            raise ValueError(f"{action} cannot be limited; add, reduce and adjust_stops can")
        for name in sections:
            if name.partition(".")[0] not in (*BY_SECTION, "portfolio", "timeframes"):
                raise ValueError(f"there is no section {name!r}")
    return needed


_AnyNumber = Annotated[Setting | None, Field(ge=0, allow_inf_nan=False), BeforeValidator(_off)]
_Positive = Annotated[Setting | None, Field(gt=0, allow_inf_nan=False), BeforeValidator(_off)]
_Count = Annotated[int | None, Field(ge=0), BeforeValidator(_off)]
_Seconds = Annotated[Annotated[int, Field(ge=0, le=3600)] | None, BeforeValidator(_off)]
_Flag = Annotated[bool | None, BeforeValidator(_off)]
_Sections = Annotated[dict[str, tuple[str, ...]], AfterValidator(_on_sections)]


class Limits(BaseModel):
    """Limits by name; None means no limit. Percentages are numbers such as 10."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_quantity: _Positive = None
    """Shares of a position after an add."""
    max_notional: _Positive = None
    """Value of a position after an add, in account currency."""
    max_times_opened: _Positive = None
    """Quantity of a position after an add, as a multiple of the quantity it was opened with."""
    equity_share_pct: _AnyNumber = None
    """Value of a position after an add, in percent of the account's equity."""
    adds_per_position: _Count = None
    """Adds while a position is open."""
    adds_per_day: _Count = None
    """Adds to a symbol on one day (UTC)."""
    loser_pct: _AnyNumber = None
    """How far a position may be under water and still be added to, in percent of its entry price."""
    add_needs_stop: _Flag = None
    """Whether an add needs a stop."""
    needs_fresh: Annotated[_Sections | None, BeforeValidator(_off)] = None
    """The sections that must be fresh, by action."""
    stop_loosens_pct: _AnyNumber = None
    """How far a stop may move away from the price, in percent of where it is."""
    stop_min_pct: _AnyNumber = None
    """Least distance of a new stop, in percent of the price."""
    stop_max_pct: _AnyNumber = None
    """Greatest distance of a new stop, in percent of the price."""
    target_max_pct: _AnyNumber = None
    """Greatest distance of a new target, in percent of the price."""
    reduce_min_pct: _AnyNumber = None
    """Least reduction, in percent of the position."""
    min_quantity: _Positive = None
    """Least shares of an add or a reduction."""
    lot_size: _Positive = None
    """Lot size: adds and reductions are multiples of it."""
    actions_per_hour: _Count = None
    """Actions on a symbol within an hour; an exit is never refused."""
    cooldown_min: _AnyNumber = None
    """Minutes after an exit without an add to the symbol."""
    add_needs_evidence: _Flag = None
    """Whether an answer that contradicts itself may add nothing."""
    profit_lock_pct: Annotated[_AnyNumber, Field(lt=100)] = None
    """Share of the open profit that a new stop must keep, in percent; nothing is added while the stop keeps less."""
    profit_lock_from_pct: _AnyNumber = None
    """The profit from which that applies, in percent of the entry price."""
    sector_share_pct: _AnyNumber = None
    """Value of all positions of the symbol's sector after an add, in percent of the account's equity."""
    max_leverage: _Positive = None
    """Value of all positions after an add, as a multiple of the account's equity."""
    daily_loss_pct: _AnyNumber = None
    """Loss of the day after which nothing is added, in percent of the equity at its start."""
    drawdown_pct: _AnyNumber = None
    """Loss from the highest equity after which nothing is added, in percent of that equity."""
    liquidation_min_pct: _AnyNumber = None
    """Least distance of the price from the liquidation price for an add, in percent of the price."""
    order_expiry_s: _Count = None
    """Seconds for which an action is not repeated while the last one has shown no effect."""
    ack_timeout_s: _Seconds = None
    """Seconds after which an exit is published again while the position is still open."""


PRUDENT = Limits(
    max_times_opened=Decimal(2),
    equity_share_pct=Decimal(10),
    adds_per_position=3,
    adds_per_day=3,
    loser_pct=Decimal(0),
    add_needs_stop=True,
    add_needs_evidence=True,
    needs_fresh={"add": ("price", "position", "system")},
    stop_loosens_pct=Decimal(0),
    stop_min_pct=Decimal("0.2"),
    stop_max_pct=Decimal(15),
    target_max_pct=Decimal(50),
    reduce_min_pct=Decimal(1),
    actions_per_hour=12,
    daily_loss_pct=Decimal(3),
    liquidation_min_pct=Decimal(5),
    order_expiry_s=900,
    ack_timeout_s=30,
)
"""The limits that apply unless settings say otherwise."""


class Group(BaseModel):
    """Symbols with limits of their own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[str, ...] = Field(min_length=1)
    """Its symbols, as patterns such as BTC*."""
    gross_max: _Positive = None
    """The value of all its positions together after an add, in account currency."""
    limits: Limits = Limits()
    """Limits of these symbols that differ from the account's."""


class Total(NamedTuple):
    """A limit that several positions share."""

    name: str
    """Its name."""
    kind: Literal["gross", "net"]
    """Whether short positions are added to long ones, or subtracted."""
    symbols: tuple[str, ...]
    """The symbols whose positions count, as patterns."""
    limit: Decimal | None
    """Their value together, in account currency."""


class Mandate(BaseModel):
    """The limits of each position. The most specific one applies: account, group, symbol, then short positions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: Limits = PRUDENT
    """The limits of every symbol."""
    groups: dict[str, Group] = {}
    """Groups by name; if several name a symbol, later ones win."""
    symbols: dict[str, Limits] = {}
    """Limits that differ for one symbol."""
    shorts: Limits = Limits()
    """Limits that differ for short positions."""
    gross_max: _Positive = None
    """The value of all positions together after an add, in account currency."""
    net_max: _Positive = None
    """The absolute value of long minus short positions after an add, in account currency."""
    by: str = Field("", max_length=MAX_BY_CHARS)
    """Who set it."""
    why: str = Field("", max_length=MAX_WHY_CHARS)
    """Why, in their words."""

    @model_validator(mode="after")
    def _says_account(self) -> Self:
        self.__pydantic_fields_set__.add("account")  # the blob must not depend on later defaults
        return self

    def limits_of(self, symbol: str, side: str) -> Limits:
        """The limits of a position."""
        found = self.account
        for group in self.groups.values():
            if any(_matches(symbol, pattern) for pattern in group.symbols):
                found = _overlaid(found, group.limits)
        for name in dict.fromkeys((market_of(symbol), symbol)):
            if name in self.symbols:
                found = _overlaid(found, self.symbols[name])
        return _overlaid(found, self.shorts) if side == "short" else found

    def totals_of(self, symbol: str) -> list[Total]:
        """The limits that a symbol's position shares with others."""
        found = [Total("gross_max", "gross", ("*",), self.gross_max), Total("net_max", "net", ("*",), self.net_max)]
        found += [
            Total(f"gross_max of {name}", "gross", tuple(chain(*map(legs_of, group.symbols))), group.gross_max)
            for name, group in self.groups.items()
            if any(_matches(symbol, pattern) for pattern in group.symbols)
        ]
        return [total for total in found if total.limit is not None]

    @property
    def shares_limits(self) -> bool:
        """Whether it has a limit that several positions share."""
        groups = self.groups.values()
        totals = [self.gross_max, self.net_max, *(group.gross_max for group in groups)]
        each = [self.account, self.shorts, *(group.limits for group in groups), *self.symbols.values()]
        totals += [limit for limits in each for limit in (limits.max_leverage, limits.sector_share_pct)]
        return any(limit is not None for limit in totals)

    def set_by(self, person: str) -> Self:
        """The same limits with their author: a name, or the id by which the trail names the person."""
        return self.model_validate(self.model_dump(exclude_unset=True) | {"by": person})

    @cached_property
    def blob(self) -> bytes:
        """Its bytes in the trail: all limits that are set, with decimals as text."""
        return canonical.dumps({"format": FORMAT} | self.model_dump(mode="json", exclude_unset=True))

    @cached_property
    def sha256(self) -> str:
        """The digest of the blob."""
        return canonical.sha256(self.blob)

    @classmethod
    def from_blob(cls, raw: bytes) -> Self:
        """Parse the bytes of `blob`. Raises ValueError if they are malformed."""
        document = canonical.loads(raw)
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise ValueError(f"it is no mandate of the format {FORMAT}")
        return cls.model_validate({"account": {}} | document)


def _matches(symbol: str, pattern: str) -> bool:
    """Whether a pattern matches a symbol, or the market that a leg belongs to."""
    return fnmatchcase(symbol, pattern) or fnmatchcase(market_of(symbol), pattern)


def _overlaid(limits: Limits, over: Limits) -> Limits:
    changes = {name: getattr(over, name) for name in over.model_fields_set}
    return limits.model_copy(update=changes) if changes else limits
