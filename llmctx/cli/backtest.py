"""The command that lets prompts trade a whole session each: backtest."""

import asyncio
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from llmctx.cli.options import AsJson, Endpoint, Model, PromptsDir
from llmctx.cli.output import escape, out, print_json
from llmctx.cli.progress import progress
from llmctx.cli.setup import asking_of, settings_for
from llmctx.errors import LlmctxError
from llmctx.settings import Settings


def backtest(
    bars: Annotated[Path, typer.Argument(help="CSV file of bars, as `llmctx feed` reads it.")],
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="A prompt to let trade: NAME or NAME/vN; give it again for each one.", show_default=False),
    ] = None,
    news: Annotated[Path | None, typer.Option(help="JSON Lines file of headlines.")] = None,
    sectors: Annotated[Path | None, typer.Option(help='JSON file: {"AAPL": "technology", ...}.')] = None,
    interval_s: Annotated[int, typer.Option(help="Length of a bar in seconds.", min=1)] = 60,
    exchange: Annotated[str, typer.Option(help="Whose hours market_status follows; or always.")] = "XNYS",
    cost_bps: Annotated[str, typer.Option(help="What a fill costs, in basis points of its worth.")] = "2",
    keep: Annotated[
        Path | None, typer.Option(help="Keep each session's server and trail in this folder, to be replayed.")
    ] = None,
    prompts: PromptsDir = None,
    endpoint: Endpoint = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Let each prompt trade a whole session, and compare their books.

    Decisions change what comes after them, so no replay of single decisions shows this: each prompt gets an embedded
    server, a paper book and the same bars in lockstep. Compares profit, drawdown, exposure, calls and cost. An endpoint
    that stays away ends it with 3.

    \b
    llmctx simulate bars.csv --news news.jsonl --sectors sectors.json --minutes 60
    llmctx backtest bars.csv --prompt position/v1 --news news.jsonl --sectors sectors.json
    """
    from llmctx.cli.feed import read_number, read_sectors
    from llmctx.flow.rules import Broker, FeedRules
    from llmctx.prompt.template import load_template

    rules = FeedRules(
        interval=timedelta(seconds=interval_s),
        sectors={} if sectors is None else read_sectors(sectors),
        exchange=exchange,
        broker=Broker(read_number("--cost-bps", cost_bps)),
    )
    settings = settings_for(None, None, prompts=prompts, endpoint=endpoint, model=model)
    names = [load_template(settings.prompts, name).ref for name in prompt or [settings.prompt]]
    found = asyncio.run(_backtest(settings, names, bars, news, rules, keep, quiet=as_json))
    if as_json:
        for books in found:
            print_json(books)
        return
    _print(found)
    if keep is not None:
        for folder in _folders(keep, names):
            out.print(f"kept: llmctx replay --redis-url embedded:{escape(str(folder / 'redis'))}")


def _folders(keep: Path, names: list[str]) -> list[Path]:
    """A folder for each session; the same prompt twice gets two."""
    plain = [name.replace("/", "-") for name in names]
    return [keep / (name if plain.count(name) == 1 else f"{name}-{i}") for i, name in enumerate(plain, start=1)]


async def _backtest(
    settings: Settings, names: list[str], bars: Path, news: Path | None, rules: Any, keep: Path | None, *, quiet: bool
) -> list[dict[str, Any]]:
    from llmctx.cli.feed import read_items
    from llmctx.cli.session import run_session

    asking = [settings.model_copy(update={"prompt": name}) for name in names]
    for setting in asking:  # what cannot be asked or read is told before anything starts
        async with asking_of(setting, need_endpoint=True):
            pass
    items = list(read_items(bars, news, rules.interval))
    with ExitStack() as stack:
        home = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmctx-backtest-")))
        folders = _folders(home, names)
        _make_room(folders)
        advance = stack.enter_context(progress("trading", len(items) * len(names), quiet=quiet))
        sessions = [
            asyncio.create_task(run_session(setting, items, rules, folder, advance))
            for setting, folder in zip(asking, folders, strict=True)
        ]
        try:
            return [books.as_dict() for books in await asyncio.gather(*sessions)]
        finally:
            for session in sessions:
                session.cancel()
            await asyncio.gather(*sessions, return_exceptions=True)


def _make_room(folders: list[Path]) -> None:
    for folder in folders:
        if folder.exists() and any(folder.iterdir()):
            raise LlmctxError(f"{folder} is not empty.", "Name another folder with --keep.")
        folder.mkdir(parents=True, exist_ok=True)


_ROWS = (
    ("profit", "pnl", "{:+,.2f}"),
    ("profit, % of capital", "pnl_pct", "{:+.3f}%"),
    ("of it still open", "open", "{:+,.2f}"),
    ("deepest drawdown", "max_drawdown", "{:,.2f}"),
    ("drawdown, %", "max_drawdown_pct", "{:.3f}%"),
    ("exposure, mean", "mean_exposure_pct", "{:.1f}%"),
    ("exposure, most", "max_exposure_pct", "{:.1f}%"),
    ("positions closed", "closed", "{}"),
    ("won", "wins", "{}"),
    ("lost", "losses", "{}"),
    ("fills", "fills", "{}"),
    ("trading costs", "trading_costs", "{:,.2f}"),
    ("calls", "calls", "{}"),
    ("without usable answer", "failed", "{}"),
    ("tokens read", "tokens_in", "{:,}"),
    ("tokens written", "tokens_out", "{:,}"),
    ("cost of the model", "cost", "{:.4f}"),
)


def _print(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    titles = _titles([books["prompt"] for books in found])
    for title in titles:
        table.add_column(escape(title), justify="right")
    for title, name, form in _ROWS:
        table.add_row(title, *(_cell(books[name], form) for books in found))
    for action in sorted({action for books in found for action in books["actions"]}):
        table.add_row(f"verdict {action}", *(str(books["actions"].get(action, 0)) for books in found))
    out.print(table)
    if len(found) > 1:
        best, title = max(zip(found, titles, strict=True), key=lambda column: column[0]["pnl"])
        spread = best["pnl"] - min((books["pnl"] for books in found), default=Decimal(0))
        if spread:
            out.print(f"\n{escape(title)} made {spread:,.2f} more. One session is one sample, not a proof.")
        else:
            out.print("\nAll made the same.")


def _titles(prompts: list[str]) -> list[str]:
    """What heads each column; the same prompt twice is numbered."""
    return [
        name if prompts.count(name) == 1 else f"{name} ({prompts[: i + 1].count(name)})"
        for i, name in enumerate(prompts)
    ]


def _cell(value: Any, form: str) -> str:
    return "no price set" if value is None else form.format(value)
