"""The columns of an archived record: its exact bytes, and beside them what queries ask for.

    index                                     its index
    leaf, proof                               its exact bytes; proof is the writer's key ID and signature
    snapshot, messages, completion, foreign   the pieces of its evidence, byte for byte; NULL where it has none
    leaf_hash                                 only for a lost or an unreadable record: its leaf hash in the tree
    everything else                           read from the leaf, under the names of audit/queries/views.sql

Only the first four lines are evidence. The rest can be computed again from the leaves.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmctx.errors import ArchiveError
from llmctx.trail.log.entry import PIECES, Entry

if TYPE_CHECKING:
    import pyarrow as pa

EVIDENCE = ("index", "leaf", "proof", *PIECES, "leaf_hash")
"""The columns from which an entry is built again."""

_MAX_INTEGER = 2**53


def arrow() -> Any:
    """The module pyarrow.

    Raises ArchiveError if it is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise ArchiveError("pyarrow is not installed.", "pip install 'llmctx[archive]'", exit_code=3) from error
    # Row groups of 50 MB come and go; mimalloc, the default, returns their pages each time and takes 5 times as long.
    pa.set_memory_pool(pa.system_memory_pool())
    return pa


class _Leaves:
    """Parsed leaves, read one field at a time."""

    def __init__(self, records: list[Any]) -> None:
        self._found: dict[tuple[str, ...], list[Any]] = {(): records}

    def at(self, *path: str) -> list[Any]:
        """The value of each leaf at a path; None if it has none."""
        if path not in self._found:
            *parent, name = path
            self._found[path] = [each.get(name) if isinstance(each, dict) else None for each in self.at(*parent)]
        return self._found[path]


_Column = Callable[[_Leaves], list[Any]]


def _at(*path: str) -> _Column:
    return lambda leaves: leaves.at(*path)


def _number(*path: str) -> _Column:
    """A number that the leaf stores as text."""
    return lambda leaves: [_float(text) for text in leaves.at(*path)]


def _float(text: Any) -> float | None:
    try:
        return None if text is None else float(text)
    except (TypeError, ValueError):
        return None


def _count(*path: str) -> _Column:
    """The length of a list; 0 if its object has none."""
    return lambda leaves: [
        None if parent is None else len(items) if isinstance(items, list) else 0
        for parent, items in zip(leaves.at(*path[:-1]), leaves.at(*path), strict=True)
    ]


def _tokens(name: str) -> _Column:
    """The tokens of the call, including those of a first answer."""
    last, first = ("completion", "usage", name), ("reasked", "completion", "usage", name)
    return lambda leaves: [
        a if b is None else b if a is None else _sum(a, b)
        for a, b in zip(leaves.at(*last), leaves.at(*first), strict=True)
    ]


def _sum(a: Any, b: Any) -> int | None:
    return a + b if type(a) is int and type(b) is int else None


def _templates(leaves: _Leaves) -> list[str | None]:
    parts = zip(leaves.at("prompt", "template"), leaves.at("prompt", "version"), strict=True)
    return [None if name is None or version is None else f"{name}/v{version}" for name, version in parts]


def _models(leaves: _Leaves) -> list[Any]:
    pairs = zip(leaves.at("completion", "model"), leaves.at("request", "model"), strict=True)
    return [answered or requested for answered, requested in pairs]


def _guards(leaves: _Leaves) -> list[Any]:
    return [_names(found) if found else found for found in leaves.at("verdict", "guards")]


def _names(guards: Any) -> list[Any] | None:
    return [each.get("name") if isinstance(each, dict) else None for each in guards] if type(guards) is list else None


_TYPED: dict[str, tuple[str, _Column]] = {
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
    "template": ("word", _templates),
    "model": ("word", _models),
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
"""Each typed column: its kind, and its value in parsed leaves."""
WORDS = [name for name, (kind, _) in _TYPED.items() if kind == "word"]
"""The columns with few distinct values."""


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


def table(entries: Sequence[Entry], hashes: Mapping[int, bytes]) -> "pa.Table":
    """Some entries as rows; `hashes` are the leaf hashes of the unreadable ones in the tree."""
    kept = [entry.kept for entry in entries]
    values: dict[str, list[Any]] = {
        "index": [entry.index for entry in entries],
        "leaf": [leaf for leaf, _ in kept],
        "proof": [entry.proof or None for entry in entries],
        "leaf_hash": [hashes.get(entry.index) for entry in entries],
    }
    values |= {piece: [pieces.get(piece) for _, pieces in kept] for piece in PIECES}
    leaves = _Leaves([entry.record for entry in entries])
    values |= {name: _typed(kind, column(leaves)) for name, (kind, column) in _TYPED.items()}
    return arrow().Table.from_pydict(values, schema=schema())


def table_of_lost(hashes: Mapping[int, bytes]) -> "pa.Table":
    """Lost records as rows, given their leaf hashes by index."""
    rows = [{"index": index, "leaf_hash": hashed} for index, hashed in hashes.items()]
    return arrow().Table.from_pylist(rows, schema=schema())


def _typed(kind: str, values: list[Any]) -> list[Any]:
    """The values of a column; None for a leaf with another type there, such as one of another version."""
    if kind in ("time", "int64"):
        return [value if type(value) is int and abs(value) < _MAX_INTEGER else None for value in values]
    if kind == "words":
        return [
            value if isinstance(value, list) and all(isinstance(w, str) for w in value) else None for value in values
        ]
    return values if kind == "double" else [value if isinstance(value, str) else None for value in values]
