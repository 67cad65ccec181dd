"""What is packed is unpacked to the byte, and any damage to a stored file is found before it is used."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmctx.errors import BackupError
from llmctx.ops.backup.files import StoredFile, is_inside, pack, unpack


def packed(folder: Path, raw: bytes, name: str = "state/a") -> StoredFile:
    (folder / "source").write_bytes(raw)
    with (folder / "source").open("rb") as source:
        return pack(source, folder, name)


@given(st.binary(max_size=5000))
@settings(max_examples=30)
def test_a_file_comes_back_as_it_was(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stored = packed(folder, raw)
        with (folder / "state/a.zst").open("rb") as source:
            unpack(stored, source, folder / "out" / "a")
        assert (folder / "out" / "a").read_bytes() == raw
        assert (stored.size_bytes, stored.stored_bytes) == (len(raw), (folder / "state/a.zst").stat().st_size)


@given(st.binary(min_size=1, max_size=2000), st.data())
@settings(max_examples=50)
def test_any_change_of_a_stored_file_is_found_and_nothing_is_written(raw: bytes, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stored = packed(folder, raw)
        path = folder / "state/a.zst"
        there = path.read_bytes()
        at = data.draw(st.integers(0, len(there) - 1))
        change = data.draw(st.sampled_from(["flip", "cut", "add", "drop"]))
        path.write_bytes(
            {
                "flip": there[:at] + bytes([there[at] ^ 1]) + there[at + 1 :],
                "cut": there[:at],
                "add": there + b"x",
                "drop": there[:at] + there[at + 1 :],
            }[change]
        )
        with path.open("rb") as source, pytest.raises(BackupError) as caught:
            unpack(stored, source, folder / "out" / "a")
        assert caught.value.exit_code == 1
        assert list((folder / "out").iterdir()) == []


def test_a_file_larger_than_its_manifest_says_does_not_fill_the_disk(tmp_path: Path) -> None:
    stored = packed(tmp_path, bytes(50_000_000), "big")
    small = stored.model_copy(update={"size_bytes": 10})
    with (tmp_path / "big.zst").open("rb") as source, pytest.raises(BackupError):
        unpack(small, source, tmp_path / "out" / "big")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "a/./b", "a\\b"])
def test_a_manifest_cannot_name_a_file_elsewhere(name: str) -> None:
    assert not is_inside(name)
    assert is_inside("state/anchor/x/0/leaves")
