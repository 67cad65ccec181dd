"""A thesis is an earlier decision of the trail, and a memory follows from an earlier record."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.audit.exports import DECISION, Check, Found, Record, by_audit, canonical, leaf_hash, made, record

OF = 2
AT = 4


def said(**changes: Any) -> str:
    """The published form of the decision of record 2."""
    verdict = {"symbol": "AAPL", "tick": f"tick-{OF}", "action": "hold", "reason": "é\u2028"}
    answer = {"decided": DECISION["action"], **{name: DECISION[name] for name in ("reasoning", "invalidation")}}
    return json.dumps(verdict | answer | changes)


def with_thesis(records: list[Record], thesis: object, text: str) -> list[Record]:
    """The records, record 4 with this thesis."""
    return with_piece(records, {"sections": {"thesis": text}, "thesis": thesis})


def with_piece(records: list[Record], document: dict[str, object]) -> list[Record]:
    snapshot = canonical(document)
    digest = {"sha256": hashlib.sha256(snapshot.encode()).hexdigest(), "sections": {}}
    leaf = record(AT, symbol="AAPL", snapshot=digest).leaf
    records[AT] = Record(leaf, records[AT].pieces | {"snapshot": snapshot})
    return records


def records() -> list[Record]:
    found = [record(index, symbol="MSFT" if index == 1 else "AAPL") for index in range(7)]
    found[0] = record(0, symbol="AAPL", tick="tick-0")
    return found


def source(**changes: object) -> dict[str, object]:
    return {"address": str(OF), "leaf_hash": leaf_hash(records()[OF].leaf).hex()} | changes


def test_a_thesis_that_its_record_bears_out_is_verified(check: Check) -> None:
    assert check(made(with_thesis(records(), source(), said()))) == Found()


@pytest.mark.parametrize(
    "thesis",
    [
        source(leaf_hash="0" * 64),
        source(address="3"),
        source(address="1", leaf_hash=leaf_hash(records()[1].leaf).hex()),
        source(address="4"),
        source(address="9" * 30),
        source(address="0:2"),
        source(address="-2"),
        source(address=2),
        {"address": "2"},
        [],
        "2",
    ],
)
def test_a_thesis_of_another_record_is_named(check: Check, thesis: object) -> None:
    assert check(made(with_thesis(records(), thesis, said()))) == Found(AT, "thesis")


@pytest.mark.parametrize("name", ["symbol", "tick", "action", "reason", "decided", "reasoning", "invalidation"])
def test_a_thesis_that_says_something_else_is_named(tmp_path: Path, name: str) -> None:
    """By audit/verify.py; llmctx compares the whole text, but only of records made by its own rules."""
    folder = made(with_thesis(records(), source(), said(**{name: "forged"}))).write(tmp_path / "e")
    assert by_audit(folder) == Found(AT, "thesis")


def with_memory(source: object) -> list[Record]:
    """The records, record 4 with a memory that follows from this source."""
    return with_piece(records(), {"sections": {"memory": '{"count":1}'}, "memory": source})


def test_a_memory_that_names_an_earlier_record_on_the_symbol_is_verified(tmp_path: Path) -> None:
    assert by_audit(made(with_memory(source())).write(tmp_path / "e")) == Found()


@pytest.mark.parametrize(
    "named",
    [
        source(leaf_hash="0" * 64),
        source(address="1", leaf_hash=leaf_hash(records()[1].leaf).hex()),
        source(address="4"),
        source(address="9" * 30),
        {"address": "2"},
        "2",
    ],
)
def test_a_memory_of_another_record_is_named(tmp_path: Path, named: object) -> None:
    """By audit/verify.py; llmctx makes the memory again, out of the record that it names."""
    assert by_audit(made(with_memory(named)).write(tmp_path / "e")) == Found(AT, "memory")
