"""`llmctx query`: SQL over an export or an archive."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmctx.cli.shared.options import AsJson, Since, Until, option, parse_time
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.clock import iso
from llmctx.visible import visible

if TYPE_CHECKING:
    from llmctx.ops.query import Rows


def query(
    text: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="A shipped query, or a file that ends with .sql.", show_default=False),
    ] = None,
    where: Annotated[
        str | None, option("--from", metavar="PATH", help="The export or archive to read: a folder, or s3://...")
    ] = None,
    since: Since = None,
    until: Until = None,
    bars: Annotated[
        list[Path] | None, option(help="Bars for outcomes, as `llmctx feed` reads them; repeatable.")
    ] = None,
    results: Annotated[list[Path] | None, option(help="Results of `llmctx replay` for flips; repeatable.")] = None,
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A variable of the query; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Query an export or an archive with SQL.

    Without QUERY, the shipped queries are listed. They and your own run in DuckDB (extra `query`) on the views in
    audit/queries/views.sql, and can read nothing but the records and the files given. cost takes prices from the
    settings; shown takes `--set symbol=S` and `--set at=TIME`. A query reports what the files say; `llmctx verify`
    proves them.

    \b
    llmctx query
    llmctx query guards --from ./export
    llmctx query actions --from ./archive --since 7d
    llmctx query outcomes --from ./export --bars bars.csv
    llmctx query flips --from ./export --results prompt.jsonl
    llmctx query shown --from ./export --set symbol=ACME --set at=2026-03-02T15:00:00Z --json
    """
    from llmctx.ops.query import Given, find_query, folder_of, run_query

    if text is None:
        _list(as_json=as_json)
        return
    if where is None:
        raise typer.BadParameter("name the export or archive with --from; `llmctx export DIR` makes one")
    times = {name: parse_time(f"--{name}", value) for name, value in (("since", since), ("until", until))}
    variables = {name: iso(time_ms) for name, time_ms in times.items() if time_ms is not None} | _variables(given or [])
    files = {name: paths for name, paths in (("bars", bars), ("results", results)) if paths}
    with folder_of(where) as folder:
        found = run_query(find_query(text), folder, Given(variables, files))
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
        variables[name] = iso(parse_time("--set at", value) or 0) if name == "at" else value
    return variables


def _list(*, as_json: bool) -> None:
    from llmctx.ops.query import shipped_queries

    for found in shipped_queries():
        if as_json:
            print_json({"query": found.name, "reports": found.says})
        else:
            out.print(f"{found.name:<10} {escape(found.says)}")


def _print(found: "Rows") -> None:
    """Print columns side by side without cutting any, so that values can be copied."""
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
