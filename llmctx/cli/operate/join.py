"""`llmctx join`: let a second state directory write to a trail."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.shared.options import MessagesAsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, messages, out, print_json
from llmctx.cli.shared.setup import open_trail, settings_for
from llmctx.errors import JoinError
from llmctx.settings import Settings

_STDIN = "-"


def join(
    approve: Annotated[
        str | None, typer.Option(metavar="REQUEST", help="Print the grant for a request, where the instance key is.")
    ] = None,
    retire: Annotated[
        str, typer.Option(metavar="KEYID", help="With --approve: the writer key that the new one replaces.")
    ] = "",
    grant: Annotated[str | None, typer.Option(metavar="FILE", help="Accept a grant; - reads standard input.")] = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    _as_json: MessagesAsJson = False,
) -> None:
    """Let a second state directory write to a trail.

    Every state directory has a writer key, and the instance key decides which of them may write. A new one prints a
    request, the state directory with the instance key turns it into a grant, and the new one accepts that. Neither
    holds a secret. `-` reads from standard input.

    A writer key is replaced in the same way: stop its workers, move its two files away, and name its ID with --retire.

    \b
    llmctx join --state-dir NEW > request                       # on the new machine
    llmctx join --state-dir OLD --approve - < request > grant   # where the instance key is
    llmctx join --state-dir NEW --grant grant                   # on the new machine
    """
    settings = settings_for(redis_url, state_dir)
    if approve is not None:
        from llmctx.trail.proof.join import approve as approved

        request = sys.stdin.read().strip() if approve == _STDIN else approve
        grant_made = approved(settings.state_dir, request, retire)
        if retire and not any(f"+{retire}+" in line for line in grant_made["enrolled"]):
            messages.note(
                f"No record that was checked here enrols the writer key {retire}: make sure that it is the ID"
            )
        print_json(grant_made)
        return
    asyncio.run(_join(settings, grant))


async def _join(settings: Settings, grant: str | None) -> None:
    from llmctx.trail.log.log import Log
    from llmctx.trail.proof.join import accept, make_request

    async with open_trail(settings) as (redis, instance):
        if grant is None:
            out.print(escape(make_request(settings.state_dir, instance)))
            messages.note(
                "Run `llmctx join --approve REQUEST` where the instance key is, then `llmctx join --grant FILE`"
            )
            return
        key = accept(settings.state_dir, instance, _read(grant), await Log(redis).checkpoint())
        messages.note(f"{settings.state_dir} writes to the trail of {key.text}. `llmctx key` there must show the same")


def _read(grant: str) -> str:
    try:
        return sys.stdin.read() if grant == _STDIN else Path(grant).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JoinError(f"The grant {grant} cannot be read: {error}.", "Name the file that --approve wrote.") from error
