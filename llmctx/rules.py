"""The rules by which this version makes records, as a digest that every record carries.

    llmctx 0.2.0 rules:8f14e45fceea

A record is a function of its evidence and of these rules, so a rebuild that differs means one of two things: the record
was altered, or other rules made it. The digest tells them apart. Its first 8 hex digits stand for the sources that
shape a record, the last 4 for Python's minor version and the libraries that these sources use: a released version is
known by its sources, whatever libraries it ran with.

The sources are read as syntax trees, without docstrings, comments and layout, in a form that every Python gives alike.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from pathlib import Path

from llmctx.version import RELEASED, VERSION

SHAPING = (
    "canonical.py",  # the bytes of a leaf, and how an answer's numbers are read
    "numerals.py",  # how numbers in texts are read
    "harmless.py",  # how texts of strangers are shown
    "limits.py",  # what is cut
    "clock.py",  # the times that a prompt shows
    "schema",  # how a section's bytes become values
    "context",  # snapshot to package
    "prompt",  # package to messages
    "llm/envelope.py",  # a response's bytes to one JSON value
    "llm/native/response.py",  # where it is no chat completion, the one that it amounts to
    "llm/extract.py",  # that to the answer's text
    "llm/reported.py",  # or to an error
    "llm/usage.py",  # its counts of tokens
    "llm/completion.py",  # and all of it to what became of the call
    "decision",  # an answer to decision, grounding and verdict
    "publication.py",  # a leaf to the thesis of the next package
    "leaf_fields.py",  # each of these as a leaf has it
    "record.py",  # all of these to a leaf
)
"""What a rebuild goes through, as files and folders of the package. Templates are not among them: each is a blob of the
trail. Who asks the model, and how a record is packed, signed and stored, changes nothing that is rebuilt."""
LIBRARIES = ("jinja2", "pydantic", "jiter", "jmespath")
"""Libraries whose version may change what a rebuild gives."""

_PACKAGE = Path(__file__).parent
_CODE = re.compile(r"llmctx (?P<version>\S+)(?: rules:(?P<rules>[0-9a-f]{12}))?")
_SOURCES = 8
_SILENT = {"ctx", "kind", "type_comment", "type_ignores"}  # they follow from where a name or text stands


class Rules(StrEnum):
    """How a record's rules stand to those of this version."""

    SAME = "same"
    """The same digest: a record that is rebuilt differently was altered."""
    KNOWN = "known"
    """Those of a released version, or of this one with other libraries: a difference proves nothing."""
    UNKNOWN = "unknown"
    """Those of no version that this one knows: a difference proves nothing, and neither does the claim."""


@cache
def code() -> str:
    """What a record of this version has as `code`. Computed at the first call, which takes tens of milliseconds."""
    return f"llmctx {VERSION} rules:{source_digest()}{_environment_digest()}"


def compare(theirs: str) -> Rules:
    """How the rules that a record names in its `code` stand to those of this version."""
    named = _CODE.fullmatch(theirs)
    if named is None:
        return Rules.UNKNOWN
    sources = None if named["rules"] is None else named["rules"][:_SOURCES]
    if code().endswith(f" rules:{named['rules']}"):
        return Rules.SAME
    return Rules.KNOWN if sources == source_digest() or sources in RELEASED.get(named["version"], ()) else Rules.UNKNOWN


@cache
def source_digest() -> str:
    """The first 8 hex digits of the SHA-256 over the sources that shape a record; the same on every Python."""
    digest = hashlib.sha256()
    for path in shaping_sources():
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\n".encode())
        digest.update(_canonical(ast.parse(path.read_bytes())).encode())
    return digest.hexdigest()[:_SOURCES]


def shaping_sources() -> list[Path]:
    """Every file that shapes a record, in the order of the digest."""
    return sorted(path for name in SHAPING for path in _files(_PACKAGE / name))


def _files(path: Path) -> Iterator[Path]:
    return path.rglob("*.py") if path.is_dir() else iter([path])


def _environment_digest() -> str:
    parts = [f"python {sys.version_info.major}.{sys.version_info.minor}"]
    parts += [f"{library} {version(library)}" for library in LIBRARIES]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:4]


def _canonical(node: ast.AST) -> str:
    """A syntax tree as text. `ast.dump` will not do: each Python writes empty fields in another way."""
    fields = []
    for name in node._fields:
        if name in _SILENT:
            continue
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            fields.append(_canonical(value))
        elif type(value) is list:
            items = [_item(item) for item in value if not _is_docstring(item)]
            fields.append(f"[{','.join(items)}]" if items else "")
        else:
            fields.append("" if value is None else repr(value))
    return f"{type(node).__name__}({';'.join(fields).rstrip(';')})"


def _item(item: object) -> str:
    return _canonical(item) if isinstance(item, ast.AST) else repr(item)


def _is_docstring(node: object) -> bool:
    """A text that stands as a statement: it documents what stands before it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
