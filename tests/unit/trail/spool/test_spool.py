"""The spool's files: what is whole is read, what is torn is not, and a later segment has the last word."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import SpoolError
from llmctx.trail.spool.spool import (
    BLOB,
    DICTIONARY,
    RECORD,
    Frame,
    Segment,
    SpoolIndex,
    frames_of,
    next_number,
    numbered,
    prune,
    segments,
    spool_directory,
)


def record(index: int, text: bytes = b"record") -> Frame:
    return numbered(RECORD, index, text)


def begun(directory: Path, number: int, start: int, *frames: Frame) -> Path:
    segment = Segment(directory, number, start)
    segment.write(list(frames))
    segment.close()
    return segment.path


def found(directory: Path) -> dict[int, bytes | None]:
    index = SpoolIndex(directory)
    return {at: index.record(at) for at in sorted(index.places)}


def test_an_empty_spool_has_nothing(tmp_path: Path) -> None:
    index = SpoolIndex(spool_directory(tmp_path, "instance", 3))
    assert (index.size, index.base, index.next_number, index.places) == (0, 0, 0, {})


@given(records=st.lists(st.binary(max_size=50), max_size=8))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, records: list[bytes]) -> None:
    directory = tmp_path_factory.mktemp("spool")
    begun(directory, 0, 0, *(record(at, text) for at, text in enumerate(records)))
    assert found(directory) == dict(enumerate(records))


def test_segments_follow_each_other(tmp_path: Path) -> None:
    begun(tmp_path, 0, 0, record(0), record(1))
    begun(tmp_path, 1, 2, record(2))
    index = SpoolIndex(tmp_path)
    assert (index.size, index.next_number, sorted(index.places)) == (3, 2, [0, 1, 2])


def test_what_an_earlier_segment_says_beyond_a_later_ones_start_counts_for_nothing(tmp_path: Path) -> None:
    begun(tmp_path, 0, 0, record(0), record(1, b"late"), record(2, b"late"))
    begun(tmp_path, 1, 1, record(1, b"true"))
    assert found(tmp_path) == {0: b"record", 1: b"true"}
    assert SpoolIndex(tmp_path).size == 2


def test_a_number_is_made_once(tmp_path: Path) -> None:
    begun(tmp_path, 0, 0)
    with pytest.raises(FileExistsError):
        Segment(tmp_path, 0, 5)
    assert next_number(tmp_path) == 1


@given(cut=st.integers(1, 200), at=st.integers(0, 199))
def test_a_torn_or_altered_end_is_read_up_to_there(tmp_path_factory: pytest.TempPathFactory, cut: int, at: int) -> None:
    directory = tmp_path_factory.mktemp("spool")
    path = begun(directory, 0, 0, *(record(index, b"x" * 20) for index in range(6)))
    whole = path.read_bytes()
    torn = whole[: -min(cut, len(whole))]
    path.write_bytes(torn)
    read = found(directory)
    assert read == dict.fromkeys(range(len(read)), b"x" * 20)
    flipped = bytearray(whole)
    flipped[-1 - at % len(whole)] ^= 1
    path.write_bytes(flipped)
    read = found(directory)
    assert list(read) == list(range(len(read)))
    assert len(read) < 6
    assert set(read.values()) <= {b"x" * 20}


def test_a_torn_segment_is_named_and_the_next_one_goes_on(tmp_path: Path) -> None:
    path = begun(tmp_path, 0, 0, record(0), record(1))
    path.write_bytes(path.read_bytes()[:-3])
    begun(tmp_path, 1, 1, record(1, b"again"))
    index = SpoolIndex(tmp_path)
    assert index.torn == [path]
    assert found(tmp_path) == {0: b"record", 1: b"again"}


def test_a_segment_whose_header_was_never_finished_is_none_but_its_number_is_taken(tmp_path: Path) -> None:
    (tmp_path / "00000000.seg").write_bytes(b"\x00\x00")
    assert segments(tmp_path) == []
    assert next_number(tmp_path) == 1


def test_each_blob_is_given_once(tmp_path: Path) -> None:
    for number in (0, 1):
        begun(tmp_path, number, number, Frame(BLOB, b"source"), numbered(DICTIONARY, 8, b"dictionary"), record(number))
    assert [(frame.kind, frame.payload[-10:]) for frame in SpoolIndex(tmp_path).blobs()] == [
        (BLOB, b"source"), (DICTIONARY, b"dictionary"),
    ]  # fmt: skip


@pytest.mark.parametrize(("size", "age_s", "left"), [(4, 10, [2]), (3, 10, [1, 2]), (4, -10, [0, 1, 2])])
def test_old_segments_are_pruned_as_far_as_all_that_they_have_is_durable(
    tmp_path: Path, size: int, age_s: int, left: list[int]
) -> None:
    for number in range(3):
        path = begun(tmp_path, number, 2 * number, record(2 * number), record(2 * number + 1))
        os.utime(path, (1000, 1000))
    prune(tmp_path, size, 1000 + age_s)
    assert [segment.number for segment in segments(tmp_path)] == left
    assert SpoolIndex(tmp_path).base == 2 * left[0]


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "00000000.seg").write_bytes(Frame(b"H", b'{"format":"other","number":0,"start":0}').encode())
    with pytest.raises(SpoolError, match="has the format other"):
        SpoolIndex(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_spool_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SpoolError, match="could not be begun"):
        Segment(tmp_path / "file" / "spool", 0, 0)


def test_frames_say_where_they_begin_and_end(tmp_path: Path) -> None:
    path = begun(tmp_path, 0, 0, record(0), record(1))
    places = [(begins, ends) for _, begins, ends in frames_of(path)]
    assert places[0][0] == 0
    assert [begins for begins, _ in places[1:]] == [ends for _, ends in places[:-1]]
    assert places[-1][1] == path.stat().st_size
