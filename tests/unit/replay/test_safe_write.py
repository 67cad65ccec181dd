from pathlib import Path

import pytest

from llmctx.errors import ReplayError
from llmctx.replay.safe_write import BATCH, PAGE, PAGE_MARK, REBUILD, Destination, FileKind, replacing

CONTENTS = {
    PAGE: f"<!doctype html>\n{PAGE_MARK}\n",
    BATCH: '{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}}\n',
    REBUILD: '{"format":"llmctx-rebuild/1"}\n{}\n',
}
EACH_KIND = pytest.mark.parametrize("kind", CONTENTS, ids=lambda kind: kind.name.split()[1])


def write(path: Path, kind: FileKind, *inputs: Path | None) -> None:
    with replacing(Destination(path, "--option", kind, inputs)) as file:
        file.write("new")


@EACH_KIND
def test_a_file_of_the_same_kind_is_replaced(tmp_path: Path, kind: FileKind) -> None:
    (tmp_path / "x").write_text(CONTENTS[kind], encoding="utf-8")
    write(tmp_path / "x", kind)
    assert (tmp_path / "x").read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


@EACH_KIND
def test_a_file_of_another_kind_is_left_unchanged(tmp_path: Path, kind: FileKind) -> None:
    others = [text for other, text in CONTENTS.items() if other is not kind]
    for content in [*others, "notes", '{"custom_id":"a","response":{}}\n', "<!doctype html>", "[]"]:
        (tmp_path / "x").write_text(content, encoding="utf-8")
        with pytest.raises(ReplayError, match=r"--option .*x already exists and is not"):
            write(tmp_path / "x", kind)
        assert (tmp_path / "x").read_text(encoding="utf-8") == content


def test_an_input_is_left_unchanged_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(CONTENTS[PAGE], encoding="utf-8")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    with pytest.raises(ReplayError, match="is also an input"):
        write(tmp_path / "y", PAGE, None, tmp_path / "none", tmp_path / "x")
    assert (tmp_path / "x").read_text(encoding="utf-8") == CONTENTS[PAGE]


def test_a_failure_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(CONTENTS[PAGE], encoding="utf-8")
    with pytest.raises(TypeError), replacing(Destination(tmp_path / "x", "--option", PAGE)) as file:
        file.writelines(["half", 1])  # type: ignore[list-item]
    assert (tmp_path / "x").read_text(encoding="utf-8") == CONTENTS[PAGE]
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    (tmp_path / "y").symlink_to(tmp_path / "x")
    write(tmp_path / "y", PAGE)
    assert (tmp_path / "y").is_symlink()
    assert (tmp_path / "x").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("name", ["/dev/full", "/nowhere/x", "/"])
def test_a_path_that_cannot_be_written_is_named(name: str) -> None:
    with pytest.raises(ReplayError, match=f"--option {name} cannot be written: (No space|No such|Is a dir)"):
        write(Path(name), PAGE)
