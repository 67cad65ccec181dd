"""`llmctx console`: the pages and the API."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from llmctx.cli.shared.long_running import stop_signal
from llmctx.cli.shared.options import From, MessagesAsJson, PromptsDir, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, out
from llmctx.cli.shared.setup import settings_for
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.console.access import Bind

DEFAULT_PORT = 8780


def console(
    act: Annotated[
        Literal["token"] | None,
        typer.Argument(metavar="token", help="token: make a token, which replaces an older one, and print it once."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", help="The port to listen on; 0 takes a free one.", min=0, max=65_535)
    ] = DEFAULT_PORT,
    host: Annotated[str, typer.Option("--host", help="The address to listen on. Others need TLS and a token.")] = (
        "127.0.0.1"
    ),
    write: Annotated[
        bool, typer.Option("--write", help="Let requests with the token, or of the proxy's people, change something.")
    ] = False,
    names: Annotated[
        list[str] | None, typer.Option("--name", help="A host name under which it is asked too, for a tunnel or DNS.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="The certificate chain, as PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its private key, as PEM.")] = None,
    replays: Annotated[
        Path | None, typer.Option("--replays", help="The folder of results of replays. Default: STATE_DIR/replays.")
    ] = None,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    prompts: PromptsDir = None,
    _as_json: MessagesAsJson = False,
) -> None:
    """Open the console: pages and an API for desk and auditor.

    It has the desk with every open position; each decision with its facts, question, answer and verdict, and its proof,
    which the browser recomputes; search, symbols, comparisons, quality and health. The same is JSON under /api/v1.

    By default it listens on this machine only and is read-only. With --write, people who gave the token, or whom the
    proxy in [console] of the settings names, can ask for decisions, halt, resume, approve, override and annotate.

    \b
    llmctx console
    llmctx console --from ./export
    llmctx console token
    """
    settings = settings_for(redis_url, state_dir, prompts=prompts)
    from llmctx.cli.shared.consoles import proxy_of
    from llmctx.console.access import Bind, make_token

    if act == "token":
        out.print(make_token(settings.state_dir), markup=False)
        return
    called, proxy = tuple(names or ()), proxy_of(settings)
    bind = Bind(host, port, write=write, certificate=tls_cert, key=tls_key, names=called, proxy=proxy)
    asyncio.run(_serve(settings, where, bind, replays or settings.state_dir / "replays"))


async def _serve(settings: Settings, where: str | None, bind: "Bind", replays: Path) -> None:
    from llmctx.cli.shared.consoles import subject_of
    from llmctx.console.server import serve_console

    stop = stop_signal()
    async with (
        subject_of(settings, where, replays) as subject,
        serve_console(subject, bind, settings.state_dir, warms_up=True) as url,
    ):
        out.print(f"The console of {escape(subject.name)} is at {url} Ctrl-C stops it.")
        await stop.wait()
