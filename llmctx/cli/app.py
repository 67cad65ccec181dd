"""The commands, in the order in which one meets them."""

from typing import Annotated

import typer

from llmctx.cli import (
    ask,
    backtest,
    compare,
    corpus,
    data,
    demo,
    export,
    feed,
    key,
    look,
    notary,
    outcome,
    prompts,
    prove,
    replay,
    serve,
    show,
)
from llmctx.version import VERSION

app = typer.Typer(
    name="llmctx",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Puts a trading system's live Redis state before an LLM, and keeps a provable record of every decision.\n\n"
    "Begin with `llmctx demo`. Exit codes: 0 good, 1 the evidence or the check fails, 2 misuse or unusable input, "
    "3 a needed server or state is not there.",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"llmctx {VERSION}")
        raise typer.Exit


@app.callback()
def _program(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for _command in (
    demo.demo,
    serve.redis,
    serve.standin,
    feed.feed,
    feed.simulate,
    serve.run,
    look.status,
    ask.context,
    ask.decide,
    look.decisions,
    show.show,
    prove.verify,
    replay.replay,
    compare.compare,
    prompts.prompts,
    outcome.outcome,
    corpus.corpus,
    backtest.backtest,
    export.export,
    export.receipt,
    key.key,
    notary.notary,
    data.schema,
    data.keys,
    data.watch,
):
    app.command(name=_command.__name__)(_command)
