"""`llmctx people`: the names of the people whom records name by id, and the erasure of one."""

import asyncio
from typing import Annotated

import typer

from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir, said_by
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import open_existing_home, open_trail, settings_for
from llmctx.errors import LlmctxError
from llmctx.settings import Settings
from llmctx.visible import show_names


def people(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[erase ID]", help="Nothing, or erase and an id.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who has the name erased; recorded.")] = None,
    why: Annotated[str | None, typer.Option(help="Why; recorded.")] = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List the people whom records name by id, or erase a name.

    Records have only the id; the names are in a table beside the trail. Once a name is erased, nothing leads from the
    id to the person. Records and proofs stay as they are, and a notice says who had it erased and why.

    \b
    llmctx people
    llmctx people erase person-5b1f0c9a7e24d36881f0aa93c47be210 --by "M. Rossi" --why "left in 2019"
    """
    settings = settings_for(redis_url, state_dir)
    match words or []:
        case []:
            _print(asyncio.run(_names(settings)), as_json=as_json)
        case ["erase", person]:
            where = asyncio.run(_erase(settings, person, *said_by(by or "", why or "")))
            if as_json:
                print_json({"id": person, "address": where})
                return
            out.print(f"[bold]erased[/]  the name of {escape(person)}\n[bold]record[/]  {where}")
        case other:
            raise LlmctxError(
                f"`llmctx people` has no action {' '.join(other)!r}.",
                "Write `llmctx people`, or `llmctx people erase ID --by NAME --why TEXT`.",
                exit_code=2,
            )


def _print(names: dict[str, str], *, as_json: bool) -> None:
    show_names({})  # an id stands for itself here
    for person, name in sorted(names.items(), key=lambda each: each[1]):
        if as_json:
            print_json({"id": person, "name": name})
        else:
            out.print(f"{person}  {escape(name)}")
    if not names and not as_json:
        out.print("Nobody is named.")


async def _names(settings: Settings) -> dict[str, str]:
    from llmctx.trail.log.people import NameTable, names_in

    async with open_trail(settings) as (redis, _):
        return names_in(await NameTable(redis, settings.state_dir).rows())


async def _erase(settings: Settings, person: str, by: str, why: str) -> str:
    """Have the notice appended, and then erase the name; returns the notice's address."""
    from llmctx.trail.log.entry import address
    from llmctx.trail.log.people import names_in
    from llmctx.worker.ask_owner import have_noted

    async with open_existing_home(settings) as home:
        if person not in names_in(await home.names.rows()):
            raise LlmctxError(f"{person} has no name in the table.", "`llmctx people` lists the ids that have one.")
        said = {"id": person, "by": await home.names.id_of(by), "why": why}
        reason = f"the name of {person} was erased by {said['by']}: {why}"
        index = await have_noted(home, 0, reason, {"name_erased": said})
        await home.names.erase(person)
        return address(index, 0, home.instance.partitions)
