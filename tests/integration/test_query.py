"""Queries report what the files of an export say, in the program and in plain DuckDB, and can reach nothing else."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pytest
from redis.asyncio import Redis

from llmctx.ops.query import BARS_VIEWS, MOVES_VIEWS, QUERIES, VIEWS, find_query, run_query, shipped_queries
from tests.integration.conftest import NOW, Prepare
from tests.integration.program import Program
from tests.integration.test_older_trails import Trail, trail  # noqa: F401  a fixture
from tests.integration.test_prove import SIZE, make_trail

USAGE = '{"cached":10,"completion":20,"prompt":100,"reasoning":0}'
"""What an endpoint says of tokens; the answers of these tests say nothing."""
BARS = "timestamp,symbol,open,high,low,close,volume\n" + "".join(
    f"2026-03-02T15:{minute:02}:00Z,AAPL,100,200,50,{100 + minute},1000\n" for minute in range(30)
)
SHIPPED = [query.name for query in shipped_queries()]


@pytest.fixture
async def exported(valkey: Redis, valkey_url: str, prepare: Prepare) -> Program:
    """A program with what `make_export` makes."""
    return await prepare(valkey, valkey_url, make_export)


async def make_export(valkey: Redis, valkey_url: str, made: Program) -> None:
    """An export of two partitions: the second is a copy of the first."""
    await make_trail(valkey, valkey_url, made)
    assert (await made("export", "out")).code == 0
    leaves = made.folder / "out/0/leaves.jsonl"
    leaves.write_text(leaves.read_text().replace('"outcome":"answered"', f'"outcome":"answered","usage":{USAGE}'))
    shutil.copytree(made.folder / "out" / "0", made.folder / "out" / "12")


def leaves_of(made: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (made.folder / "out/0/leaves.jsonl").read_bytes().splitlines()]


async def rows_of(made: Program, query: str, *options: str) -> list[dict[str, Any]]:
    ended = await made("query", query, "--from", "out", "--json", *options)
    assert ended.code == 0, ended.err
    return ended.lines


async def test_the_figures_are_those_of_the_leaves(exported: Program) -> None:
    leaves = [leaf for leaf in leaves_of(exported) if leaf["kind"] != "notice"]
    actions = Counter(leaf["verdict"]["action"] for leaf in leaves)
    found = await rows_of(exported, "actions")
    assert {row["action"]: row["records"] for row in found} == {action: 2 * count for action, count in actions.items()}
    asked = [leaf for leaf in leaves if "completion" in leaf]
    assert len(asked) > 2
    prices = {model: {"input": "2", "cached": "1", "output": "4"} for model in ("rules", "x")}
    exported.environment["LLMCTX_PRICES"] = json.dumps(prices)
    [cost] = await rows_of(exported, "cost")
    count = 2 * len(asked)
    assert (cost["prompt_tokens"], cost["completion_tokens"]) == (100 * count, 20 * count)
    assert cost["cost"] == pytest.approx(count * (90 * 2 + 10 * 1 + 20 * 4) / 1e6)
    [grounding] = await rows_of(exported, "grounding")
    assert (grounding["answers"], grounding["cited"]) == (
        2 * len(asked),
        2 * sum(leaf["grounding"]["cited"] for leaf in asked),
    )
    latency = {row["step"]: row for row in await rows_of(exported, "latency") if row["model"] is not None}
    assert latency["complete"]["p50_ms"] == pytest.approx(
        median(float(leaf["timings_ms"]["complete"]) for leaf in asked), abs=0.051
    )
    fired = Counter(guard["name"] for leaf in leaves for guard in leaf["verdict"].get("guards", []))
    assert {row["guard"]: row["fired"] for row in await rows_of(exported, "guards")} == {
        name: 2 * n for name, n in fired.items()
    }
    slowest = await rows_of(exported, "slowest")
    assert [row["total_ms"] for row in slowest] == sorted((row["total_ms"] for row in slowest), reverse=True)
    assert {row["address"] for row in slowest} == {
        f"{p}:{n}" for p in (0, 12) for n, leaf in enumerate(leaves_of(exported)) if "completion" in leaf
    }


async def test_what_was_shown_is_the_newest_record_up_to_then_as_it_was_read(exported: Program) -> None:
    indexed = [(n, leaf) for n, leaf in enumerate(leaves_of(exported)) if leaf.get("symbol") == "AAPL"]
    shutil.rmtree(exported.folder / "out" / "12")
    index, leaf = indexed[-1]
    rows = await rows_of(exported, "shown", "--set", "symbol=AAPL")
    assert {row["address"] for row in rows} == {f"0:{index}"}
    sections = leaf["snapshot"]["sections"]
    assert {row["section"]: (row["status"], row["age_ms"]) for row in rows} == {
        name: (found["status"], found.get("age_ms")) for name, found in sections.items()
    }
    evidence = [json.loads(line) for line in (exported.folder / "out/0/evidence.jsonl").read_bytes().splitlines()]
    snapshot = json.loads(next(each for each in evidence if each["index"] == index)["pieces"]["snapshot"])
    assert {row["section"]: row["value"] for row in rows} == {name: snapshot["sections"].get(name) for name in sections}
    assert await rows_of(exported, "shown", "--set", "symbol=AAPL", "--set", "at=2020-01-01T00:00:00Z") == []


def test_an_index_is_that_of_the_record_also_behind_lost_ones(trail: Trail) -> None:  # noqa: F811
    part = Path(trail.export) / "0"
    lost = {json.loads(line)["index"] for line in (part / "lost.jsonl").read_bytes().splitlines()} | {0, 5, 6, 7, 20}
    leaves, evidence = (
        (part / f"{name}.jsonl").read_text().splitlines(keepends=True) for name in ("leaves", "evidence")
    )
    kept = [at for at, line in enumerate(evidence) if json.loads(line)["index"] not in lost]
    (part / "leaves.jsonl").write_text("".join(leaves[at] for at in kept))
    (part / "evidence.jsonl").write_text("".join(evidence[at] for at in kept))
    (part / "lost.jsonl").write_text("".join(f'{{"index":{index},"leaf_hash":"x"}}\n' for index in sorted(lost)))
    connection = duckdb.connect()
    connection.execute(f"SET VARIABLE trail = '{trail.export}'")
    connection.execute(VIEWS.read_text(encoding="utf-8"))
    rows = connection.sql(
        "SELECT index, snapshot, snapshot_sha256 FROM records JOIN evidence USING (partition, index)"
    ).fetchall()
    assert sorted(row[0] for row in rows) == sorted({*range(39)} - lost)
    shown = [(snapshot, digest) for _, snapshot, digest in rows if snapshot is not None]
    assert len(shown) > 10
    assert [hashlib.sha256(snapshot.encode()).hexdigest() for snapshot, _ in shown] == [digest for _, digest in shown]


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "history"])  # of which an export has none
async def test_a_shipped_query_says_the_same_in_plain_duckdb(
    exported: Program, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported.folder / "out")
    connection = duckdb.connect()
    (exported.folder / "bars.csv").write_text(BARS)
    results = write_results(exported.folder / "results.jsonl", {1: "exit", 3: "hold", 5: "none"})
    connection.execute("SET VARIABLE symbol = 'AAPL'")
    connection.execute("SET VARIABLE bars = ['../bars.csv']")
    for views in (VIEWS, MOVES_VIEWS, BARS_VIEWS):
        connection.execute(views.read_text(encoding="utf-8"))
    connection.execute("SET VARIABLE results = ['../results.jsonl']")
    plain = connection.execute((QUERIES / f"{name}.sql").read_text(encoding="utf-8"))
    columns = [column[0] for column in plain.description or []]
    given = ("--set", "symbol=AAPL", "--bars", "bars.csv", "--results", str(results))
    rows = await rows_of(exported, name, *given)
    assert [list(row) for row in rows] == [columns] * len(plain.fetchall())
    assert (
        name in ("guards", "moves", "people", "effects") or rows
    )  # nothing fired, was done or said, and all was decided at one time


def write_results(path: Path, replayed: dict[int, str]) -> Path:
    """A results file of a replay with these actions by index, all recorded as hold."""
    lines: list[dict[str, Any]] = [{"format": "llmctx-replay/1", "asked": {}}, {"text": "x", "content": "y"}]
    for index, action in replayed.items():
        answers = {"recorded": {"verdict": {"action": "hold"}}, "replayed": {"verdict": {"action": action}}}
        place = {"origin": "llmctx/x", "partition": 0, "index": index, "repeat": 1, "symbol": "AAPL"}
        lines.append({"result": place | answers})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


async def test_flips_are_between_a_replay_and_the_record_or_between_two_replays(exported: Program) -> None:
    first = write_results(exported.folder / "a.jsonl", {1: "exit", 3: "hold", 5: "none", 6: "exit"})
    second = write_results(exported.folder / "b.jsonl", {1: "exit", 3: "add", 5: "hold"})
    flip = {"before": "hold", "after": "exit", "answers": 2, "of_all_pct": 50.0, "symbols": 1, "first_address": "0:1"}
    assert await rows_of(exported, "flips", "--results", str(first)) == [flip]
    flip |= {"after": "add", "answers": 1, "of_all_pct": 33.3, "first_address": "0:3"}
    assert await rows_of(exported, "flips", "--results", str(first), "--results", str(second)) == [flip]


@pytest.mark.parametrize(
    ("name", "lacking", "remedy"),
    [
        ("flips", "results of `llmctx replay`", "--results FILE"),
        ("history", "live history", "llmctx archive --history"),
        ("outcomes", "bars", "--bars FILE"),
        ("shown", "a symbol", "--set symbol=S"),
    ],
)
async def test_a_query_says_what_it_lacks(exported: Program, name: str, lacking: str, remedy: str) -> None:
    ended = await exported("query", name, "--from", "out")
    assert (ended.code, ended.out) == (2, "")
    assert f"The query {name} needs {lacking}, and there is none." in ended.err
    assert remedy in ended.err


async def test_outcomes_are_the_moves_of_the_bars_that_are_known_by_then(exported: Program) -> None:
    (exported.folder / "bars.csv").write_text(BARS)
    found = {
        (row["action"], row["horizon_min"]): row for row in await rows_of(exported, "outcomes", "--bars", "bars.csv")
    }
    decided = Counter(leaf["verdict"]["action"] for leaf in leaves_of(exported) if leaf.get("symbol") == "AAPL")
    # The bar of minute 14 is known at 15; it closed at 114. No bar reaches an hour.
    assert {place: (row["records"], row["mean_move_pct"]) for place, row in found.items()} == {
        (action, minutes): (2 * count, float(minutes - 1)) for action, count in decided.items() for minutes in (5, 15)
    }


async def test_a_time_is_that_of_the_package(exported: Program) -> None:
    assert await rows_of(exported, "actions", "--since", "2026-03-02T15:00:00.001Z") == []
    assert await rows_of(exported, "actions", "--until", NOW) == []
    assert await rows_of(exported, "actions", "--since", NOW)


def test_moves_are_those_in_favour_of_the_position(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    folder.mkdir()
    (tmp_path / "manifest.json").write_text("{}")
    leaves, evidence = [], []
    for minute, (price, side) in enumerate(
        [(100, "long"), (101, "long"), (99, "short"), (98, "short"), (100, "short"), (102, "short")]
    ):
        leaf = {
            "kind": "decision", "symbol": "A", "as_of_ms": 60_000 * minute, "recorded_at_ms": 60_000 * minute,
            "snapshot": {"sha256": "x", "sections": {}}, "verdict": {"action": "add" if minute == 0 else "hold"},
        }  # fmt: skip
        sections = {"price": json.dumps({"price": {"last": price}}), "position": json.dumps({"side": side})}
        leaves.append(json.dumps(leaf))
        evidence.append(json.dumps({"index": minute, "pieces": {"snapshot": json.dumps({"sections": sections})}}))
    (folder / "leaves.jsonl").write_text("\n".join(leaves) + "\n")
    (folder / "evidence.jsonl").write_text("\n".join(evidence) + "\n")
    found = run_query(find_query("moves"), tmp_path)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    # From minutes 0, 1 and 2 the newest price within two minutes before the horizon is 102; minute 3 has none.
    mean = round((100 * (102 - 101) / 101 - 100 * (102 - 99) / 99) / 2, 3)
    assert rows == [
        {"action": "add", "horizon_min": 5, "records": 1, "mean_move_pct": 2.0, "in_favour_pct": 100.0},
        {"action": "hold", "horizon_min": 5, "records": 2, "mean_move_pct": mean, "in_favour_pct": 50.0},
    ]


async def test_a_query_of_ones_own_reads_the_views_and_reaches_nothing_else(exported: Program) -> None:
    folder = exported.folder
    (folder / "mine.sql").write_text("SELECT count(*) AS n, max(index) AS last FROM records WHERE partition = 12")
    assert await rows_of(exported, "mine.sql") == [{"n": SIZE, "last": SIZE - 1}]
    before = {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    for sql in (
        f"SELECT * FROM read_text('{folder}/mine.sql')",
        "COPY (SELECT 1) TO 'out/0/leaves.jsonl'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'out/0/leaves.jsonl'",
        f"ATTACH '{folder}/new.db'",
        "SET enable_external_access = true",
        "SELECT * FROM nothing",
        "SELECT",
    ):
        (folder / "mine.sql").write_text(sql)
        ended = await exported("query", "mine.sql", "--from", "out", "--json")
        assert (ended.code, ended.out) == (2, ""), sql
    assert {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()} == before
    assert not (folder / "new.db").exists()


async def test_what_cannot_be_queried_is_named(exported: Program) -> None:
    for arguments, message in (
        (("nothing", "--from", "out"), "grounding, guards"),
        (("actions", "--from", "."), "not an export"),
        (("actions",), "--from"),
        (("shown", "--from", "out", "--set", "symbol"), "NAME=VALUE"),
        (("shown", "--from", "out", "--set", "trail=x"), "trail"),
    ):
        ended = await exported("query", *arguments, "--json")
        assert (ended.code, message in ended.err) == (2, True), (arguments, ended.err)
    listed = await exported("query", "--json")
    assert [row["query"] for row in listed.lines] == SHIPPED
    assert all(row["reports"].endswith(".") for row in listed.lines)
