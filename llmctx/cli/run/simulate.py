"""`llmctx simulate`: files of a simulated market."""

import csv
import json
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.shared.options import MessagesAsJson
from llmctx.cli.shared.output import escape, out


def simulate(
    bars: Annotated[Path, typer.Argument(metavar="OUT.csv", help="File to write the bars to.")],
    news: Annotated[Path | None, typer.Option(help="File to write the headlines to, as JSON Lines.")] = None,
    sectors: Annotated[Path | None, typer.Option(help="File to write the sector map to, as JSON.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same market.")] = 7,
    days: Annotated[int, typer.Option(help="How many trading days.", min=1, max=250)] = 2,
    minutes: Annotated[int, typer.Option(help="How many minutes of each day.", min=1, max=390)] = 390,
    _as_json: MessagesAsJson = False,
) -> None:
    """Write a simulated market to files: bars, headlines, sectors.

    Eight symbols in four sectors. Trending and sideways days alternate, with a trading halt, a news shock and an
    opening gap.

    \b
    llmctx simulate bars.csv --news news.jsonl --sectors sectors.json --seed 7
    llmctx feed bars.csv --news news.jsonl --sectors sectors.json
    """
    from llmctx.clock import iso, to_ms
    from llmctx.flow.bars import FIELDS
    from llmctx.flow.simulated_market import simulate as simulate_session

    session = simulate_session(seed=seed, days=days, minutes=minutes)
    with bars.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(FIELDS)
        rows.writerows([iso(to_ms(bar.start)), *bar[1:]] for bar in session.bars)
    written = [f"{len(session.bars)} bars of {len(session.sectors)} symbols to {bars}"]
    if news is not None:
        news.write_text("".join(json.dumps(line) + "\n" for line in session.news), encoding="utf-8")
        written.append(f"{len(session.news)} headlines to {news}")
    if sectors is not None:
        sectors.write_text(json.dumps(session.sectors, indent=1) + "\n", encoding="utf-8")
        written.append(f"the sectors to {sectors}")
    out.print(escape(f"Wrote {', '.join(written)}."))
