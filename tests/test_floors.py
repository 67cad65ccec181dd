"""The house stands on its floors: each imports only from below (the order is that of the design)."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from .conftest import ROOT

FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "errors", "clock", "canonical", "numerals", "harmless", "assets", "version", "rules", "bounded_cache",
        "limits", "private_files", "toml_file", "connection", "tasks", "functions", "killpoint", "log_context",
        "visible",
    ),
    ("schema", "trail"),
    ("context",),
    ("prompt",),
    ("llm",),
    ("decision",),
    ("publication", "leaf_fields"),
    ("record",),
    ("plain_leaf",),
    ("statement", "dead_letter"),
    ("pipeline", "symbols", "replay"),
    ("worker", "flow"),
    ("ops",),
    ("backtest", "console", "testing", "client"),
    ("settings", "environment", "cli", "__main__"),
)  # fmt: skip
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms}
# Rooms of one file that others on their own floor may import.
SHARED_ON_THEIR_FLOOR = {
    "tasks", "errors", "clock", "canonical", "version", "functions", "killpoint", "settings", "environment",
    "toml_file", "cli", "bounded_cache", "limits", "symbols", "client",
}  # fmt: skip
PACKAGE = ROOT / "llmctx"
SOURCES = sorted(PACKAGE.rglob("*.py"))
HOUSE = [path for path in SOURCES if path != PACKAGE / "__init__.py"]
TRADING = {"schema", "context", "prompt", "llm", "decision", "record", "pipeline"}
PURE = {"prompt", "decision", "record", "replay"}


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    parts = (name.split(".") for name in imports_of(path) if name.startswith("llmctx."))
    return {part[1] for part in parts if part[1] in FLOOR_OF}


def named(paths: Iterable[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


# floors


def test_every_file_stands_on_a_floor() -> None:
    assert named(path for path in HOUSE if room_of(path) not in FLOOR_OF) == []


def test_a_file_imports_only_from_floors_below_or_its_own_room() -> None:
    wrong = {}
    for path in HOUSE:
        room = room_of(path)
        above = {other for other in rooms_imported(path) if other != room and FLOOR_OF[other] >= FLOOR_OF[room]}
        if not above <= SHARED_ON_THEIR_FLOOR & set(FLOORS[FLOOR_OF[room] - 1]):
            wrong[str(path)] = above
    assert wrong == {}


def test_the_trail_knows_nothing_of_trading() -> None:
    trail = [path for path in HOUSE if room_of(path) == "trail"]
    assert named(path for path in trail if rooms_imported(path) & TRADING) == []


def test_pure_rooms_import_neither_redis_nor_a_models_sdk() -> None:
    pure = [path for path in HOUSE if room_of(path) in PURE]
    doors = {"redis", "openai", "anthropic", "boto3"}
    assert named(path for path in pure if {name.split(".")[0] for name in imports_of(path)} & doors) == []


def test_below_the_command_line_nobody_reads_settings_or_the_environment() -> None:
    below = [path for path in HOUSE if FLOOR_OF[room_of(path)] < FLOOR_OF["cli"]]
    assert named(path for path in below if "settings" in rooms_imported(path)) == []
    assert (
        named(path for path in below if any(word in path.read_text("utf-8") for word in ("os.environ", "getenv"))) == []
    )


def test_only_the_clock_reads_time() -> None:
    reads = ("time.time", "time_ns", "perf_counter", "monotonic(", "datetime.now", "utcnow", ".today(")
    others = [path for path in HOUSE if room_of(path) != "clock"]
    assert named(path for path in others if any(word in path.read_text("utf-8") for word in reads)) == []


def test_the_independent_verifier_imports_nothing_of_the_package() -> None:
    assert not [name for name in imports_of(ROOT / "audit" / "verify.py") if name.split(".")[0] == "llmctx"]


# keys

KEY_FAMILIES = (
    "stocks:", "positions:", "signals:", "watchlist:", "candidates:", "metrics:", "context:", "system:",
    "audit:", "ticks:", "decisions:", "effects:", "controls:", "limits:",
)  # fmt: skip


def strings_of(path: Path) -> Iterator[str]:
    """Every string in a file's code; docstrings may name keys."""
    tree = tree_of(path)
    told = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def test_only_the_key_table_and_the_trail_spell_redis_keys() -> None:
    others = [path for path in HOUSE if room_of(path) != "trail" and path.name != "keys.py"]
    assert named(path for path in others if any(text.startswith(KEY_FAMILIES) for text in strings_of(path))) == []


# circles


def modules() -> dict[str, Path]:
    """Each module of the package by its dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES
    }  # fmt: skip


def import_graph(sources: dict[str, Path]) -> dict[str, set[str]]:
    """Which modules each module imports; `from a import b` is a.b where that is a module, else a."""
    graph: dict[str, set[str]] = {}
    for module, path in sources.items():
        graph[module] = set()
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                graph[module] |= {alias.name for alias in node.names if alias.name in sources}
            elif isinstance(node, ast.ImportFrom) and node.module in sources:
                found = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[module] |= {name if name in sources else node.module for name in found}
        graph[module].discard(module)
    return graph


def folder_of(module: str, folders: set[str]) -> str:
    """The folder of a module; a module that stands beside folders is a room of its own."""
    folder = module if module in folders else module.rpartition(".")[0]
    has_folders = any(other.startswith(f"{folder}.") for other in folders)
    return f"{module} (file)" if has_folders else folder


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """One circle of a graph, if it has one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def folder_graph(sources: dict[str, Path]) -> dict[str, set[str]]:
    """Which folders each folder imports, sub-folders apart from what they stand in."""
    folders = {module for module, path in sources.items() if path.name == "__init__.py"}
    graph: dict[str, set[str]] = {}
    for module, imported in import_graph(sources).items():
        here = folder_of(module, folders)
        graph.setdefault(here, set()).update(folder_of(other, folders) for other in imported)
        graph[here].discard(here)
    return graph


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle_in(import_graph(modules())) == []


def test_no_folders_import_each_other_in_a_circle() -> None:
    assert circle_in(folder_graph(modules())) == []


# the checks


def written(folder: Path, files: dict[str, str]) -> dict[str, Path]:
    """A package `p` with these files, by module."""
    made = {}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        made[".".join(Path(name).with_suffix("").parts).removesuffix(".__init__")] = path
    return made


def test_the_check_finds_imports_and_keys_wherever_they_hide(tmp_path: Path) -> None:
    file = tmp_path / "hidden.py"
    file.write_text("def f():\n    from llmctx.cli import app\n    return f'audit:{app}'\n", encoding="utf-8")
    assert rooms_imported(file) == {"cli"}
    assert [text for text in strings_of(file) if text.startswith(KEY_FAMILIES)]


def test_the_check_finds_a_circle_of_modules_under_type_checking(tmp_path: Path) -> None:
    sources = written(
        tmp_path,
        {
            "p/__init__.py": "",
            "p/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.b import B\n",
            "p/b.py": "def f():\n    from p import a\n",
        },
    )
    assert set(circle_in(import_graph(sources))) == {"p.a", "p.b"}


def test_the_check_finds_a_circle_of_folders_without_one_of_modules(tmp_path: Path) -> None:
    sources = written(
        tmp_path,
        {
            "p/__init__.py": "",
            "p/one/__init__.py": "",
            "p/one/a.py": "from p.two import b\n",
            "p/one/d.py": "",
            "p/two/__init__.py": "",
            "p/two/b.py": "",
            "p/two/c.py": "from p.one.d import x\n",
        },
    )
    assert circle_in(import_graph(sources)) == []
    assert set(circle_in(folder_graph(sources))) == {"p.one", "p.two"}


def test_a_file_beside_folders_is_no_circle_with_them(tmp_path: Path) -> None:
    sources = written(
        tmp_path,
        {
            "p/__init__.py": "",
            "p/low.py": "",
            "p/one/__init__.py": "",
            "p/one/a.py": "from p import low\n",
            "p/high.py": "from p.one import a\n",
        },
    )
    assert circle_in(folder_graph(sources)) == []
