import multiprocessing
import os
import resource
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmctx.errors import AnchorBusyError, AnchorError, ForkError
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.merkle import leaf_hash

from .test_checkpoint import CHECKPOINT, signed

HASHES = [leaf_hash(bytes([number])) for number in range(20)]
NOTES = [signed(CHECKPOINT._replace(size=size)) for size in range(5)]


@pytest.fixture
def anchor(tmp_path: Path) -> Anchor:
    return Anchor(anchor_directory(tmp_path, "house", 3))


def test_an_anchor_that_was_never_written_is_empty(anchor: Anchor) -> None:
    assert (anchor.size, anchor.hashes(), anchor.checkpoints(), anchor.newest()) == (0, [], [], None)


def test_what_was_appended_is_read_by_another_reader(anchor: Anchor) -> None:
    anchor.append(0, HASHES[:3], NOTES[0])
    anchor.append(3, HASHES[3:5], NOTES[1])
    anchor.append(5, [], NOTES[2])
    reader = Anchor(anchor.directory)
    assert (reader.size, reader.hashes()) == (5, HASHES[:5])
    assert (reader.hash_at(4), reader.hashes(1, 3), reader.hashes(4, 9)) == (HASHES[4], HASHES[1:3], HASHES[4:5])
    assert (reader.checkpoints(), reader.newest()) == (NOTES[:3], NOTES[2])


def test_it_lies_in_a_folder_of_instance_and_partition(anchor: Anchor, tmp_path: Path) -> None:
    anchor.append(0, HASHES[:1], NOTES[0])
    assert (tmp_path / "anchor" / "house" / "3" / "leaves").read_bytes() == HASHES[0]
    assert (tmp_path / "anchor" / "house" / "3" / "checkpoints").read_text(encoding="utf-8") == NOTES[0]


def test_equal_hashes_given_again_change_nothing(anchor: Anchor) -> None:
    anchor.append(0, HASHES[:4])
    anchor.append(2, HASHES[2:6])
    anchor.append(1, HASHES[1:3])
    assert anchor.hashes() == HASHES[:6]


def test_another_hash_at_an_index_is_a_fork_that_is_named(anchor: Anchor) -> None:
    anchor.append(0, HASHES[:4])
    with pytest.raises(ForkError, match=f"index 3.*{HASHES[3].hex()}.*{HASHES[9].hex()}"):
        anchor.append(2, [HASHES[2], HASHES[9]], NOTES[0])
    assert (anchor.size, anchor.checkpoints()) == (4, [])


def test_a_gap_is_refused(anchor: Anchor) -> None:
    anchor.append(0, HASHES[:2])
    with pytest.raises(AnchorError, match="gap"):
        anchor.append(3, HASHES[3:4])


def test_a_hash_that_is_not_there_is_an_error(anchor: Anchor) -> None:
    with pytest.raises(AnchorError, match="no leaf hash 0"):
        anchor.hash_at(0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(leaves_cut=st.integers(0, 31), note_cut=st.integers(1, 300))
def test_a_write_that_was_cut_anywhere_is_passed_over_and_written_again(
    tmp_path: Path, leaves_cut: int, note_cut: int
) -> None:
    anchor = Anchor(tmp_path / f"{leaves_cut}-{note_cut}")
    anchor.append(0, HASHES[:3], NOTES[0])
    anchor.append(3, HASHES[3:4], NOTES[1])
    leaves, notes = anchor.directory / "leaves", anchor.directory / "checkpoints"
    os.truncate(leaves, 3 * 32 + leaves_cut)
    os.truncate(notes, max(len(NOTES[0].encode()), notes.stat().st_size - note_cut))
    after = Anchor(anchor.directory)
    assert (after.size, after.checkpoints()) == (3, NOTES[:1])
    after.append(3, HASHES[3:5], NOTES[1])
    assert (after.hashes(), after.checkpoints()) == (HASHES[:5], NOTES[:2])


def test_zeros_at_the_end_after_a_power_cut_are_no_hashes(anchor: Anchor) -> None:
    anchor.append(0, HASHES[:2])
    with (anchor.directory / "leaves").open("ab") as file:
        file.write(bytes(70))
    assert anchor.hashes() == HASHES[:2]
    anchor.append(2, HASHES[2:4])
    assert Anchor(anchor.directory).hashes() == HASHES[:4]


def test_damage_that_is_no_torn_end_is_named_and_never_cut_off(anchor: Anchor) -> None:
    anchor.append(0, HASHES[:1], NOTES[0])
    anchor.append(1, HASHES[1:2], NOTES[1])
    file = anchor.directory / "checkpoints"
    damaged = file.read_bytes().replace("\N{EM DASH}".encode(), b"xxx", 1)
    file.write_bytes(damaged)
    with pytest.raises(AnchorError, match="damaged"):
        Anchor(anchor.directory).append(2, HASHES[2:3], NOTES[2])
    assert file.read_bytes() == damaged


def _hold(directory: Path, held: Event, done: Event) -> None:
    with Anchor(directory).lock():
        held.set()
        done.wait(60)


def test_two_writers_are_kept_apart(anchor: Anchor) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(anchor.directory, held, done))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(AnchorBusyError, match="Another notary holds the anchor"):
            anchor.append(0, HASHES[:1])
        assert anchor.size == 0
    finally:
        done.set()
        other.join()
    anchor.append(0, HASHES[:1])
    assert anchor.size == 1


def test_a_full_disk_is_told_and_leaves_the_anchor_as_it_was(anchor: Anchor) -> None:
    # A limit on the size of files stands for the full disk: the write fails half-way in just the same manner.
    anchor.append(0, HASHES[:2], NOTES[0])
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * 32 + 7, hard))
    try:
        with pytest.raises(AnchorError, match="free disk space"):
            anchor.append(2, HASHES[2:6], NOTES[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert (anchor.directory / "leaves").stat().st_size == 2 * 32
    assert anchor.checkpoints() == NOTES[:1]
    anchor.append(2, HASHES[2:6], NOTES[1])
    assert (anchor.hashes(), anchor.checkpoints()) == (HASHES[:6], NOTES[:2])
