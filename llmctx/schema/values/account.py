"""The account's values: positions and their monitoring, results, the system's state, and the published decision."""

from typing import Literal

from llmctx.schema.fields import Count, Number, Positive, Timestamp
from llmctx.schema.market_status import MarketStatus
from llmctx.schema.values.live_value import LiveValue, optional, unit, unshown

OF_NOTIONAL = "of notional"
"""The unit of a fraction of a position's value: 0.0001 is 0.01% of it."""


class Position(LiveValue):
    """`positions:active:{symbol}`."""

    symbol: str
    """The symbol held."""
    entry_price: Positive = unit("price")
    """Price paid per share."""
    current_price: Positive | None = unit("price")
    """The price when it was last marked to market; null if unknown."""
    quantity: Positive = unit("shares")
    """Shares held, positive on either side."""
    side: Literal["long", "short"]
    """Direction of the position."""
    entry_time: Timestamp
    """When it was opened; identifies the position."""
    unrealized_pnl: Number | None = unit("account currency")
    """Profit if closed at current_price; null if unknown."""
    unrealized_pnl_pct: Number | None = unit("%")
    """The same, as a percentage of what was paid."""
    stop_loss: Positive | None = unit("price")
    """The stop; null if none is set."""
    take_profit: Positive | None = unit("price")
    """The target; null if none is set."""
    last_update: Timestamp
    """When it was last marked to market."""
    leverage: Positive | None = optional("x")
    """Of a leveraged position: its value at entry as a multiple of the margin."""
    margin: Positive | None = optional("account currency")
    """The isolated margin: what is lost if the position is liquidated."""
    liquidation_price: Positive | None = optional("price")
    """The mark price at which the exchange liquidates it."""
    mark_price: Positive | None = optional("price")
    """The exchange's mark price, by which it liquidates; it may differ from the last traded price."""
    funding_rate: Number | None = optional(OF_NOTIONAL)
    """The next funding payment as a fraction of the position's value; if positive, long positions pay short ones."""
    unrealized_pnl_pct_basis: Literal["price", "margin"] | None = optional()
    """What unrealized_pnl_pct is a percentage of: the price paid (also if absent), or the margin."""


class Reading(LiveValue):
    """One indicator and its signal."""

    value: Number | None
    """The indicator."""
    signal: str | None
    """Its signal, in a word."""


class Level(LiveValue):
    """The nearest support or resistance."""

    next_level: Positive | None = unit("price")
    """The level."""
    type: str | None
    """support or resistance."""


class TechnicalSignals(LiveValue):
    """Short-term readings on a position."""

    rsi_1m: Reading | None
    """RSI on one-minute bars."""
    macd_5m: Reading | None
    """MACD on five-minute bars."""
    support_resistance: Level | None
    """The nearest level."""


class Distance(LiveValue):
    """A price level and the distance to it."""

    value: Positive | None = unit("price")
    """The price."""
    distance: str | None
    """The distance as a percentage of the last price: "1.9%"."""


class Monitoring(LiveValue):
    """`positions:monitoring:{symbol}`."""

    technical_signals: TechnicalSignals
    """Short-term readings."""
    profit_target: Distance | None
    """The target and the distance to it."""
    stop_loss: Distance | None
    """The stop and the distance to it."""
    time_in_trade: str = unit("hh:mm:ss")
    """How long the position has been open."""
    timestamp: Timestamp
    """When it was written."""


class Performance(LiveValue):
    """`metrics:performance`; an average of nothing is null."""

    daily_pnl: Number | None = unit("account currency")
    """Profit of the day."""
    daily_pnl_pct: Number | None = unit("%")
    """The same, as a percentage of the equity at the start of the day."""
    win_count: Count = unit("trades")
    """Trades closed with a profit."""
    loss_count: Count = unit("trades")
    """Trades closed with a loss."""
    win_rate: Number | None = unit("0 to 1")
    """win_count / all closed trades."""
    avg_win: Number | None = unit("account currency")
    """Mean profit of the winners."""
    avg_loss: Number | None = unit("account currency")
    """Mean loss of the losers, negative."""
    largest_win: Number | None = unit("account currency")
    """The best trade."""
    largest_loss: Number | None = unit("account currency")
    """The worst trade, negative."""
    timestamp: Timestamp
    """When it was written."""


class System(LiveValue):
    """`system:state`; a feed of recorded data adds "clock": "bars"."""

    state: str
    """running, paused, ..."""
    market_status: MarketStatus
    """open, closed, ...; common spellings are understood."""
    active_positions_count: Count | None = unit("positions")
    """Positions held; null if unknown."""
    watchlist_count: Count | None = unit("symbols")
    """Symbols under watch; null if unknown."""
    last_scan_time: Timestamp | None
    """When candidates were last ranked; null before the first scan."""
    timestamp: Timestamp
    """When it was written; with "clock": "bars", every age is measured against it."""


class Awaited(LiveValue):
    """What is done once a person approves it."""

    action: str
    """add, reduce or adjust_stops."""
    quantity: Number | None = unit("shares", None)
    """Shares, if the action needs a quantity."""
    stop_loss: Number | None = unit("price", None)
    """The stop to set."""
    take_profit: Number | None = unit("price", None)
    """The target to set."""
    expires_at: Timestamp
    """Until when it may be approved."""


class Rest(LiveValue):
    """What stays of a position after a partial close: no level moves by it."""

    quantity: Number = unit("shares")
    """Shares that stay."""
    stop_loss: Number | None = unit("price", None)
    """The stop that they keep; null if the position has none."""
    take_profit: Number | None = unit("price", None)
    """The target that they keep; null if the position has none."""


class Thesis(LiveValue):
    """`decisions:{p}:latest:{symbol}`: the last published decision, as the execution side reads it."""

    address: str = unshown()
    """Its record in the trail: INDEX, or P:INDEX with several partitions."""
    kind: str
    """decision, failed, skipped, unasked or dead_letter."""
    tick: str = unshown()
    """The tick it settled."""
    symbol: str = unshown()
    """Its symbol."""
    as_of: Timestamp
    """The time of the data it is based on."""
    entry_time: Timestamp | None
    """The position it is about; null if there is none, or if its evidence could not be recorded."""
    side: str | None = unshown(None)
    """The direction of that position."""
    entry_price: Number | None = unshown(None)
    """The price paid per share of it."""
    held: Number | None = unshown(None)
    """The shares held of it then."""
    action: str
    """The action allowed after the guardrails; none if there was no position to decide about."""
    quantity: Number | None = unit("shares")
    """Shares, if the action needs a quantity."""
    stop_loss: Number | None = unit("price")
    """The stop to set; null leaves it unchanged."""
    take_profit: Number | None = unit("price")
    """The target to set; null leaves it unchanged."""
    reason: str
    """The reason for the verdict."""
    rest: Rest | None = unshown(None)
    """What stays after a reduction, with the stop and the target that it keeps; null for other actions."""
    repeat_of: str | None = unshown(None)
    """The address of the first decision of this exit, if it is decided again because the position still stands."""
    awaits: Awaited | None = unshown(None)
    """What waits for a person; it must not be done before: the approved one is published on its own."""
    stands_for: str | None = unshown(None)
    """The address of the decision that a person approved or overrode, if this stands for one."""
    decided: str | None
    """The action in the model's own answer; null without a usable answer."""
    confidence: Number | None = unit("0 to 1")
    """The model's confidence."""
    reasoning: str | None
    """The model's reasoning."""
    invalidation: str | None
    """What would invalidate it, in the model's words."""
    valid_for: Count | None = unit("minutes")
    """How long the model expects it to hold."""
