"""`llmctx report`: one decision, or a day, as a single file."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from llmctx import clock
from llmctx.cli.shared.options import From, MessagesAsJson, RedisUrl, StateDir, option
from llmctx.cli.shared.output import escape, out
from llmctx.cli.shared.setup import settings_for
from llmctx.errors import ConsoleError
from llmctx.replay.safe_write import Destination, FileKind, replacing
from llmctx.settings import Settings

REPORT = FileKind(
    "a report of `llmctx report`", lambda head: b'<meta name="generator" content="llmctx report">' in head
)
_DAY_MS = 86_400_000


def report(
    html: Annotated[Path, typer.Option("--html", help="The file to write.")],
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="The record: INDEX, or P:INDEX. Leave it out with --day.")
    ] = None,
    day: Annotated[str | None, option("--day", help="All records of this day in UTC, as 2026-03-02.")] = None,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    _as_json: MessagesAsJson = False,
) -> None:
    """Write one decision or a day as one HTML file with its proof.

    The file is self-contained: it opens in any browser, which recomputes the proof against the public key that its
    reader pastes. Without a checkpoint over the record it says that there is no proof.

    \b
    llmctx report 12 --html decision-12.html
    llmctx report --day 2026-03-02 --html day.html --from ./export
    """
    if (address is None) == (day is None):
        raise typer.BadParameter("give an ADDRESS, or a day with --day")
    text = asyncio.run(
        _text(settings_for(redis_url, state_dir), where, address, None if day is None else _begin_ms(day))
    )
    with replacing(Destination(html, "--html", REPORT)) as file:
        file.write(text)
    out.print(f"Wrote {escape(str(html))}; open it in a browser.")


def _begin_ms(day: str) -> int:
    try:
        return clock.to_ms(clock.parse_iso(f"{date.fromisoformat(day)}T00:00:00Z"))
    except ValueError as error:
        raise typer.BadParameter(f"--day {day}: write a day as 2026-03-02") from error


async def _text(settings: Settings, where: str | None, address: str | None, begin_ms: int | None) -> str:
    from llmctx.cli.shared.consoles import subject_of
    from llmctx.cli.shared.sources import listing_hint
    from llmctx.console.report import day_report, report_of
    from llmctx.trail.source.filter import Filter
    from llmctx.trail.source.lookup import newest, read_record

    async with subject_of(settings, where, command="report") as subject:
        source = await subject.source()
        if begin_ms is None:
            return await report_of(subject, source, await read_record(source, str(address)))
        day = clock.iso(begin_ms)[:10]
        entries = (await newest(source.parts, Filter(since_ms=begin_ms, until_ms=begin_ms + _DAY_MS))).entries
        if not entries:
            raise ConsoleError(f"No record is of {day}.", listing_hint(where))
        return await day_report(subject, source, entries, day)
