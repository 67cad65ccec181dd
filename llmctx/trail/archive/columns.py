"""The columns of an archived record: its exact bytes, and beside them what queries ask for.

    index                                     its index
    leaf, proof                               its exact bytes; proof is the writer's key ID and signature
    snapshot, messages, completion, foreign   the pieces of its evidence, byte for byte; NULL where it has none
    leaf_hash                                 only for a lost or an unreadable record: its leaf hash in the tree
    everything else                           read from the leaf, under the names of audit/queries/views.sql

Only the first four lines are evidence. The rest can be computed again from the leaves.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmctx.errors import ArchiveError
from llmctx.trail.log.entry import PIECES, Entry

if TYPE_CHECKING:
    import pyarrow as pa

EVIDENCE = ("index", "leaf", "proof", *PIECES, "leaf_hash")
"""The columns from which an entry is built again."""

_Record = Mapping[str, Any]
_MAX_INTEGER = 2**53


def arrow() -> Any:
    """The module pyarrow.

    Raises ArchiveError if it is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise ArchiveError("pyarrow is not installed.", "pip install 'llmctx[archive]'", exit_code=3) from error
    return pa


def _at(*path: str) -> Callable[[_Record], Any]:
    """What stands in a leaf at a path; None if it has nothing there."""

    def value(record: _Record) -> Any:
        found: Any = record
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    return value


def _number(*path: str) -> Callable[[_Record], float | None]:
    """A number that the leaf has as text."""
    text = _at(*path)

    def value(record: _Record) -> float | None:
        try:
            return float(text(record))
        except (TypeError, ValueError):
            return None

    return value


def _count(*path: str) -> Callable[[_Record], int | None]:
    """How many items a list has; 0 where its object has none."""
    items, parent = _at(*path), _at(*path[:-1])
    return lambda record: None if parent(record) is None else len(items(record) or ())


def _tokens(name: str) -> Callable[[_Record], int | None]:
    """The tokens of the call, those of a first answer included."""
    last, before = _at("completion", "usage", name), _at("reasked", "completion", "usage", name)

    def value(record: _Record) -> int | None:
        found = [tokens for tokens in (last(record), before(record)) if tokens is not None]
        return sum(found) if found else None

    return value


def _template(record: _Record) -> str | None:
    prompt = record.get("prompt")
    return None if prompt is None else f"{prompt['template']}/v{prompt['version']}"


def _model(record: _Record) -> str | None:
    found: str | None = _at("completion", "model")(record) or _at("request", "model")(record)
    return found


def _guards(record: _Record) -> list[str] | None:
    found = _at("verdict", "guards")(record)
    return None if found is None else [guard["name"] for guard in found]


_TYPED: dict[str, tuple[str, Callable[[_Record], Any]]] = {
    "time": ("time", _at("as_of_ms")),
    "recorded": ("time", _at("recorded_at_ms")),
    "kind": ("word", _at("kind")),
    "symbol": ("word", _at("symbol")),
    "tick": ("string", _at("tick")),
    "conflated": ("words", _at("conflated")),
    "cause": ("word", _at("cause")),
    "decided": ("word", _at("decision", "action")),
    "confidence": ("double", _number("decision", "confidence")),
    "action": ("word", _at("verdict", "action")),
    "reason": ("string", _at("verdict", "reason")),
    "guards": ("words", _guards),
    "template": ("word", _template),
    "model": ("word", _model),
    "requested_model": ("word", _at("request", "model")),
    "outcome": ("word", _at("completion", "outcome")),
    "attempts": ("int64", _count("completion", "attempts")),
    "prompt_tokens": ("int64", _tokens("prompt")),
    "cached_tokens": ("int64", _tokens("cached")),
    "cache_write_tokens": ("int64", _tokens("cache_write")),
    "completion_tokens": ("int64", _tokens("completion")),
    "read_ms": ("double", _number("timings_ms", "read")),
    "render_ms": ("double", _number("timings_ms", "render")),
    "complete_ms": ("double", _number("timings_ms", "complete")),
    "cited": ("int64", _at("grounding", "cited")),
    "uncited": ("int64", _at("grounding", "uncited")),
    "unread": ("int64", _at("grounding", "unread")),
    "miscited": ("int64", _count("grounding", "miscited")),
    "false_prices": ("int64", _count("grounding", "false_prices")),
    "code": ("word", _at("code")),
}
"""Each typed column: its kind, and what it is of a parsed leaf."""
WORDS = [name for name, (kind, _) in _TYPED.items() if kind == "word"]
"""The columns of few values."""


def schema() -> "pa.Schema":
    """The schema of an archive's Parquet files."""
    pa = arrow()
    kinds = {
        "time": pa.timestamp("ms", tz="UTC"),
        "word": pa.string(),
        "string": pa.string(),
        "words": pa.list_(pa.string()),
        "double": pa.float64(),
        "int64": pa.int64(),
    }
    evidence = [pa.field("index", pa.int64(), nullable=False), *(pa.field(name, pa.binary()) for name in EVIDENCE[1:])]
    return pa.schema([*evidence, *(pa.field(name, kinds[kind]) for name, (kind, _) in _TYPED.items())])


def columns(entries: Iterable[Entry], hashes: Mapping[int, bytes]) -> dict[str, list[Any]]:
    """The values of some entries by column; `hashes` are the leaf hashes of the unreadable ones in the tree."""
    found: dict[str, list[Any]] = {name: [] for name in (*EVIDENCE, *_TYPED)}
    for entry in entries:
        leaf, pieces = entry.kept
        record = entry.record
        found["index"].append(entry.index)
        found["leaf"].append(leaf)
        found["proof"].append(entry.proof or None)
        found["leaf_hash"].append(hashes.get(entry.index))
        for piece in PIECES:
            found[piece].append(pieces.get(piece))
        for name, (kind, of) in _TYPED.items():
            found[name].append(_typed(kind, of, record))
    return found


def lost_columns(hashes: Mapping[int, bytes]) -> dict[str, list[Any]]:
    """The values of lost records, given their leaf hashes by index."""
    found: dict[str, list[Any]] = {name: [None] * len(hashes) for name in (*EVIDENCE, *_TYPED)}
    return found | {"index": list(hashes), "leaf_hash": list(hashes.values())}


def _typed(kind: str, of: Callable[[_Record], Any], record: _Record) -> Any:
    """The value of a column; None if the leaf has something else there, as one of another version may."""
    try:
        value = of(record)
    except (TypeError, KeyError, AttributeError):
        return None
    if kind in ("time", "int64"):
        return value if type(value) is int and abs(value) < _MAX_INTEGER else None
    if kind == "words":
        return value if isinstance(value, list) and all(isinstance(word, str) for word in value) else None
    return value if kind == "double" or isinstance(value, str) else None
