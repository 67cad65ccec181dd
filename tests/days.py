"""Whole days of bars and headlines as files: simulated, and recorded ones where they lie beside the project."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

from llmctx.clock import iso, to_ms
from llmctx.flow.bars import HEADER, Bar, read_bars
from llmctx.flow.simulated_market import simulate


class Day(NamedTuple):
    """The files of one or two trading days."""

    bars: Path
    news: Path | None = None

    def by_symbol(self) -> dict[str, list[Bar]]:
        """The bars of each symbol, in order."""
        found: dict[str, list[Bar]] = {}
        for bar in read_bars(self.bars):
            assert isinstance(bar, Bar)
            found.setdefault(bar.symbol, []).append(bar)
        return found


def write_simulated(folder: Path, *, minutes: int = 390, days: int = 2) -> Day:
    """A simulated market: eight symbols, trend and chop, a halt, a news shock, an opening gap."""
    session = simulate(seed=7, days=days, minutes=minutes)
    bars, news = folder / "bars.csv", folder / "news.jsonl"
    with bars.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        rows.writerows([iso(to_ms(bar.start)), *bar[1:]] for bar in session.bars)
    news.write_text("".join(json.dumps(line) + "\n" for line in session.news), encoding="utf-8")
    return Day(bars, news)


_DATA = Path(__file__).parents[2] / "shared" / "data"
RECORDED = [
    Day(bars, news if news.exists() else None)
    for bars in sorted(_DATA.glob("bars_*.csv"))
    for news in [bars.with_name(bars.name.replace("bars_", "news_")).with_suffix(".jsonl")]
]
"""Recorded days; the suite says the same without them."""
