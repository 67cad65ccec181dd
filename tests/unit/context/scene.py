"""Snapshots for tests: the examples of the schema document, read at the end of their day."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from llmctx import clock
from llmctx.context.package import Package, build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.section import Section
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.schema.keys import EXAMPLES, section_keys

RULES = ReadRules()
KEYS = section_keys("AAPL", RULES.signal_types, 0)
END_OF_DAY = "2025-05-09T16:00:00.000Z"
END_OF_DAY_MS = clock.to_ms(clock.parse_iso(END_OF_DAY))

_EXAMPLES: dict[str, str] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
THESIS = json.dumps(
    {
        "address": "7",
        "kind": "decision",
        "tick": "run-1",
        "symbol": "AAPL",
        "as_of": "2025-05-09T10:00:00.000Z",
        "entry_time": "2025-05-09T09:45:32.000Z",
        "action": "hold",
        "quantity": None,
        "stop_loss": None,
        "take_profit": 160.5,
        "reason": "as decided",
        "decided": "hold",
        "confidence": 0.7,
        "reasoning": "Momentum is intact.",
        "invalidation": "A close below 145.",
        "valid_for": 15,
    }
)
TEXTS = {name: _EXAMPLES[key] for name, key in KEYS.items() if key in _EXAMPLES} | {"thesis": THESIS}
"""Every section's example as a text; the thesis is about the example's position."""


def edited(section: str, *path: str | int, to: Any) -> str:
    """A section's example with one value set to something else."""
    document = json.loads(TEXTS[section])
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = to
    return json.dumps(document)


def without(section: str, *path: str | int) -> str:
    document = json.loads(TEXTS[section])
    place = document
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    return json.dumps(document)


def with_raw(section: str, name: str, raw: str) -> str:
    """A section's example with one more field, whose JSON text is `raw`."""
    return TEXTS[section].replace("{", '{"' + name + '": ' + raw + ",", 1)


def snapshot_of(
    changes: Mapping[str, str | bytes | None] | None = None,
    *,
    as_of_ms: int = END_OF_DAY_MS,
    whose: Literal["server", "bars"] = "server",
    rules: ReadRules = RULES,
) -> Snapshot:
    """The examples with some sections changed (None removes the key)."""
    found: dict[str, str | bytes | None] = {**TEXTS, **(changes or {})}
    return Snapshot(
        symbol="AAPL",
        partition=0,
        server_ms=as_of_ms,
        as_of_ms=as_of_ms,
        clock=whose,
        rules=rules,
        sections={name: RawSection(key, _bytes(found.get(name))) for name, key in KEYS.items()},
    )


def package_of(
    changes: Mapping[str, str | bytes | None] | None = None,
    *,
    as_of_ms: int = END_OF_DAY_MS,
    whose: Literal["server", "bars"] = "server",
    rules: ReadRules = RULES,
) -> Package:
    """The package of `snapshot_of` with the same arguments."""
    return build_package(snapshot_of(changes, as_of_ms=as_of_ms, whose=whose, rules=rules))


def section_of(section: str, raw: str | bytes | None) -> Section:
    """One section of a package whose others are the examples."""
    return package_of({section: raw}).sections[section]


def only(*sections: str) -> dict[str, str | bytes | None]:
    """Changes that remove all other sections."""
    return {name: None for name in KEYS if name not in sections}


def _bytes(text: str | bytes | None) -> bytes | None:
    return text.encode() if isinstance(text, str) else text


TIMES: list[tuple[str, tuple[Any, ...], str]] = [
    ("price", ("timestamp",), "timestamp"),
    ("indicators", ("timestamp",), "timestamp"),
    ("sentiment", ("timestamp",), "timestamp"),
    ("candidates", (0, "timestamp"), "[0].timestamp"),
    ("candidates", (1, "timestamp"), "[1].timestamp"),
    ("position", ("entry_time",), "entry_time"),
    ("position", ("last_update",), "last_update"),
    ("monitoring", ("timestamp",), "timestamp"),
    ("signals.entry", ("timestamp",), "timestamp"),
    ("signals.exit", ("timestamp",), "timestamp"),
    ("system", ("last_scan_time",), "last_scan_time"),
    ("system", ("timestamp",), "timestamp"),
    ("performance", ("timestamp",), "timestamp"),
    ("market", ("timestamp",), "timestamp"),
    ("thesis", ("as_of",), "as_of"),
    ("thesis", ("entry_time",), "entry_time"),
]
"""Every time in the texts: its section, where it stands there, and how it is named."""
