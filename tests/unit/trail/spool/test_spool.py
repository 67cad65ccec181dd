"""A spool reads whole frames, ignores torn ones, and lets the newest segment that speaks for an index decide."""

import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import SpoolError
from llmctx.trail.spool import spool
from llmctx.trail.spool.segment import (
    BLOB,
    DICTIONARY,
    RECORD,
    Contents,
    Frame,
    Segment,
    numbered,
    read_contents,
    read_frame,
    read_frames,
)
from llmctx.trail.spool.spool import Spool, next_number, prune, segment_files, spool_directory


def record(index: int, text: bytes = b"record") -> Frame:
    return numbered(RECORD, index, text)


def begun(directory: Path, number: int, start: int, *frames: Frame) -> Path:
    segment = Segment(directory, number, start)
    segment.write(list(frames))
    segment.close()
    return segment.path


def found(directory: Path) -> dict[int, bytes | None]:
    opened = Spool(directory)
    return {at: opened.record(at) for at in opened.indices(0, 100)}


def test_an_empty_spool_has_nothing(tmp_path: Path) -> None:
    empty = Spool(spool_directory(tmp_path, "instance", 3))
    assert (empty.size, empty.base, empty.next_number, empty.record(0), list(empty.blobs(0))) == (0, 0, 0, None, [])


@given(records=st.lists(st.binary(max_size=50), max_size=8))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, records: list[bytes]) -> None:
    directory = tmp_path_factory.mktemp("spool")
    begun(directory, 0, 0, *(record(at, text) for at, text in enumerate(records)))
    assert found(directory) == dict(enumerate(records))


def test_segments_follow_each_other(tmp_path: Path) -> None:
    begun(tmp_path, 0, 0, record(0), record(1))
    begun(tmp_path, 1, 2, record(2))
    both = Spool(tmp_path)
    assert (both.size, both.next_number, both.indices(0, 9)) == (3, 2, [0, 1, 2])


def test_what_an_earlier_segment_says_beyond_a_later_ones_start_counts_for_nothing(tmp_path: Path) -> None:
    begun(tmp_path, 0, 0, record(0), record(1, b"late"), record(2, b"late"))
    begun(tmp_path, 1, 1, record(1, b"true"))
    assert found(tmp_path) == {0: b"record", 1: b"true"}
    assert Spool(tmp_path).size == 2


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
    both = Spool(tmp_path)
    both.load(0)
    assert both.torn == [path]
    assert found(tmp_path) == {0: b"record", 1: b"again"}


def test_a_segment_whose_header_was_never_finished_is_none_but_its_number_is_taken(tmp_path: Path) -> None:
    (tmp_path / "00000000.seg").write_bytes(b"\x00\x00")
    assert segment_files(tmp_path) == []
    assert next_number(tmp_path) == 1


def test_each_blob_is_given_once(tmp_path: Path) -> None:
    for number in (0, 1):
        begun(tmp_path, number, number, Frame(BLOB, b"source"), numbered(DICTIONARY, 8, b"dictionary"), record(number))
    assert [(frame.kind, frame.payload[-10:]) for frame in Spool(tmp_path).blobs(0)] == [
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
    assert [segment.number for segment in segment_files(tmp_path)] == left
    assert Spool(tmp_path).base == 2 * left[0]


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "00000000.seg").write_bytes(Frame(b"H", b'{"format":"other","number":0,"start":0}').encode())
    with pytest.raises(SpoolError, match="has the unknown format other"):
        Spool(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_spool_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SpoolError, match="could not be created"):
        Segment(tmp_path / "file" / "spool", 0, 0)


def test_contents_say_where_each_record_begins(tmp_path: Path) -> None:
    path = begun(tmp_path, 0, 4, Frame(BLOB, b"source"), record(4, b"four"), record(5, b"five"))
    contents = read_contents(path)
    assert {at: read_frame(path, offset) for at, offset in contents.records.items()} == {
        4: record(4, b"four"), 5: record(5, b"five"),
    }  # fmt: skip
    assert [frame.kind for frame in read_frames(path)] == [b"H", BLOB, RECORD, RECORD]


def test_the_newest_records_are_found_without_reading_older_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        begun(tmp_path, number, 10 * number, *(record(10 * number + at) for at in range(10)))
    read: list[str] = []

    def counting(path: Path) -> Contents:
        read.append(path.stem)
        return read_contents(path)

    monkeypatch.setattr(spool, "read_contents", counting)
    opened = Spool(tmp_path)
    opened.load(75)
    assert (opened.size, opened.base, opened.indices(75, 99)) == (90, 0, list(range(75, 90)))
    assert read == ["00000008", "00000007"]
    assert opened.record(5) == b"record"
    assert len(read) == 9


def test_a_copy_in_a_later_segment_fills_a_gap_below_its_start(tmp_path: Path) -> None:
    begun(tmp_path, 0, 0, record(0), record(2))
    begun(tmp_path, 1, 3, record(1, b"copied"), record(3))
    assert found(tmp_path) == {0: b"record", 1: b"copied", 2: b"record", 3: b"record"}


def test_blobs_come_from_the_segments_that_hold_the_records_asked_for(tmp_path: Path) -> None:
    for number in range(3):
        begun(tmp_path, number, number, Frame(BLOB, b"blob %d" % number), record(number))
    assert [frame.payload for frame in Spool(tmp_path).blobs(1)] == [b"blob 1", b"blob 2"]


def test_a_record_that_cannot_be_read_any_more_is_a_spool_error(tmp_path: Path) -> None:
    path = begun(tmp_path, 0, 0, record(0))
    opened = Spool(tmp_path)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SpoolError, match="cannot be read at byte"):
        opened.record(0)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, list[int]]]:
    """Segments as (start, indices of their records), in any order and with any overlap."""
    indices = st.lists(st.integers(0, 12), max_size=6)
    return draw(st.lists(st.tuples(st.integers(0, 12), indices), min_size=1, max_size=6))


@given(histories())
def test_reading_backwards_finds_what_reading_everything_in_order_finds(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, list[int]]]
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    expected: dict[int, bytes] = {}
    for number, (start, indices) in enumerate(history):
        content = b"of segment %d" % number
        begun(directory, number, start, *(record(index, content) for index in indices))
        expected = {index: held for index, held in expected.items() if index < start} | dict.fromkeys(indices, content)
    assert found(directory) == expected
    start, indices = history[-1]
    assert Spool(directory).size == max([start - 1, *indices]) + 1


def test_a_segment_whose_header_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # a full disk, for this process
    try:
        with pytest.raises(SpoolError, match="could not be created"):
            Segment(tmp_path / "spool", 0, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert next_number(tmp_path / "spool") == 0
