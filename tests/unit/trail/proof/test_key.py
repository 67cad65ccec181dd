from pathlib import Path

import pytest

from llmctx.errors import KeyFileError
from llmctx.trail.proof.checkpoint import Key, open_note
from llmctx.trail.proof.key import (
    SigningKey,
    key_file,
    load_key,
    load_or_make_key,
    make_key,
    public_file,
    read_public_key,
)

from .test_checkpoint import CHECKPOINT, GO_VKEY

# golang.org/x/mod/sumdb/note, example_test.go
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"


def test_a_private_key_of_the_reference_implementation_is_read_and_written_again() -> None:
    signing = SigningKey.read(GO_PRIVATE)
    assert (signing.key.text, signing.text) == (GO_VKEY, GO_PRIVATE)


def test_a_made_key_signs_what_its_public_half_opens(tmp_path: Path) -> None:
    made = make_key(tmp_path, "house")
    loaded = load_key(tmp_path, "house")
    public = Key.read(public_file(tmp_path, "house").read_text(encoding="utf-8"))
    assert made.key == loaded.key == public == read_public_key(tmp_path, "house")
    assert public.name == "llmctx/house"
    assert open_note(loaded.sign(CHECKPOINT), public) == CHECKPOINT


def test_nobody_else_may_read_a_made_key(tmp_path: Path) -> None:
    make_key(tmp_path, "house")
    file = key_file(tmp_path, "house")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    make_key(tmp_path, "house")
    before = key_file(tmp_path, "house").read_bytes()
    with pytest.raises(KeyFileError, match="exists already") as refused:
        make_key(tmp_path, "house")
    assert refused.value.exit_code == 2
    assert key_file(tmp_path, "house").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["house", "house.pub"]


def test_a_key_that_is_not_there_is_told_or_made(tmp_path: Path) -> None:
    assert read_public_key(tmp_path, "house") is None
    with pytest.raises(KeyFileError, match="llmctx key --make") as missing:
        load_key(tmp_path, "house")
    assert missing.value.exit_code == 3
    assert load_or_make_key(tmp_path, "house").key == load_or_make_key(tmp_path, "house").key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    make_key(tmp_path, "house")
    key_file(tmp_path, "house").chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600") as refused:
        load_or_make_key(tmp_path, "house")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "nonsense", GO_PRIVATE.replace("c74f20a3", "00000000"), GO_VKEY, GO_PRIVATE])
def test_a_file_that_holds_no_key_of_this_instance_is_refused(tmp_path: Path, text: str) -> None:
    make_key(tmp_path, "house")
    key_file(tmp_path, "house").write_text(text, encoding="utf-8")
    with pytest.raises(KeyFileError):
        load_key(tmp_path, "house")
