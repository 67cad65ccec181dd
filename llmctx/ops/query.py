"""SQL over an export or an archive, in DuckDB: the shipped queries of audit/queries, and a user's own on their views.

A query can read that and the files that it is given, because it may come from somebody else: files elsewhere, the
network, extensions, and every statement that could write a file are closed to it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from llmctx import clock
from llmctx.assets import asset
from llmctx.errors import ExportError, QueryError
from llmctx.trail.archive.manifest import unrevised
from llmctx.trail.archive.place import open_place
from llmctx.trail.source.copies import is_copy

if TYPE_CHECKING:
    import duckdb

QUERIES = asset("audit/queries")
"""The folder of the shipped queries."""
VIEWS, ARCHIVE_VIEWS = QUERIES / "views.sql", QUERIES / "views-archive.sql"
"""The views that they read, over an export and over an archive."""
MOVES_VIEWS, BARS_VIEWS = QUERIES / "views-moves.sql", QUERIES / "views-bars.sql"
"""The view over either that moves and outcomes share, and that over CSV files of bars."""
HISTORY_VIEWS = QUERIES / "views-history.sql"
"""The views over the live history in an archive."""
_NAME = re.compile("[a-z][a-z0-9_]*")
_GLOB = re.compile(r"([*?\[])")
_ALLOWED = ("SELECT", "SET", "CREATE")
"""The kinds of statements that change nothing outside the query's own memory."""
_BATCH_ROWS = 1000
_NEEDS = {
    "flips": ("results", "results of `llmctx replay`", "Add --results FILE; a second one compares two replays."),
    "history": ("history", "live history", "`llmctx archive --history` puts it into an archive, each day once."),
    "outcomes": ("bars", "bars", "Add --bars FILE, or name an archive with live history: `llmctx archive --history`."),
    "shown": ("symbol", "a symbol", "Add --set symbol=S, and --set at=TIME for another time than the newest."),
}
"""The additional inputs of a shipped query: its variable or view, in words, and where it comes from."""


class Query(NamedTuple):
    """One query."""

    name: str
    """Its name, or its file's path."""
    says: str
    """What it reports: the first line of its comment; empty without one."""
    sql: str
    """Its text."""


def shipped_queries() -> list[Query]:
    """Every shipped query, by name."""
    return [_read(path.stem, path) for path in sorted(QUERIES.glob("*.sql")) if not path.stem.startswith("views")]


def find_query(text: str) -> Query:
    """The shipped query of a name, or the one in a file.

    Raises QueryError if there is none, or the file cannot be read.
    """
    found = next((query for query in shipped_queries() if query.name == text), None)
    if found is not None:
        return found
    path = Path(text)
    if path.suffix != ".sql" and not path.is_file():
        names = ", ".join(query.name for query in shipped_queries())
        raise QueryError(f"There is no query {text!r}.", f"Name one of {names}, or a file that ends with .sql.")
    return _read(text, path)


def _read(name: str, path: Path) -> Query:
    try:
        sql = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise QueryError(f"{path} cannot be read: {error}.", "Name a text file with SQL.") from error
    first = sql.partition("\n")[0]
    return Query(name, first.removeprefix("--").strip() if first.startswith("--") else "", sql)


class Given(NamedTuple):
    """The additional inputs of a query."""

    variables: Mapping[str, str] = {}
    """What it reads with getvariable(), by name."""
    files: Mapping[str, Sequence[Path]] = {}
    """Variables that list files; the query may read these too."""


_NOTHING = Given()


class Rows(NamedTuple):
    """The result of a query."""

    columns: list[str]
    """The names of its columns."""
    rows: Iterator[list[Any]]
    """Its rows, with times as ISO 8601 in UTC; read while they are consumed."""


@contextmanager
def folder_of(where: str) -> Iterator[Path]:
    """The folder of an export or an archive; the Parquet files of one in an object store are copied to a temporary one.

    Raises ExportError if it is something else, ArchiveError if the object store does not answer.
    """
    if not is_copy(where):
        raise ExportError(
            f"{where} is not an export or an archive.", "Name what `llmctx export` or `llmctx archive` made."
        )
    if Path(where).is_dir():
        yield Path(where)
        return
    place = open_place(where)
    with TemporaryDirectory() as folder:
        for name in place.names(""):
            if name.endswith(".parquet"):
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_bytes(place.read(name) or b"")
        yield Path(folder)


def run_query(query: Query, directory: Path, given: Given = _NOTHING) -> Rows:
    """Run a query over an export or an archive.

    Raises ExportError if the folder is neither, QueryError if DuckDB is not installed, a variable has no usable name or
    the query fails.
    """
    names = (*given.variables, *given.files)
    if wrong := [name for name in names if not _NAME.fullmatch(name) or name == "trail"]:
        raise QueryError(f"{wrong[0]!r} is no name for a variable.", "Use lower-case letters, digits and underscores.")
    try:
        import duckdb  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise QueryError("DuckDB is not installed.", "pip install 'llmctx[query]'", exit_code=3) from error
    try:
        connection = duckdb.connect()
        _prepare(connection, directory.resolve(), given)
        _check_needs(query, directory, given)
        kinds = [statement.type.name for statement in connection.extract_statements(query.sql)]
        if refused := [kind for kind in kinds if kind not in _ALLOWED]:
            raise QueryError(
                f"The query {query.name} has a statement of the kind {refused[0]}.",
                f"It may have {', '.join(_ALLOWED)}.",
            )
        done = connection.execute(query.sql)
        columns = [str(column[0]) for column in done.description or []]
        return Rows(columns, _rows(done, query.name))
    except duckdb.Error as error:
        raise _failed(query.name, error) from error


def _prepare(connection: "duckdb.DuckDBPyConnection", directory: Path, given: Given) -> None:
    views = [*_views(directory), *([BARS_VIEWS] if "bars" in given.files else [])]
    connection.execute("SET TimeZone = 'UTC'")
    trail = _GLOB.sub(r"[\1]", str(directory))  # a folder's name is no pattern
    for name, value in {**given.variables, "trail": trail}.items():
        connection.execute(f'SET VARIABLE "{name}" = {_quoted(value)}')
    for name, paths in given.files.items():
        connection.execute(f'SET VARIABLE "{name}" = {_listed(paths)}')
    connection.execute(f"SET allowed_directories = [{_quoted(str(directory))}]")
    connection.execute(f"SET allowed_paths = {_listed([path for paths in given.files.values() for path in paths])}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    for path in views:
        connection.execute(path.read_text(encoding="utf-8"))


def _check_needs(query: Query, directory: Path, given: Given) -> None:
    """Raise QueryError if a shipped query lacks one of its additional inputs."""
    if query.name not in _NEEDS:
        return
    need, words, remedy = _NEEDS[query.name]
    if need in given.variables or need in given.files:
        return
    if need not in ("bars", "history") or HISTORY_VIEWS not in _views(directory):
        raise QueryError(f"The query {query.name} needs {words}, and there is none.", remedy)


def _views(directory: Path) -> list[Path]:
    """The files of views over the content of a folder."""
    if (directory / "manifest.json").is_file():
        return [VIEWS, MOVES_VIEWS]
    segments = Counter(path.with_name(unrevised(path.stem)) for path in directory.glob("[0-9]*/*.parquet"))
    if not segments:
        raise ExportError(
            f"{directory} is not an export or an archive.", "Name what `llmctx export` or `llmctx archive` made."
        )
    if doubled := [path for path, files in segments.items() if files > 1]:
        raise QueryError(
            f"{doubled[0]}* has some records twice: an erasure is running, or was cut off.",
            "Run `llmctx erase`, which completes it, and query again.",
            exit_code=3,
        )
    has_history = next(directory.glob("history/*/*.parquet"), None) is not None
    return [ARCHIVE_VIEWS, MOVES_VIEWS, *([HISTORY_VIEWS] if has_history else [])]


def _listed(paths: Iterable[Path]) -> str:
    return f"[{', '.join(_quoted(str(path.absolute())) for path in paths)}]"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _rows(done: "duckdb.DuckDBPyConnection", name: str) -> Iterator[list[Any]]:
    import duckdb  # noqa: PLC0415  an optional extra

    try:
        while batch := done.fetchmany(_BATCH_ROWS):
            yield from ([_plain(value) for value in row] for row in batch)
    except duckdb.Error as error:
        raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> QueryError:
    import duckdb  # noqa: PLC0415  an optional extra

    remedy = (
        f"{QUERIES}/views*.sql have the views that it may read. Bars come from --bars or an archive's live history "
        "(`llmctx archive --history`), which is the view history too."
    )
    if isinstance(error, duckdb.IOException | duckdb.InvalidInputException):  # a file, not the query
        remedy = "See the permissions of the file, and that it is whole: `llmctx verify --from`."
    return QueryError(f"The query {name} failed: {str(error).strip()}", remedy)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return clock.iso_of(value if value.tzinfo is not None else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
