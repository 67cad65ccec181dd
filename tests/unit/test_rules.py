import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmctx import rules
from llmctx.rules import Rules, code, compare, shaping_sources, source_digest
from llmctx.version import RELEASED, VERSION
from tests.conftest import ROOT

DIGEST = code().rpartition(":")[2]
OTHER_ENVIRONMENT = f"{DIGEST[:8]}{'0000' if DIGEST[8:] != '0000' else '1111'}"


def digest_of(package: Path) -> str:
    """The digest that a copy of the package computes, in a Python of its own."""
    told = "from llmctx.rules import source_digest; print(source_digest())"
    return subprocess.check_output([sys.executable, "-c", told], cwd=package.parent, text=True).strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "llmctx", tmp_path / "llmctx")


def test_the_code_names_version_and_rules() -> None:
    assert re.fullmatch(rf"llmctx {re.escape(VERSION)} rules:[0-9a-f]{{12}}", code())


def test_a_released_version_is_never_changed() -> None:
    """Where this fails, the rules changed after a release: raise VERSION."""
    assert VERSION not in RELEASED or source_digest() in RELEASED[VERSION]


def test_every_released_version_has_a_trail_that_is_kept() -> None:
    kept = {path.name for path in (ROOT / "tests/assets/trails").iterdir() if path.is_dir()}
    assert kept - {"__pycache__"} == set(RELEASED) - {VERSION} | kept & {VERSION}


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (code(), Rules.SAME),
        (f"llmctx 9.9.9 rules:{DIGEST}", Rules.SAME),
        (f"llmctx {VERSION} rules:{OTHER_ENVIRONMENT}", Rules.KNOWN),
        ("llmctx 0.1.0", Rules.KNOWN),
        ("llmctx 0.1.0 rules:000000000000", Rules.UNKNOWN),
        (f"llmctx {VERSION}", Rules.UNKNOWN),
        (f"llmctx {VERSION} rules:{DIGEST}0", Rules.UNKNOWN),
        (f"llmctx {VERSION} rules:{DIGEST.upper()}x", Rules.UNKNOWN),
        ("llmctx 0.1.0\n", Rules.UNKNOWN),
        ("llmctx 0.0.9", Rules.UNKNOWN),
        ("another program", Rules.UNKNOWN),
        ("", Rules.UNKNOWN),
    ],
)
def test_rules_are_the_same_known_or_unknown(theirs: str, expected: Rules) -> None:
    assert compare(theirs) is expected


def test_a_released_digest_is_known_under_its_own_version_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RELEASED, "0.1.9", ("01234567",))
    assert compare("llmctx 0.1.9 rules:0123456789ab") is Rules.KNOWN
    assert compare("llmctx 0.1.8 rules:0123456789ab") is Rules.UNKNOWN


def test_other_libraries_have_another_digest_of_the_same_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(library: str) -> str:
        return "1" if library == "jiter" else "2"

    monkeypatch.setattr(rules, "version", version)
    code.cache_clear()
    try:
        other = code()
    finally:
        monkeypatch.undo()
        code.cache_clear()
    assert other != code()
    assert other[:-4] == code()[:-4]
    assert compare(other) is Rules.KNOWN


@pytest.mark.parametrize("name", ["record.py", "decision/decision.py", "context/package.py", "llm/completion.py"])
def test_a_change_of_what_shapes_a_record_changes_the_digest(package: Path, name: str) -> None:
    path = package / name
    path.write_text(f"{path.read_text(encoding='utf-8')}\n_MORE = 1\n", encoding="utf-8")
    assert digest_of(package) != source_digest()


def test_docstrings_comments_layout_and_other_rooms_change_nothing(package: Path) -> None:
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(f"{text}\n\n# more\n'''More.'''\n", encoding="utf-8")
    worker = package / "worker" / "owner.py"
    worker.write_text(f"{worker.read_text(encoding='utf-8')}\n_MORE = 1\n", encoding="utf-8")
    assert digest_of(package) == source_digest()


def test_what_a_shaping_source_imports_shapes_too_or_is_named_here() -> None:
    """A function that moves out of these rooms must be added to `rules.SHAPING`, or have its reason here."""
    files = {path.relative_to(ROOT / "llmctx") for path in shaping_sources()}
    shapes = {file.with_suffix("").as_posix() for file in files} | {file.parent.as_posix() for file in files}
    others = {
        name.removeprefix("llmctx.").replace(".", "/")
        for path in shaping_sources()
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llmctx.")
        for name in [str(node.module)]
    } - shapes
    assert others <= {
        "llm/output",  # what is asked for; a record names it as a blob
        "errors",  # what is raised, never what is recorded
        "functions",  # how the reader calls the server
        "assets",  # where shipped templates lie; a trail has its own
        "private_files",  # where it is kept which templates were checked
        "version",  # under which version they were
        "bounded_cache",  # keeps what was read, and changes nothing of it
        "trail/log/entry",  # how an entry is packed; the pieces are held by digest
        "trail/log/log",  # where a draft goes
    }
