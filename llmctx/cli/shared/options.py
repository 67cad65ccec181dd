"""Options and arguments that several commands share, and numbers read from text."""

from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from llmctx.limits import MAX_BY_CHARS, MAX_WHY_CHARS

if TYPE_CHECKING:
    from llmctx.flow.bar_file import BarFileOptions

option = partial(typer.Option, show_default=False)
"""An option whose help names its default, if it has one."""

Symbol = Annotated[str, typer.Argument(help="The symbol, as in the key positions:active:SYMBOL.")]
Address = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="The record: INDEX, or P:INDEX if the trail has several partitions; `llmctx decisions` prints it.",
    ),
]
TIME_FORMS = "7d, 2h or 15m ago; 14:31, the last one in UTC; or ISO 8601 with a zone"
"""How times are written on the command line."""
Since = Annotated[str | None, option("--since", help=f"Only packages of this time or later: {TIME_FORMS}.")]
Until = Annotated[str | None, option("--until", help=f"Only packages before this time: {TIME_FORMS}.")]
From = Annotated[
    str | None,
    option(
        "--from",
        metavar="PATH",
        help="Read an export or an archive (a folder, or s3://... for one in an object store) or a corpus (a file). "
        "Default: the trail in Redis.",
    ),
]
RedisUrl = Annotated[
    str | None,
    option(
        "--redis-url",
        help="The server, redis://HOST:PORT/DB, or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB; embedded:DIR "
        "starts one on the data in DIR while the command runs. Also LLMCTX_REDIS_URL. Default: redis://127.0.0.1:6379/0.",
    ),
]
StateDir = Annotated[
    Path | None,
    option(
        "--state-dir",
        help="The directory of the instance file, spool, anchor and keys. Also LLMCTX_STATE_DIR. Default: ./var.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs; messages on standard error too.")]
MessagesAsJson = Annotated[bool, typer.Option("--json", help="Print messages on standard error as JSON.")]
"""The same for a command that has no result to print, or whose result is JSON anyway."""
NewInstance = Annotated[
    bool, typer.Option("--new-instance", help="Start a new trail if the state directory belongs to another server.")
]
PromptName = Annotated[
    str | None, option("--prompt", help="The prompt: NAME for its newest version, or NAME/vN. Also LLMCTX_PROMPT.")
]
PromptsDir = Annotated[Path | None, option("--prompts", help="The folder of prompts. Default: the prompts shipped.")]
Endpoint = Annotated[
    str | None,
    option(
        "--endpoint", help="Base URL of the endpoint, or the name of one of llm.endpoints. Also LLMCTX_LLM__BASE_URL."
    ),
]
Model = Annotated[str | None, option("--model", help="The model to ask. Also LLMCTX_LLM__MODEL.")]
News = Annotated[
    Path | None, typer.Option("--news", help="JSON Lines file of headlines: timestamp, symbol, headline, source, url.")
]
Sectors = Annotated[
    Path | None, typer.Option("--sectors", help='JSON file that maps symbols to sectors: {"AAPL": "technology", ...}.')
]
IntervalS = Annotated[
    int | None, option("--interval-s", help="Length of a bar in seconds. Default: what the file shows.", min=1)
]
BarsFormat = Annotated[
    str | None, option("--format", help="Layout of the file of bars. Default: what its columns show.")
]
BarsSymbol = Annotated[str | None, option("--symbol", help="The symbol of a file whose columns do not name it.")]
BarsZone = Annotated[str | None, option("--zone", help="Zone of times that name none: America/New_York.")]
Exchange = Annotated[
    str,
    typer.Option(
        "--exchange",
        help="Trading hours for market_status: XNYS, XNAS, XLON, XETR, XPAR, FX, with the extra `calendars` sixty "
        "others (XTKS, XNSE, CMES, ...); always is never closed.",
    ),
]
CostBps = Annotated[str, typer.Option("--cost-bps", help="Cost of each fill, in basis points of the traded amount.")]


def said_by(by: str, why: str) -> tuple[str, str]:
    """Who acts, and why, as recorded."""
    for name, text, limit in (("--by", by, MAX_BY_CHARS), ("--why", why, MAX_WHY_CHARS)):
        if not text.strip() or len(text) > limit:
            raise typer.BadParameter(f"{name} needs 1 to {limit} characters")
    return by.strip(), why.strip()


Lot = Annotated[
    list[str] | None,
    option(
        "--lot",
        help="The smallest quantity that the paper broker buys: 0.001, or SYMBOL=0.001; may be repeated. Default: 1, "
        "with --exchange always 0.0001.",
    ),
]
MinNotional = Annotated[
    list[str] | None,
    option("--min-notional", help="The least that a purchase must be worth: 10, or SYMBOL=10; may be repeated."),
]
MakerBps = Annotated[
    str | None,
    option(
        "--maker-bps",
        help="Cost of a fill at the target, which rests in the order book, in basis points. Default: --cost-bps.",
    ),
]
Leverage = Annotated[
    list[str] | None,
    option(
        "--leverage",
        help="Trade perpetuals on isolated margin: 5, or SYMBOL=5; may be repeated. Default: paid in full.",
    ),
]
MaintenancePct = Annotated[
    str, typer.Option("--maintenance-pct", help="Maintenance margin of a leveraged position, in percent of its value.")
]
Funding = Annotated[
    Path | None,
    typer.Option(
        "--funding", help="CSV or JSON Lines file of funding rates: timestamp, symbol, funding_rate, mark_price."
    ),
]


def broker_terms(
    costs: tuple[str, str | None, str],
    lot: list[str] | None,
    min_notional: list[str] | None,
    leverage: list[str] | None,
) -> dict[str, Any]:
    """The fields of FeedRules that the paper broker's options set.

    `costs` are --cost-bps, --maker-bps and --maintenance-pct.
    """
    cost_bps, maker_bps, maintenance_pct = costs
    return {
        "cost_bps": parse_number("--cost-bps", cost_bps),
        "maker_bps": None if maker_bps is None else parse_number("--maker-bps", maker_bps),
        "maintenance": _share("--maintenance-pct", maintenance_pct),
        "lots": numbers_by_symbol("--lot", lot),
        "min_notionals": numbers_by_symbol("--min-notional", min_notional),
        "leverages": numbers_by_symbol("--leverage", leverage),
    }


def _share(option: str, text: str) -> Decimal:
    value = _decimal(text)
    if value is None or not 0 <= value < 100:  # noqa: PLR2004  percent
        raise typer.BadParameter(f"{option} {text}: give a number from 0 to below 100")
    return value / 100


def numbers_by_symbol(option: str, texts: list[str] | None) -> dict[str, Decimal]:
    """The numbers above 0 that an option was given, by symbol; under "" the one that was given without a symbol."""
    found: dict[str, Decimal] = {}
    for text in texts or []:
        symbol, _, number = text.rpartition("=")
        value = _decimal(number)
        if value is None or value <= 0:
            raise typer.BadParameter(f"{option} {text}: give a number above 0, or SYMBOL=NUMBER")
        found[symbol] = value
    return found


def parse_number(option: str, text: str) -> Decimal:
    """The number that an option was given, from 0 to 9,999."""
    value = _decimal(text)
    if value is None or not 0 <= value < 10_000:  # noqa: PLR2004  far above any index or cost
        raise typer.BadParameter(f"{option} {text}: give a number from 0 to 9999")
    return value


def parse_amount(option: str, text: str | None) -> Decimal | None:
    """The amount above 0 that an option was given; None if it was not given."""
    if text is None:
        return None
    value = _decimal(text)
    if value is None or value <= 0:
        raise typer.BadParameter(f"{option} {text}: give an amount above 0")
    return value


def parse_time(option: str, text: str | None) -> int | None:
    """The time that an option was given, in milliseconds since 1970; None if it was not given."""
    from llmctx.replay.selection import moment_ms

    try:
        return None if text is None else moment_ms(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text}: {error}; write {TIME_FORMS}") from error


def _decimal(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def bar_file_options(layout: str | None, symbol: str | None, zone: str | None) -> "BarFileOptions":
    """The command line's options about a file of bars."""
    from llmctx.flow.bar_file import BarFileOptions

    try:
        return BarFileOptions(layout, symbol, None if zone is None else ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise typer.BadParameter(f"--zone {zone}: give a name like America/New_York or UTC") from error
