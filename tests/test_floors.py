"""The house stands on its floors: each imports only from below (the order is that of the design)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "clock", "canonical", "assets", "version", "rules", "connection", "functions", "killpoint"),
    ("schema", "trail"),
    ("context",),
    ("prompt",),
    ("llm",),
    ("decision",),
    ("record",),
    ("pipeline", "replay"),
    ("worker", "flow", "ops"),
    ("web", "testing"),
    ("settings", "cli"),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms}
SOURCES = sorted((ROOT / "llmctx").rglob("*.py"))
TRADING = {"schema", "context", "prompt", "llm", "decision", "record", "pipeline"}


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT / "llmctx").parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    parts = (name.split(".") for name in imports_of(path) if name.startswith("llmctx."))
    return {part[1] for part in parts if part[1] in FLOOR_OF}


def id_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


HOUSE = [path for path in SOURCES if path != ROOT / "llmctx" / "__init__.py"]


@pytest.mark.parametrize("path", HOUSE, ids=id_of)
def test_a_file_imports_only_from_floors_below_or_its_own_room(path: Path) -> None:
    room = room_of(path)
    assert room in FLOOR_OF, f"{path} stands on no floor"
    above = {other for other in rooms_imported(path) if other != room and FLOOR_OF[other] >= FLOOR_OF[room]}
    own_floor_values = {"errors", "clock", "canonical", "version", "functions", "killpoint", "settings"}
    assert above <= own_floor_values & set(FLOORS[FLOOR_OF[room] - 1]), f"{path} imports {above}"


@pytest.mark.parametrize("path", [p for p in SOURCES if room_of(p) == "trail"], ids=id_of)
def test_the_trail_knows_nothing_of_trading(path: Path) -> None:
    assert not rooms_imported(path) & TRADING


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if room_of(p) in {"prompt", "decision", "record", "replay"}],
    ids=id_of,
)
def test_pure_rooms_import_neither_redis_nor_openai(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports_of(path)} & {"redis", "openai"}


@pytest.mark.parametrize("path", [p for p in HOUSE if room_of(p) not in {"settings", "cli"}], ids=id_of)
def test_below_the_command_line_nobody_reads_settings_or_the_environment(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "settings" not in rooms_imported(path)
    assert "os.environ" not in text
    assert "getenv" not in text


@pytest.mark.parametrize("path", [p for p in HOUSE if room_of(p) != "clock"], ids=id_of)
def test_only_the_clock_reads_time(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    reads = ("time.time", "time_ns", "perf_counter", "monotonic(", "datetime.now", "utcnow", ".today(")
    assert not [name for name in reads if name in text]


KEY_FAMILIES = (
    "stocks:", "positions:", "signals:", "watchlist:", "candidates:", "metrics:", "context:", "system:",
    "audit:", "ticks:", "decisions:",
)  # fmt: skip


def strings_of(path: Path) -> Iterator[str]:
    """Every string in a file's code; docstrings may name keys."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


@pytest.mark.parametrize("path", [p for p in HOUSE if room_of(p) != "trail" and p.name != "keys.py"], ids=id_of)
def test_only_the_key_table_and_the_trail_spell_redis_keys(path: Path) -> None:
    assert not [text for text in strings_of(path) if text.startswith(KEY_FAMILIES)]


def test_the_check_finds_imports_and_keys_wherever_they_hide(tmp_path: Path) -> None:
    file = tmp_path / "hidden.py"
    file.write_text("def f():\n    from llmctx.cli import app\n    return f'audit:{app}'\n", encoding="utf-8")
    assert rooms_imported(file) == {"cli"}
    assert [text for text in strings_of(file) if text.startswith(KEY_FAMILIES)]
