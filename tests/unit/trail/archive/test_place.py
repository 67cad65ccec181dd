"""A local folder as the archive's place, when the disk or the folder is not what it should be."""

import os
import resource
from pathlib import Path

import pytest
from pydantic import ValidationError

from llmctx.errors import ArchiveError
from llmctx.trail.archive.place import FolderPlace
from llmctx.trail.archive.retention import Retention


def test_a_full_disk_is_named_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ArchiveError, match="0/records could not be written"):
            FolderPlace(str(tmp_path)).put("0/records", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [*(tmp_path / "0").iterdir()] == []


def test_what_a_killed_run_left_is_removed_a_day_later(tmp_path: Path) -> None:
    place = FolderPlace(str(tmp_path))
    old, new = tmp_path / ".a.1.part", tmp_path / ".a.2.part"
    for draft in (old, new):
        draft.write_bytes(b"evidence")
    os.utime(old, (0, 0))
    assert place.put("a", b"records")
    assert (place.names(""), old.exists(), new.exists()) == (["a"], False, True)


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("a file in the way", encoding="utf-8")
    place = FolderPlace(str(tmp_path))
    assert place.names("missing") == []
    with pytest.raises(ArchiveError, match="0 could not be listed"):
        place.names("0")


def test_nothing_is_locked_for_longer_than_it_may_be_kept() -> None:
    assert Retention(locked_d=30, snapshot_d=30, messages_d=0).locked_d == 30
    with pytest.raises(ValidationError, match="locked_d 31 is longer than snapshot_d 30"):
        Retention(locked_d=31, snapshot_d=30)
