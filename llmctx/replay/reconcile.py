"""Reconcile decisions with what became of them: what was wanted, what was done, at what price, and who stood behind it.

A trade is a decision that asks for something to be done, with its effects; or an effect that no decision asked for. It
reads leaves and, for the price and the position that a decision knew, the snapshot; so an export alone is enough.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llmctx import canonical
from llmctx.schema.values.effect import ENDS, FILLS
from llmctx.trail.log.entry import Entry, address

ACTS = ("exit", "reduce", "add", "adjust_stops")
"""The actions that somebody must carry out."""
WAIT_MS = 300_000
"""How long after a decision its effect may be reported."""
MAX_SLIPPAGE_BPS = Decimal(100)
"""A fill that is worse than the known price by more than this is a finding."""

NO_REASON = "no decision and no reason"
"""The finding about an effect that no decision explains."""
_BUYS = {("add", "long"), ("exit", "short"), ("reduce", "short")}
_SHARES = Decimal("0.000001")


@dataclass
class Trade:
    """A decision and its effects, or an effect without a decision."""

    address: str
    """The decision's record; for an effect without one, the effect's own."""
    symbol: str
    time_ms: int
    """The time of the decision's data, or of the effect."""
    action: str
    """The action of the verdict; none if no decision asked."""
    reason: str
    """The verdict's reason, or what the execution side says."""
    recorded_ms: int
    """When it was recorded."""
    wanted: Decimal | None = None
    """Shares that the decision asks for; None if it does not say."""
    side: str | None = None
    """buy or sell."""
    price: Decimal | None = None
    """The price that the decision knew."""
    filled: Decimal = Decimal(0)
    """Shares that changed hands."""
    paid: Decimal = Decimal(0)
    """Their value."""
    fee: Decimal = Decimal(0)
    """The fees paid."""
    stood: str | None = None
    """For a fill that no decision asked for: the stop and target set before it, and who set them."""
    done_ms: list[int] = field(default_factory=list)
    """When each effect happened."""
    statuses: list[str] = field(default_factory=list)
    """The status of each effect, in the order of their records."""
    effects: list[str] = field(default_factory=list)
    """The addresses of the effects."""
    people: list[str] = field(default_factory=list)
    """What people said about the decision."""
    findings: list[str] = field(default_factory=list)
    """Its findings."""

    @property
    def times_ms(self) -> list[int]:
        """When it was decided, and when each effect happened."""
        return [self.time_ms, *self.done_ms]

    @property
    def fill_price(self) -> Decimal | None:
        """The mean price of the fills; None without one."""
        return self.paid / self.filled if self.filled else None

    @property
    def slippage_bps(self) -> Decimal | None:
        """How much worse than the known price it was filled, in basis points; negative if it was better."""
        if self.price is None or not self.price or self.fill_price is None or self.side is None:
            return None
        sign = 1 if self.side == "buy" else -1
        return ((self.fill_price / self.price - 1) * 10_000 * sign).quantize(Decimal("0.1")) + 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON; decimals as text."""
        shown: dict[str, Any] = {**self.__dict__, "fill_price": self.fill_price, "slippage_bps": self.slippage_bps}
        shown["fill_price"] = None if self.fill_price is None else round(self.fill_price, 6)
        return {name: canonical.plain(each) if isinstance(each, Decimal) else each for name, each in shown.items()}


class Reconciliation:
    """Takes the records of all partitions, each in order, and reports disagreements."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._trades: dict[str, Trade] = {}
        self._first: dict[str, str] = {}  # the first decision of an exit that was decided again
        self._newest_ms = 0
        self._seen: dict[str, Entry] = {}  # the newest record with a position, by symbol
        self._moved: dict[str, tuple[str, Any]] = {}  # the newest decision that moved a level, and of which position

    def add(self, entry: Entry) -> None:
        """Take the next record of a partition."""
        record = entry.record
        self._newest_ms = max(self._newest_ms, record.get("recorded_at_ms", 0))
        if "snapshot" in record and "symbol" in record:
            self._seen[record["symbol"]] = entry
        if record["verdict"]["action"] in ACTS:
            where, repeated = (
                address(entry.index, entry.partition, self._partitions),
                record["verdict"].get("repeat_of"),
            )
            if repeated in self._trades:  # one order, however often it is published
                self._first[where] = repeated
                return
            trade = _decided(record, entry.pieces, where)
            self._trades[trade.address] = trade
            if trade.action == "adjust_stops":
                self._moved[trade.symbol] = where, _sections(entry.pieces)("position").get("entry_time")
            if entry.said:  # it stands for a decision that asked for something else, or waited
                trade.people.append(record["verdict"]["reason"])
        elif entry.said:
            self._add_said(entry)

    def _add_said(self, entry: Entry) -> None:
        record = entry.record
        own, about = address(entry.index, entry.partition, self._partitions), record.get("about")
        named = None if about is None else address(about["index"], entry.partition, self._partitions)
        trade = None if named is None else self._trades.get(self._first.get(named, named))
        if record["kind"] != "effect":
            if trade is not None:
                trade.people.append(record["verdict"]["reason"])
            return
        if trade is None:
            trade = self._trades[own] = _undecided(record, own)
            trade.stood = self._levels_of(trade.symbol)
            if named is not None:
                trade.findings.append(f"decision {named} asks for nothing, or is not in this source")
            elif not record["effect"].get("reason"):
                trade.findings.append(NO_REASON)
        _apply(trade, record["effect"], own, record.get("as_of_ms", record["recorded_at_ms"]))

    def _levels_of(self, symbol: str) -> str | None:
        """The levels of a symbol's position by the last record that saw it; None if there is none."""
        entry = self._seen.get(symbol)
        position = {} if entry is None else _sections(entry.pieces)("position")
        if entry is None or not position:
            return None
        where = address(entry.index, entry.partition, self._partitions)
        stop, target = position.get("stop_loss"), position.get("take_profit")
        moved, opened = self._moved.get(symbol, ("", None))
        since = f"; last moved by decision {moved}" if moved and opened == position.get("entry_time") else ""
        return f"record {where} ({entry.record['verdict']['action']}) saw stop {stop} and target {target}{since}"

    def trades(self) -> list[Trade]:
        """All trades by time, each with its findings."""
        for trade in self._trades.values():
            if trade.action != "none":
                trade.findings += _findings(trade, is_due=self._newest_ms - trade.recorded_ms > WAIT_MS)
        return sorted(self._trades.values(), key=lambda trade: (trade.time_ms, trade.address))


def reconcile(entries: Iterable[Entry], partitions: int) -> list[Trade]:
    """The trades of some records."""
    reconciliation = Reconciliation(partitions)
    for entry in entries:
        reconciliation.add(entry)
    return reconciliation.trades()


def _decided(record: Mapping[str, Any], pieces: Mapping[str, bytes], where: str) -> Trade:
    verdict = record["verdict"]
    sections = _sections(pieces)
    position, price = record.get("position") or sections("position"), sections("price")
    action, side = verdict["action"], position.get("side")
    wanted = _number(verdict.get("quantity"))
    return Trade(
        address=where,
        symbol=record.get("symbol", ""),
        time_ms=record.get("as_of_ms", record["recorded_at_ms"]),
        action=action,
        reason=verdict["reason"],
        recorded_ms=record["recorded_at_ms"],
        wanted=_number(position.get("held", position.get("quantity"))) if action == "exit" else wanted,
        side=None if side is None or action == "adjust_stops" else "buy" if (action, side) in _BUYS else "sell",
        price=_number((price.get("price") or {}).get("last")),
    )


def _undecided(record: Mapping[str, Any], where: str) -> Trade:
    effect = record["effect"]
    return Trade(
        address=where,
        symbol=record["symbol"],
        time_ms=record.get("as_of_ms", record["recorded_at_ms"]),
        action="none",
        reason=effect.get("reason", ""),
        recorded_ms=record["recorded_at_ms"],
        side=effect.get("side"),
    )


def _apply(trade: Trade, effect: Mapping[str, Any], where: str, at_ms: int) -> None:
    trade.statuses.append(effect["status"])
    trade.effects.append(where)
    trade.done_ms.append(at_ms)
    trade.fee += _number(effect.get("fee")) or 0
    if effect["status"] in FILLS:
        quantity = _number(effect["quantity"]) or Decimal(0)
        trade.filled += quantity
        trade.paid += quantity * (_number(effect["price"]) or 0)
        if trade.side not in (None, effect["side"]):
            trade.findings.append(f"{trade.action} was carried out as a {effect['side']}")


def _findings(trade: Trade, *, is_due: bool) -> Iterable[str]:
    ended = [status for status in trade.statuses if status in ENDS]
    is_set = trade.action == "adjust_stops" and "accepted" in trade.statuses
    if is_due and not trade.statuses:
        yield "no effect"
    elif is_due and not ended and not is_set:
        yield "no end: neither filled, cancelled, rejected nor ignored"
    over = Decimal(0) if trade.wanted is None else trade.filled - trade.wanted
    if over > _SHARES or (ended[-1:] == ["filled"] and over < -_SHARES):
        yield f"{canonical.plain(trade.filled)} shares where {canonical.plain(trade.filled - over)} were asked for"
    if trade.slippage_bps is not None and trade.slippage_bps > MAX_SLIPPAGE_BPS:
        yield f"price: {trade.slippage_bps} bps worse than the one that was known"


def _sections(pieces: Mapping[str, bytes]) -> Any:
    """A function that gives a section of a snapshot as a document; empty if it is not usable."""
    try:
        found = canonical.loads(pieces.get("snapshot", b"{}")).get("sections", {})
    except (ValueError, AttributeError):
        found = {}

    def section(name: str) -> dict[str, Any]:
        try:
            document = canonical.loads(found[name].encode())
        except (KeyError, ValueError, AttributeError):
            return {}
        return document if isinstance(document, dict) else {}

    return section


def _number(value: Any) -> Decimal | None:
    try:
        return None if value is None or isinstance(value, bool) else Decimal(value)
    except (ArithmeticError, TypeError, ValueError):
        return None
