"""`llmctx schema`: the live keys."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from llmctx import clock
from llmctx.cli.shared.options import AsJson
from llmctx.cli.shared.output import escape, out, plain_table, print_json

if TYPE_CHECKING:
    from pydantic import BaseModel

    from llmctx.schema.keys import Family

_EXAMPLE_SYMBOL = "AAPL"
_TIMESTAMP = re.compile(r'("timestamp": )"[^"]+"')


def schema(
    key: Annotated[
        str | None, typer.Argument(help="A key, its pattern or its section: stocks:price:AAPL, price.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the live keys, or print one's JSON Schema and an example.

    `decisions` is the form of the field `decision` in each entry of decisions:{p}: one for each record that settles a
    tick. For a skipped tick the action is none, with the reason. `effects` is the form of the field `effect`
    that the execution side writes to effects:{p}. With --json only the JSON Schema is printed; it includes the example.
    `settings` lists every setting with its default.

    \b
    llmctx schema
    llmctx schema price
    llmctx schema positions:active:AAPL
    llmctx schema decisions
    llmctx schema effects
    llmctx schema settings
    """
    from llmctx.schema.keys import FAMILIES, find_family
    from llmctx.schema.values import Effect, Thesis

    if key == "settings":
        _print_settings(as_json)
    elif key is not None and key not in ("decisions", "effects"):
        _print_family(find_family(key), key, as_json)
    elif key is not None:
        print_json((Thesis if key == "decisions" else Effect).model_json_schema())
    elif as_json:
        for family in FAMILIES:
            fields = {name: getattr(family, name) for name in ("section", "pattern", "lifetime_s", "writer", "says")}
            print_json(fields | {"model": family.model.__name__})
    else:
        _print_families()


def _print_family(family: "Family", key: str, as_json: bool) -> None:
    written, value = _example(family, key)
    document = family.model.model_json_schema() | {"examples": [value]}
    if as_json:
        print_json(document)
        return
    out.print("An example to write, and the JSON Schema of its fields.\n", style="dim")
    out.print(f"SET {written} {shlex.quote(json.dumps(value))}\n", markup=False)
    out.print(json.dumps(document, indent=2), markup=False)


def _example(family: "Family", key: str) -> tuple[str, Any]:
    """A key of the family and a current value for it, so that it is fresh once it is set."""
    from llmctx.schema.keys import EXAMPLES

    parts = family.parts_of(key) or {}
    texts: dict[str, str] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    shown = next(name for name in texts if family.parts_of(name) is not None)
    symbol = parts.get("symbol", _EXAMPLE_SYMBOL)
    text = _TIMESTAMP.sub(rf'\1"{clock.iso(clock.now_ms())}"', texts[shown].replace(_EXAMPLE_SYMBOL, symbol))
    return family.key(symbol, parts.get("signal_type", "entry")), json.loads(text)


def _print_families() -> None:
    from llmctx.schema.keys import FAMILIES

    table = plain_table("key", "section", "lifetime")
    table.columns[0].min_width = max(len(family.pattern) for family in FAMILIES)
    table.add_column("content")
    for family in FAMILIES:
        lifetime = "no limit" if family.lifetime_s is None else f"{family.lifetime_s // 3600} h"
        table.add_row(escape(family.pattern), family.section, lifetime, family.says)
    out.print(table)


def _print_settings(as_json: bool) -> None:
    if not as_json:
        out.print("Each as an environment variable; in llmctx.toml LLMCTX_LLM__MODEL is model in the table llm.\n")
    for each in described():
        if as_json:
            print_json(each._asdict())
        else:
            default = f"  ({each.default})" if each.default else ""
            out.print(f"[bold]{each.variable}[/]{escape(default)}\n    {escape(each.says)}", highlight=False)


class Described(NamedTuple):
    """A setting as its users see it."""

    variable: str
    """Its environment variable; a table ends in __..."""
    default: str
    """Its default; "" for none."""
    says: str
    """Its description."""


def described() -> Iterator[Described]:
    """Every setting; a table that occurs in several places is described at the first."""
    from llmctx.settings import all_variables

    places: dict[type[BaseModel], str] = {}
    for each in all_variables():
        prefix = each.name.removesuffix(each.field.upper())
        if places.setdefault(each.model, prefix) != prefix:
            continue
        again = next((places[model] for model in each.tables if model in places), None)
        says = each.says if again is None else f"{each.says} Its fields are those of {again}..."
        yield Described(each.name + "__..." * bool(each.tables), each.default, says)
