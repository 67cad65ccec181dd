"""What the demo shows: positions, profit and decisions as they change on a terminal, plain lines elsewhere."""

import statistics
from collections import Counter, deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from llmctx import clock
from llmctx.cli.output import coloured, escape, out
from llmctx.cli.serve import line_of
from llmctx.trail.log.entry import Entry

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from llmctx.flow.compose import FedBar
    from llmctx.flow.feed_report import FeedReport
    from llmctx.flow.trades import Fill
    from llmctx.schema.values import Position

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARK = 40
_LINES = 10


class Theatre:
    """Watches a session."""

    def __init__(self, *, live: bool) -> None:
        self.records = 0
        """Records that settle a tick, so far."""
        self._kinds: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._guards: Counter[str] = Counter()
        self._checked = self._ungrounded = 0
        self._tokens = [0, 0]
        self._call_ms: list[float] = []
        self._own_ms: list[float] = []
        self._last: dict[str, str] = {}
        self._prices: dict[str, deque[float]] = {}
        self._positions: dict[str, Position | None] = {}
        self._taken: FedBar | None = None
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._live: Live | None = self._screen() if live else None

    def _screen(self) -> "Live":
        from rich.live import Live

        return Live(console=out, refresh_per_second=8, get_renderable=self._draw)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        else:
            out.print("[dim]record  symbol verdict  reasoning, or the guardrail that fired; and what the broker did[/]")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def bar(self, taken: "FedBar") -> None:
        """See a bar."""
        name = taken.bar.symbol
        self._taken = taken
        self._prices.setdefault(name, deque(maxlen=_SPARK)).append(float(taken.bar.close))
        self._positions[name] = taken.step.position
        for fill in taken.step.fills:
            self._say(_fill_line(fill))

    def entry(self, entry: Entry) -> None:
        """See a record."""
        record = entry.record
        self._kinds[record["kind"]] += 1
        self.records += "tick" in record
        self._actions[record["verdict"]["action"]] += "tick" in record
        self._guards.update(guard["name"] for guard in record["verdict"].get("guards", []))
        self._count(record)
        symbol, action = record.get("symbol", ""), record["verdict"]["action"]
        if (action not in ("hold", self._last.get(symbol))) or record["verdict"].get("guards"):
            self._say(line_of(str(entry.index), record))  # the others hold, or say the same again
        self._last[symbol] = action

    def _say(self, line: str) -> None:
        if self._live is None:
            out.print(line)
        else:
            self._lines.append(line)

    def _count(self, record: dict[str, Any]) -> None:
        usage = record.get("completion", {}).get("usage", {})
        self._tokens[0] += usage.get("prompt", 0)
        self._tokens[1] += usage.get("completion", 0)
        if (grounding := record.get("grounding")) is not None:
            self._checked += grounding.get("numbers", 0) + grounding.get("evidence", 0)
            self._ungrounded += len(grounding.get("unsupported", [])) + len(grounding.get("miscited", []))
        timings = {step: float(ms) for step, ms in record.get("timings_ms", {}).items()}
        if "complete" in timings:
            self._call_ms.append(timings.pop("complete"))
            self._own_ms.append(sum(timings.values()))

    def _draw(self) -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for heading in ("symbol", "last", "", "side", "shares", "entry", "stop", "target", "profit"):
            table.add_column(heading, justify="left" if heading in ("symbol", "", "side") else "right", no_wrap=True)
        for name, prices in sorted(self._prices.items()):
            table.add_row(name, f"{prices[-1]:.2f}", _spark(prices), *_cells(self._positions.get(name)))
        lines = [Text.from_markup(line, overflow="ellipsis") for line in self._lines]
        for line in lines:
            line.no_wrap = True
        return Group(Text.from_markup(self._headline()), "", table, "", *lines)

    def _headline(self) -> str:
        if self._taken is None:
            return "waiting for the first bar"
        day = self._taken.step.book.day
        open_pnl = sum(float(held.unrealized_pnl) for held in self._positions.values() if held is not None)
        at = clock.iso_of(self._taken.end)
        return (
            f"[bold]{at[:10]} {at[11:16]}[/]   today {_money(float(day.earned))}   open {_money(open_pnl)}   "
            f"won {day.wins}, lost {day.losses}   {self.records} decisions"
        )

    def summarise(self, summary: "FeedReport", *, real: bool) -> None:
        """Print what it came to."""
        counted = ", ".join(f"{coloured(action)} {count}" for action, count in self._actions.most_common() if count)
        guards = ", ".join(f"{name} {count}" for name, count in self._guards.most_common()) or "none"
        out.print(
            f"\n[bold]session[/]     {summary.bars} bars and {summary.headlines} headlines fed, {summary.ticks} ticks "
            f"raised, {self.records} of them settled, and a notice that the trail was made"
        )
        if self._taken is not None:
            book = self._taken.step.book
            earned = book.day.equity + book.day.earned - _capital()
            out.print(
                f"[bold]paper book[/]  {summary.opened} positions opened, {summary.closed} closed, {summary.fills} "
                f"fills; earned {_money(float(earned))}, costs taken off"
            )
        out.print(f"[bold]verdicts[/]    {counted}")
        out.print(f"[bold]guards[/]      {guards}")
        out.print(
            f"[bold]grounding[/]   {self._checked:,} numbers and citations in the answers held against the facts: "
            + (f"{self._ungrounded:,} are not borne out" if self._ungrounded else "all borne out")
        )
        out.print(
            f"[bold]tokens[/]      {self._tokens[0]:,} read, {self._tokens[1]:,} written"
            + ("" if real else " (the stand-in's estimate)")
        )
        if self._call_ms:
            out.print(
                f"[bold]latency[/]     model {statistics.median(self._call_ms):.1f} ms, "
                f"llmctx around it {statistics.median(self._own_ms):.1f} ms (medians)"
            )


def _capital() -> Any:
    from llmctx.flow.book import CAPITAL

    return CAPITAL


def _spark(prices: deque[float]) -> str:
    low, high = min(prices), max(prices)
    spread = high - low or 1
    return "".join(_BLOCKS[min(7, int((price - low) / spread * 8))] for price in prices).ljust(_SPARK)


def _cells(held: "Position | None") -> tuple[str, ...]:
    if held is None:
        return "[dim]flat[/]", "", "", "", "", ""
    levels = ["" if level is None else f"{level:.2f}" for level in (held.stop_loss, held.take_profit)]
    return held.side, str(held.quantity), f"{held.entry_price:.2f}", *levels, _money(float(held.unrealized_pnl))


def _money(amount: float) -> str:
    return f"[{'green' if amount > 0 else 'red' if amount < 0 else 'dim'}]{amount:+,.2f}[/]"


def _fill_line(fill: "Fill") -> str:
    earned = f", earned {_money(float(fill.realized))}" if fill.realized else ""
    return (
        f"        {escape(fill.symbol):<6} [bold]{fill.side}[/] {fill.quantity} at {fill.price} "
        f"({escape(fill.reason)}){earned}"
    )
