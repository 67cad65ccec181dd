"""The examples of the schema document, and each of their fields with its path."""

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from llmctx import canonical
from tests.unit.context.scene import TEXTS

Path = tuple[str | int, ...]
Field = tuple[str, Path]

# Objects whose names are chosen by their writer, so no name is required.
FREE = {("market", "sector_performance"), ("signals.entry", "indicators"), ("signals.exit", "indicators")}


def document(section: str) -> Any:
    return canonical.loads(TEXTS[section].encode())


def fields(section: str) -> Iterator[tuple[Path, Any]]:
    """Every named field of an example, with its path."""

    def walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield (*path, name), inner
                yield from walk(inner, (*path, name))
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                yield from walk(inner, (*path, i))

    for path, value in walk(document(section), ()):
        if (section, path[0]) not in FREE or len(path) == 1:
            yield path, value


def at(root: Any, path: Path) -> Any:
    for part in path:
        root = root[part]
    return root


def changed(section: str, path: Path, value: Any) -> Any:
    if not path:
        return value
    altered = copy.deepcopy(document(section))
    at(altered, path[:-1])[path[-1]] = value
    return altered


def without(section: str, path: Path) -> Any:
    altered = copy.deepcopy(document(section))
    del at(altered, path[:-1])[path[-1]]
    return altered


FIELDS = [(section, path, value) for section in TEXTS for path, value in fields(section)]
EVERY = [(section, path) for section, path, _ in FIELDS]
NUMBERS = [(s, p) for s, p, v in FIELDS if isinstance(v, Decimal | int) and not isinstance(v, bool)]
TIMES = [(s, p) for s, p, v in FIELDS if isinstance(v, str) and v.startswith("2025-")]
WORDS = [(s, p) for s, p, v in FIELDS if isinstance(v, str) and not v.startswith("2025-")]
