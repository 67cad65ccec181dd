"""The demo's output: on a terminal, positions, profit and decisions as they change; elsewhere plain lines."""

import statistics
from collections import Counter, deque
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from llmctx import clock
from llmctx.cli.shared.output import coloured, escape, out
from llmctx.cli.shared.record_text import record_line
from llmctx.flow.book import CAPITAL
from llmctx.flow.compose import FedBar
from llmctx.flow.feed_report import FeedReport
from llmctx.flow.trades import Fill
from llmctx.llm.failures import FailureCount, failure_of
from llmctx.schema.values import Position
from llmctx.trail.log.entry import Entry

if TYPE_CHECKING:
    from rich.console import RenderableType

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARKLINE_WIDTH = 40
_TABLE_WIDTH = 69
"""Columns of the table without its sparkline; on a narrower terminal entry and target are left out."""
_MAX_LINES = 10
_HEADINGS = ("symbol", "last", "", "side", "shares", "entry", "stop", "target", "profit")


class DemoScreen:
    """Counts and shows the events of a session."""

    def __init__(self, *, live: bool) -> None:
        self.records = 0
        """Records that settle a tick, so far."""
        self.decided = 0
        """The index of a decision worth a look: the first that reduced a position, or any."""
        self.failures = FailureCount()
        """Calls to the endpoint so far, and those of them without a usable answer."""
        self._actions: Counter[str] = Counter()
        self._guards: Counter[str] = Counter()
        self._limited: Counter[str] = Counter()
        self._grounding: Counter[str] = Counter()
        self._tokens_in = self._tokens_out = 0
        self._call_ms: list[float] = []
        self._last_action: dict[str, str] = {}
        self._prices: dict[str, deque[float]] = {}
        self._positions: dict[str, Position | None] = {}
        self._newest: FedBar | None = None
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._is_live = live

    def drawn(self) -> AbstractContextManager[Any]:
        """Keeps the screen drawn until the context ends; elsewhere prints the heading of the lines."""
        from rich.live import Live

        if self._is_live:
            return Live(console=out, refresh_per_second=8, get_renderable=self._draw)
        out.print("[dim]record  symbol verdict  reasoning, or the guardrail that fired; and the broker's fills[/]")
        return nullcontext()

    def add_bar(self, fed: FedBar) -> None:
        """Count a bar and show its fills."""
        symbol = fed.bar.symbol
        self._newest = fed
        self._prices.setdefault(symbol, deque(maxlen=_SPARKLINE_WIDTH)).append(float(fed.bar.close))
        self._positions[symbol] = fed.step.position
        for fill in fed.step.fills:
            self._print(_fill_line(fill))

    def add_record(self, entry: Entry) -> None:
        """Count a record, and show it if its action is new for the symbol and not hold, or if a guardrail fired."""
        record = entry.record
        if entry.said:
            return  # the broker's own line says it
        symbol, action, guards = record.get("symbol", ""), record["verdict"]["action"], record["verdict"].get("guards")
        if "tick" in record:
            self.records += 1
            self.decided = (
                entry.index if action == "reduce" and not self._actions[action] else self.decided or entry.index
            )
            self._actions[action] += 1
        self._guards.update(guard["name"] for guard in guards or [])
        self._limited[record["verdict"].get("limited", "")] += 1
        self._count_call(record)
        if guards or action not in ("hold", self._last_action.get(symbol)):
            self._print(record_line(str(entry.index), record))
        self._last_action[symbol] = action

    def _print(self, line: str) -> None:
        if self._is_live:
            self._lines.append(line)
        else:
            out.print(line)

    def _count_call(self, record: dict[str, Any]) -> None:
        completion = record.get("completion", {})
        if completion and record["kind"] == "failed":
            self.failures.fail(failure_of(completion))
        elif completion:
            self.failures.succeed()
        usage = completion.get("usage", {})
        self._tokens_in += usage.get("prompt", 0)
        self._tokens_out += usage.get("completion", 0)
        if (grounding := record.get("grounding")) is not None:
            self._grounding.update({name: grounding[name] for name in ("cited", "uncited", "unread")})
            self._grounding.update({name: len(grounding.get(name, ())) for name in ("miscited", "false_prices")})
        if (call_ms := record.get("timings_ms", {}).get("complete")) is not None:
            self._call_ms.append(float(call_ms))

    def _draw(self) -> "RenderableType":
        """The current screen. Another thread asks for it, so growing collections are copied before iteration."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        width = min(_SPARKLINE_WIDTH, out.width - _TABLE_WIDTH)
        shown = [heading for heading in _HEADINGS if width > 0 or heading not in ("", "entry", "target")]
        for heading in shown:
            table.add_column(heading, justify="left" if heading in ("symbol", "", "side") else "right", no_wrap=True)
        for symbol, prices in sorted(self._prices.items()):
            cells = (symbol, f"{prices[-1]:.2f}", _sparkline(prices, width), *_cells(self._positions.get(symbol)))
            table.add_row(*(cell for heading, cell in zip(_HEADINGS, cells, strict=True) if heading in shown))
        lines = [Text.from_markup(line, overflow="ellipsis") for line in list(self._lines)]
        for line in lines:
            line.no_wrap = True
        return Group(Text.from_markup(self._headline()), "", table, "", *lines)

    def _headline(self) -> str:
        if self._newest is None:
            return "waiting for the first bar"
        day = self._newest.step.book.day
        open_pnl = sum(float(held.unrealized_pnl or 0) for held in list(self._positions.values()) if held is not None)
        at = clock.iso_of(self._newest.end)
        return (
            f"[bold]{at[:10]} {at[11:16]}[/]   today {_money(float(day.earned))}   open {_money(open_pnl)}   "
            f"won {day.wins}, lost {day.losses}   {self.records} decisions"
        )

    def print_summary(self, summary: FeedReport, *, real: bool) -> None:
        """Print the counts of the session; `real` says that a real model answered."""
        actions = ", ".join(f"{coloured(action)} {count}" for action, count in self._actions.most_common())
        guards = ", ".join(f"{name} {count}" for name, count in self._guards.most_common()) or "none"
        out.print(
            f"\n[bold]session[/]     {summary.bars} bars and {summary.headlines} headlines fed, {summary.ticks} ticks "
            f"raised, {self.records} of them settled"
        )
        if self._newest is not None:
            day = self._newest.step.book.day
            earned = float(day.equity + day.earned - CAPITAL)
            out.print(
                f"[bold]paper book[/]  {summary.opened} positions opened, {summary.closed} closed, {summary.fills} "
                f"fills; earned {_money(earned)} after costs"
            )
        out.print(f"[bold]verdicts[/]    {actions}")
        out.print(f"[bold]guards[/]      {guards}")
        refused, changed = self._limited["block"], self._limited["clamp"]
        out.print(
            f"[bold]mandate[/]     {refused} actions refused, {changed} changed; `llmctx mandate` shows the limits"
        )
        count = self._grounding
        out.print(
            f"[bold]grounding[/]   numbers: {count['cited']:,} cited, {count['uncited']:,} uncited, "
            f"{count['unread']:,} unread; {count['miscited']:,} miscited, {count['false_prices']:,} false prices"
        )
        estimated = "" if real else " (estimated by the stand-in)"
        out.print(f"[bold]tokens[/]      {self._tokens_in:,} in, {self._tokens_out:,} out{estimated}")
        if self._call_ms:
            out.print(f"[bold]latency[/]     {statistics.median(self._call_ms):.1f} ms for the model (median)")


def _sparkline(prices: deque[float], width: int) -> str:
    newest = list(prices)[-width:] if width > 0 else []
    low, high = min(newest, default=0), max(newest, default=0)
    spread = high - low or 1
    return "".join(_BLOCKS[min(7, int((price - low) / spread * 8))] for price in newest).ljust(width)


def _cells(held: Position | None) -> tuple[str, ...]:
    if held is None:
        return "[dim]flat[/]", "", "", "", "", ""
    levels = ["" if level is None else f"{level:.2f}" for level in (held.stop_loss, held.take_profit)]
    return held.side, str(held.quantity), f"{held.entry_price:.2f}", *levels, _money(float(held.unrealized_pnl or 0))


def _money(amount: float) -> str:
    return f"[{'green' if amount > 0 else 'red' if amount < 0 else 'dim'}]{amount:+,.2f}[/]"


def _fill_line(fill: Fill) -> str:
    earned = f", earned {_money(float(fill.realized))}" if fill.realized else ""
    return (
        f"        {escape(fill.symbol):<6} [bold]{fill.side}[/] {fill.quantity} at {fill.price} "
        f"({escape(fill.reason)}){earned}"
    )
