"""`llmctx schema`: the live keys."""

from typing import Annotated

import typer

from llmctx.cli.shared.options import AsJson
from llmctx.cli.shared.output import escape, out, plain_table, print_json


def schema(
    key: Annotated[
        str | None, typer.Argument(help="A key, its pattern or its section: stocks:price:AAPL, price.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the live keys, or print the JSON Schema of one.

    `decisions` stands for what is published on decisions:{p}, in the field `decision` of each entry: one for each
    record that settles a tick. For a skipped tick its action is none, and its reason says why. `effects` stands for
    what the execution side writes to effects:{p}, in the field `effect`.

    \b
    llmctx schema
    llmctx schema positions:active:AAPL
    llmctx schema decisions
    llmctx schema effects
    """
    from llmctx.schema.keys import FAMILIES, find_family
    from llmctx.schema.values import Effect, Thesis

    if key == "decisions":
        print_json(Thesis.model_json_schema())
    elif key == "effects":
        print_json(Effect.model_json_schema())
    elif key is not None:
        print_json(find_family(key).model.model_json_schema())
    elif as_json:
        for family in FAMILIES:
            fields = {name: getattr(family, name) for name in ("section", "pattern", "lifetime_s", "writer", "says")}
            print_json(fields | {"model": family.model.__name__})
    else:
        _print_families()


def _print_families() -> None:
    from llmctx.schema.keys import FAMILIES

    table = plain_table("key", "section", "lifetime")
    table.columns[0].min_width = max(len(family.pattern) for family in FAMILIES)
    table.add_column("content")
    for family in FAMILIES:
        lifetime = "no limit" if family.lifetime_s is None else f"{family.lifetime_s // 3600} h"
        table.add_row(escape(family.pattern), family.section, lifetime, family.says)
    out.print(table)
