"""`llmctx hold`: records whose evidence must not be erased."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx import clock
from llmctx.cli.shared.options import TIME_FORMS, AsJson, RedisUrl, StateDir, parse_time, said_by
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import open_existing_home, settings_for
from llmctx.errors import ArchiveError
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.trail.archive.hold import Hold


def hold(
    by: Annotated[str | None, typer.Option(help="Who holds the records or releases them; recorded.")] = None,
    why: Annotated[str | None, typer.Option(help="Why; recorded.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Hold only the records of this symbol.")] = None,
    since: Annotated[str | None, typer.Option(help=f"Hold records of this time or later: {TIME_FORMS}.")] = None,
    until: Annotated[str | None, typer.Option(help=f"Hold records of a time before this one: {TIME_FORMS}.")] = None,
    release: Annotated[str | None, typer.Option("--release", metavar="ID", help="Release this hold.")] = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Keep archived evidence from erasure, or list the holds.

    A hold and its release are signed, stored in the archive (LLMCTX_ARCHIVE), and recorded in a notice with who and
    why. `llmctx erase` leaves the evidence of held records as it is. Without --by and --why the holds are listed.

    \b
    llmctx hold --by "M. Rossi, counsel" --why "case 2026-114" --symbol AAPL --since 2026-03-01
    llmctx hold --release 5f0c9a1e --by "M. Rossi, counsel" --why "case closed"
    llmctx hold
    """
    asked = None
    if by is not None or why is not None or release is not None:
        asked = said_by(by or "", why or "")
    where: dict[str, object] = {
        "symbol": symbol,
        "since_ms": parse_time("--since", since),
        "until_ms": parse_time("--until", until),
    }
    found = asyncio.run(_hold(settings_for(redis_url, state_dir), asked, where, release))
    for each in found:
        if as_json:
            print_json(each.model_dump(exclude_none=True))
            continue
        of = [each.symbol or "every symbol"]
        of += [f"from {clock.iso(each.since_ms)}"] if each.since_ms is not None else []
        of += [f"before {clock.iso(each.until_ms)}"] if each.until_ms is not None else []
        out.print(f"[bold]{each.id}[/]  {escape(', '.join(of))}, by {escape(each.by)}: {escape(each.why)}")
    if not found and not as_json:
        out.print("Nothing is held.")


async def _hold(
    settings: Settings, asked: tuple[str, str] | None, where: dict[str, object], release: str | None
) -> "list[Hold]":
    """Add or release a hold, if that is asked; returns the holds in force."""
    from llmctx.connection import server_ms
    from llmctx.ops.archive.erasing import holds_of
    from llmctx.trail.archive.hold import Hold, new_id
    from llmctx.trail.archive.place import open_place
    from llmctx.trail.log.people import show_people
    from llmctx.worker.ask_owner import have_noted

    if settings.archive is None:
        raise ArchiveError("No archive is named.", "Name it with LLMCTX_ARCHIVE.")
    async with open_existing_home(settings) as home:
        holds = holds_of(home, open_place(settings.archive))
        if asked is not None:
            by, why = await home.names.id_of(asked[0]), asked[1]
            show_people(await home.names.rows())  # who holds may have been named only just now
            made = Hold.model_validate(
                {"id": release or new_id(), "by": by, "why": why, "made_ms": await server_ms(home.redis), **where}
            )
            act = "released" if release else "added"
            (holds.release if release else holds.add)(made, home.writer)
            said = made.model_dump(exclude_none=True) | {"act": act}
            await have_noted(home, 0, f"hold {made.id} {act} by {by}: {why}", {"hold": said})
        return holds.active()
