"""`llmctx backtest`: prompts that trade a whole session."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from llmctx.cli.shared.decision_config import config_of
from llmctx.cli.shared.long_running import progress
from llmctx.cli.shared.mandates import read_mandate
from llmctx.cli.shared.options import (
    AsJson,
    BarsFormat,
    BarsSymbol,
    BarsZone,
    CostBps,
    Endpoint,
    Exchange,
    Funding,
    IntervalS,
    Leverage,
    Lot,
    MaintenancePct,
    MakerBps,
    MinNotional,
    Model,
    News,
    PromptsDir,
    Sectors,
    bar_file_options,
    broker_terms,
    option,
)
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.decision.mandate.mandate import Mandate
from llmctx.errors import LlmctxError
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.flow.bar_file import BarFile
    from llmctx.flow.rules import FeedRules


_SETTINGS = "settings"


class _Session(NamedTuple):
    """One session to be traded."""

    prompt: str
    limits: str
    mandate: Mandate


def backtest(
    bars: Annotated[Path, typer.Argument(help="CSV file of bars, as `llmctx feed` reads it.")],
    prompt: Annotated[list[str] | None, option(help="A prompt that trades: NAME or NAME/vN. May be repeated.")] = None,
    mandate: Annotated[
        list[str] | None, option(metavar="FILE", help="A mandate to trade under, or: settings. May be repeated.")
    ] = None,
    news: News = None,
    sectors: Sectors = None,
    interval_s: IntervalS = None,
    bars_format: BarsFormat = None,
    symbol: BarsSymbol = None,
    zone: BarsZone = None,
    exchange: Exchange = "XNYS",
    cost_bps: CostBps = "2",
    lot: Lot = None,
    min_notional: MinNotional = None,
    leverage: Leverage = None,
    maker_bps: MakerBps = None,
    maintenance_pct: MaintenancePct = "0.5",
    funding: Funding = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep each session's server data and trail in this folder, for replays.")
    ] = None,
    prompts: PromptsDir = None,
    endpoint: Endpoint = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Let each prompt trade a whole session and compare the results.

    A decision affects everything after it, which no replay of single decisions shows. So each prompt, under each
    mandate, gets an embedded server, a paper book and the same bars in lockstep. The command compares profit, drawdown,
    exposure, calls, cost, and how often each limit was reached. Exit code 3: the endpoint stopped answering.

    \b
    llmctx simulate bars.csv --news news.jsonl --sectors sectors.json --minutes 60
    llmctx backtest bars.csv --prompt position/v1 --news news.jsonl --sectors sectors.json
    llmctx backtest bars.csv --mandate settings --mandate strict.toml
    """
    from llmctx.flow.bar_file import BarFile
    from llmctx.flow.rules import FeedRules, read_sectors
    from llmctx.flow.timeframes import FrameRules
    from llmctx.prompt.template import load_template

    file = BarFile(bars, bar_file_options(bars_format, symbol, zone))
    rules = FeedRules(
        interval=file.interval(None if interval_s is None else timedelta(seconds=interval_s)),
        sectors=read_sectors(sectors),
        exchange=exchange,
        **broker_terms((cost_bps, maker_bps, maintenance_pct), lot, min_notional, leverage),
    )
    settings = settings_for(None, None, prompts=prompts, endpoint=endpoint, model=model)
    rules = rules._replace(frames=FrameRules(settings.timeframes, settings.timeframe_series))
    names = [load_template(settings.prompts, name, settings.state_dir).ref for name in prompt or [settings.prompt]]
    sessions = [_Session(name, *found) for name in names for found in _mandates(settings, mandate or [_SETTINGS])]
    results = asyncio.run(_backtest(settings, sessions, (file, news, funding), rules, keep, quiet=as_json))
    if as_json:
        for result in results:
            print_json(result)
        return
    _print(results, _titles(sessions))
    if keep is not None:
        for folder in _folders(keep, sessions):
            out.print(f"kept: llmctx replay --redis-url embedded:{escape(str(folder / 'redis'))}")


def _mandates(settings: Settings, given: list[str]) -> list[tuple[str, Mandate]]:
    """Each mandate that is named, with its name; the one of the settings has none if it is the only one."""
    if given == [_SETTINGS]:
        return [("", settings.mandate)]
    return [(Path(one).stem, settings.mandate if one == _SETTINGS else read_mandate(Path(one))) for one in given]


def _folders(keep: Path, sessions: list[_Session]) -> list[Path]:
    """A folder for each session; two of the same prompt and mandate get two."""
    plain = ["-".join(filter(None, (each.prompt.replace("/", "-"), each.limits))) for each in sessions]
    return [keep / (name if plain.count(name) == 1 else f"{name}-{i}") for i, name in enumerate(plain, start=1)]


async def _backtest(
    settings: Settings,
    sessions: list[_Session],
    files: "tuple[BarFile, Path | None, Path | None]",
    rules: "FeedRules",
    keep: Path | None,
    *,
    quiet: bool,
) -> list[dict[str, Any]]:
    from llmctx.backtest import Session, run_backtest
    from llmctx.flow.timeline import read_items

    async with AsyncExitStack() as stack:
        # An unusable prompt, endpoint or file is reported before anything starts.
        configs = [
            await stack.enter_async_context(config_of(settings.model_copy(update=update), need_endpoint=True))
            for update in ({"prompt": each.prompt, "mandate": each.mandate} for each in sessions)
        ]
        session = Session(list(read_items(files[0], files[1], rules.interval, files[2])), rules)
        home = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmctx-backtest-")))
        folders = _folders(home, sessions)
        _create(folders)
        advance = stack.enter_context(progress("trading", len(session.items) * len(sessions), quiet=quiet))
        run = partial(
            run_backtest, session=session, prices=settings.prices, concurrency=settings.concurrency, on_bar=advance
        )
        tasks = [
            asyncio.create_task(run(config, directory=folder)) for config, folder in zip(configs, folders, strict=True)
        ]
        try:
            return [result.as_dict() for result in await asyncio.gather(*tasks)]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _create(folders: list[Path]) -> None:
    for folder in folders:
        if folder.exists() and any(folder.iterdir()):
            raise LlmctxError(f"{folder} is not empty.", "Name another folder with --keep.")
        folder.mkdir(parents=True, exist_ok=True)


_ROWS = (
    ("profit", "pnl", "{:+,.2f}"),
    ("profit, % of capital", "pnl_pct", "{:+.3f}%"),
    ("unrealized profit", "open", "{:+,.2f}"),
    ("maximum drawdown", "max_drawdown", "{:,.2f}"),
    ("drawdown, %", "max_drawdown_pct", "{:.3f}%"),
    ("mean exposure", "mean_exposure_pct", "{:.1f}%"),
    ("maximum exposure", "max_exposure_pct", "{:.1f}%"),
    ("positions closed", "closed", "{}"),
    ("won", "wins", "{}"),
    ("lost", "losses", "{}"),
    ("fills", "fills", "{}"),
    ("trading costs", "trading_costs", "{:,.2f}"),
    ("funding paid", "funding", "{:,.2f}"),
    ("calls", "calls", "{}"),
    ("no usable answer", "failed", "{}"),
    ("input tokens", "tokens_in", "{:,}"),
    ("output tokens", "tokens_out", "{:,}"),
    ("model cost", "cost", "{:.4f}"),
)


def _print(results: list[dict[str, Any]], titles: list[str]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in titles:
        table.add_column(escape(title), justify="right")
    for title, name, form in _ROWS:
        table.add_row(title, *(_cell(result[name], form) for result in results))
    for action in sorted({action for result in results for action in result["actions"]}):
        table.add_row(f"verdict {action}", *(str(result["actions"].get(action, 0)) for result in results))
    for limit in dict.fromkeys(name for result in results for name in result["limits"]):
        table.add_row(f"limit {limit}", *(str(result["limits"].get(limit, 0)) for result in results))
    out.print(table)
    if len(results) > 1:
        best, title = max(zip(results, titles, strict=True), key=lambda column: column[0]["pnl"])
        spread = best["pnl"] - min((result["pnl"] for result in results), default=Decimal(0))
        if spread:
            out.print(f"\n{escape(title)} made {spread:,.2f} more. One session is one sample, not proof.")
        else:
            out.print("\nAll made the same.")


def _titles(sessions: list[_Session]) -> list[str]:
    """The column headings; a prompt that trades twice under one mandate is numbered."""
    names = [", ".join(filter(None, (each.prompt, each.limits))) for each in sessions]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: i + 1].count(name)})" for i, name in enumerate(names)
    ]


def _cell(value: Any, form: str) -> str:
    return "no price" if value is None else form.format(value)
