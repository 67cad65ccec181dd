"""Days of bars and headlines as files."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

from llmctx.clock import iso, to_ms
from llmctx.flow.bar_file import BarFile
from llmctx.flow.bars import FIELDS, Bar
from llmctx.flow.simulated_market import SimulatedMarket


class Day(NamedTuple):
    """The files of one or two trading days."""

    bars: Path
    news: Path

    def by_symbol(self) -> dict[str, list[Bar]]:
        """The bars of each symbol, in order."""
        found: dict[str, list[Bar]] = {}
        for bar in BarFile(self.bars):
            assert isinstance(bar, Bar)
            found.setdefault(bar.symbol, []).append(bar)
        return found


def write(market: SimulatedMarket, folder: Path) -> Day:
    """A simulated market as the files that `llmctx feed` reads."""
    bars, news = folder / "bars.csv", folder / "news.jsonl"
    with bars.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(FIELDS)
        rows.writerows([iso(to_ms(bar.start)), *bar[1:]] for bar in market.bars)
    news.write_text("".join(json.dumps(line) + "\n" for line in market.news), encoding="utf-8")
    return Day(bars, news)
