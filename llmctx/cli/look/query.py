"""`llmctx query`: SQL over an export."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmctx.cli.shared.options import AsJson
from llmctx.cli.shared.output import escape, out, print_json, visible
from llmctx.cli.shared.setup import settings_for

if TYPE_CHECKING:
    from llmctx.ops.query import Rows


def query(
    text: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="A shipped query, or a file that ends with .sql.", show_default=False),
    ] = None,
    where: Annotated[
        Path | None, typer.Option("--from", help="The export to read, a folder.", show_default=False)
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A variable of the query; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Query an export with SQL.

    Without QUERY, the shipped queries are listed. They and your own run in DuckDB (extra `query`) on the views in
    audit/queries/views.sql, and can read nothing but the export. cost takes prices from the settings; shown takes
    `--set symbol=S` and `--set at=TIME`. A query reports what the files say; `llmctx verify DIR` proves them.

    \b
    llmctx query
    llmctx query guards --from ./export
    llmctx query shown --from ./export --set symbol=ACME --set at=2026-03-02T15:00:00Z --json
    """
    from llmctx.ops.query import find_query, run_query

    if text is None:
        _list(as_json=as_json)
        return
    if where is None:
        raise typer.BadParameter("name the export with --from DIR; `llmctx export DIR` makes one")
    found = run_query(find_query(text), where, _variables(given or []))
    if as_json:
        for row in found.rows:
            print_json(dict(zip(found.columns, row, strict=True)))
    else:
        _print(found)


def _variables(given: list[str]) -> dict[str, str]:
    prices = {model: price.model_dump(mode="json", exclude_none=True) for model, price in settings_for().prices.items()}
    variables = {"prices": json.dumps(prices)}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set {pair}: write NAME=VALUE")
        variables[name] = value
    return variables


def _list(*, as_json: bool) -> None:
    from llmctx.ops.query import shipped_queries

    for found in shipped_queries():
        if as_json:
            print_json({"query": found.name, "reports": found.says})
        else:
            out.print(f"{found.name:<10} {escape(found.says)}")


def _print(found: "Rows") -> None:
    """Print columns side by side, none of them cut: what is cut cannot be copied."""
    rows = [["" if value is None else _text(value) for value in row] for row in found.rows]
    widths = [max(map(len, column)) for column in zip(found.columns, *rows, strict=True)]
    for row in (found.columns, *rows):
        line = "  ".join(visible(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print(line.rstrip(), markup=False)
    if not rows:
        out.print("No rows.")


def _text(value: Any) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:,}" if isinstance(value, int) else str(value)
