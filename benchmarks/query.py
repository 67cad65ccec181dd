"""Queries over an archive of a million records: what each shipped query takes that reads no evidence."""

import tempfile
import time
from pathlib import Path

import duckdb

from llmctx.ops.query import Given, find_query, run_query
from llmctx.trail.archive.columns import schema

RECORDS = 1_000_000
SEGMENT = 100_000
QUERIES = ("actions", "guards", "cost", "grounding", "latency", "slowest", "shown")
_ROW = """
    SELECT
        i AS index,
        printf('{"v":1,"index":%d,"snapshot":{"sha256":"x","sections":{"price":{"status":"fresh"}}}}', i)::BLOB AS leaf,
        make_timestamptz(1772463600000000 + i * 4000000) AS time,
        time + INTERVAL 1 SECOND AS recorded,
        'decision' AS kind,
        'S' || (i % 100) AS symbol,
        'run:' || i AS tick,
        ['hold', 'reduce', 'add', 'exit'][1 + (hash(i) % 4)::BIGINT] AS action,
        'hold' AS decided,
        (hash(i + 1) % 100) / 100 AS confidence,
        'a reason of its own ' || hash(i) AS reason,
        CASE WHEN i % 10 = 0 THEN ['confidence_floor'] ELSE [] END AS guards,
        'position/v' || (1 + i % 3) AS template,
        'model-' || (i % 4) AS model,
        1000 + hash(i) % 1000 AS prompt_tokens,
        hash(i) % 1000 AS cached_tokens,
        0 AS cache_write_tokens,
        100 + hash(i) % 100 AS completion_tokens,
        (hash(i) % 1000) / 100 AS read_ms,
        (hash(i + 2) % 1000) / 100 AS render_ms,
        (hash(i + 3) % 100000) / 10 AS complete_ms,
        hash(i) % 9 AS cited,
        hash(i) % 3 AS uncited,
        0 AS miscited
    FROM range({first}, {end}) AS made(i)
"""


def measure() -> dict[str, str]:
    """query_million_s: the slowest of these queries over a million archived records, in seconds of CPU."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "0").mkdir()
        for first in range(0, RECORDS, SEGMENT):
            _write(Path(folder) / "0" / f"2026-03-02-{first:012}.parquet", first)
        took = {name: _time(Path(folder), name) for name in QUERIES}
    print("query: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in took.items()))
    return {"query_million_s": f"{max(took.values()):.2f} s"}


def _write(path: Path, first: int) -> None:
    """A segment with the columns of an archive; those that are not made here are empty."""
    connection = duckdb.connect()
    connection.register("columns", schema().empty_table())
    made = _ROW.replace("{first}", str(first)).replace("{end}", str(first + SEGMENT))
    rows = f"SELECT * FROM columns UNION ALL BY NAME ({made})"
    connection.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


def _time(folder: Path, name: str) -> float:
    began_s = time.process_time()
    found = run_query(find_query(name), folder, Given({"symbol": "S1", "prices": "{}"}))
    assert [*found.rows]
    return time.process_time() - began_s
