"""Find: which records are requested, and how they are listed, as rows or as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llmctx import clock
from llmctx.console.search_words import terms_in
from llmctx.console.story import Brief, brief_of
from llmctx.errors import ConsoleError, LlmctxError
from llmctx.replay.selection import check_known, moment_ms
from llmctx.trail.log import unreadable
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.leaf_schema import KINDS
from llmctx.trail.source.filter import Filter
from llmctx.trail.source.lookup import in_force, newest
from llmctx.trail.source.source import Source

TERMS = ("q", "symbol", "kind", "action", "guard", "model", "prompt", "text", "since", "until", "at", "limit")
"""The terms of a query; `q` is a free search."""
ALL_KINDS = (*KINDS, unreadable.KIND)
"""Every kind of record that can be listed."""
DEFAULT_LIMIT, MAX_LIMIT = 50, 5000
"""How many records are listed by default, and how many at most."""
_COLUMNS = (
    "address", "time", "kind", "symbol", "action", "amounts", "decided", "confidence", "guards", "reason", "reasoning",
    "model", "prompt",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Query(NamedTuple):
    """Which records are requested."""

    filter: Filter
    """The filter on their content."""
    at_ms: int | None
    """Only records in force at this time; None for all times."""
    limit: int
    """At most this many, the newest."""


def read_query(terms: Mapping[str, str]) -> Query:
    """Read a query from its terms; empty ones do not restrict.

    Raises ConsoleError or CorpusError if one is malformed or unknown.
    """
    given = {name: value.strip() for name, value in terms.items() if value.strip()}
    given = terms_in(given.pop("q", "")) | given
    unknown = [name for name in given if name not in TERMS]
    if unknown:
        raise ConsoleError(f"There is no term {unknown[0]!r}.", f"Use {', '.join(TERMS)}.")
    if given.get("kind", ALL_KINDS[0]) not in ALL_KINDS:
        raise ConsoleError(f"There is no kind {given['kind']!r}.", f"Name one of {', '.join(ALL_KINDS)}.")
    for name in ("action", "guard"):
        if name in given:
            check_known(name, given[name])
    limit = given.get("limit", str(DEFAULT_LIMIT))
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_LIMIT:
        raise ConsoleError(f"limit is {limit!r}.", f"Give a number from 1 to {MAX_LIMIT}.")
    since_ms, until_ms, at_ms = (_moment(name, given.get(name)) for name in ("since", "until", "at"))
    wanted = Filter(
        symbol=given.get("symbol"),
        kind=given.get("kind"),
        action=given.get("action"),
        guard=given.get("guard"),
        since_ms=since_ms,
        until_ms=until_ms,
        model=given.get("model"),
        prompt=given.get("prompt"),
        text=given.get("text"),
    )
    return Query(wanted, at_ms, int(limit))


def _moment(name: str, text: str | None) -> int | None:
    try:
        return None if text is None else moment_ms(text)
    except ValueError as error:
        raise ConsoleError(
            f"{name} is {text!r}: {error}.", "Write 15m, 2h or 7d ago; 14:31; or an ISO 8601 time with a zone."
        ) from error


async def find_entries(source: Source, query: Query) -> list[Entry]:
    """The requested records, newest first; those in force at a time in the order of their symbols.

    Raises LlmctxError if the source cannot be read.
    """
    if query.at_ms is not None:
        return (await in_force(source.parts, query.at_ms, query.filter))[: query.limit]
    return (await newest(source.parts, query.filter, query.limit)).entries[::-1]


async def find(source: Source, query: Query) -> list[Brief]:
    """The same as rows."""
    return [brief_of(entry, source.partitions) for entry in await find_entries(source, query)]


def as_csv(rows: Sequence[Brief]) -> str:
    """The rows as CSV with a head. A text that a spreadsheet would run as a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for row in rows:
        at = "" if row.at_ms is None else clock.iso(row.at_ms)
        cells = (
            row.address, at, row.kind, row.symbol, row.action, row.amounts, row.decided, row.confidence,
            " ".join(row.guards), row.reason, row.words, row.model, row.prompt,
        )  # fmt: skip
        writer.writerow([_cell(cell or "") for cell in cells])
    return text.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def problem_of(error: LlmctxError) -> dict[str, str]:
    """An error as JSON, as the command line prints it."""
    return {"error": error.what, "what_to_do": error.do}
