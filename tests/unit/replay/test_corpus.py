from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.errors import CorpusError, TemplateError
from llmctx.replay.corpus import BlobCache, Place, Recorded, read_corpus, write_corpus
from tests.unit.makers import template

from .cases import ORIGIN, blobs, case


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("corpus") / "c.jsonl"
    write_corpus(file, [case(3), case(7, price="149")], blobs())
    return file


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")


def test_a_corpus_survives_the_round_trip_byte_for_byte(path: Path) -> None:
    corpus = read_corpus(path)
    assert [entry.place for entry in corpus.entries] == [Place(ORIGIN, 0, 3), Place(ORIGIN, 0, 7)]
    assert [entry.leaf for entry in corpus.entries] == [case(3).leaf, case(7, price="149").leaf]
    assert corpus.entries[0].pieces == case(3).pieces
    assert corpus.blobs == dict(blobs())


def test_each_blob_is_written_once(path: Path) -> None:
    assert [line[:8] for line in lines_of(path)[:3]] == [b'{"format', b'{"blob":', b'{"blob":']
    assert len(lines_of(path)) == 1 + 2 + 2 + 1


def test_writing_a_corpus_again_gives_the_same_file(path: Path, tmp_path: Path) -> None:
    corpus = read_corpus(path)
    write_corpus(tmp_path / "again.jsonl", corpus.entries, corpus.blobs)
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


def test_lines_end_at_newlines_only_and_pieces_may_be_any_bytes(tmp_path: Path) -> None:
    entry = case(0, said={"reasoning": "a line\u2028separator"})
    raw = b"\xff\xfe no text"
    leaf = entry.record | {"completion": entry.record["completion"] | {"sha256": canonical.sha256(raw)}}
    odd = Recorded(canonical.dumps(leaf), entry.pieces | {"completion": raw}, index=1, origin=ORIGIN)
    write_corpus(tmp_path / "c.jsonl", [entry, odd], blobs())
    assert [found.pieces for found in read_corpus(tmp_path / "c.jsonl").entries] == [entry.pieces, odd.pieces]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choice=st.data())
def test_any_changed_byte_is_found(path: Path, tmp_path: Path, choice: st.DataObject) -> None:
    raw = bytearray(path.read_bytes())
    at = choice.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= choice.draw(st.integers(1, 255))
    (tmp_path / "c.jsonl").write_bytes(raw)
    with pytest.raises(CorpusError):
        read_corpus(tmp_path / "c.jsonl")


def test_a_changed_leaf_is_reported_with_line_and_digest(path: Path, tmp_path: Path) -> None:
    lines = lines_of(path)
    lines[4] = lines[4].replace(b"asked-model", b"other-model", 1)
    (tmp_path / "c.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(CorpusError, match=r"Line 5 of .* was changed: the line should have the digest [0-9a-f]{64}"):
        read_corpus(tmp_path / "c.jsonl")


def test_a_changed_piece_with_a_new_line_digest_is_found_by_the_digests_in_the_leaf(path: Path, tmp_path: Path) -> None:
    lines = lines_of(path)
    document = canonical.loads(lines[3])
    del document["sha256"]
    document["pieces"]["messages"] = document["pieces"]["messages"].replace("risk", "rash")
    lines[3] = canonical.dumps(document | {"sha256": canonical.sha256(canonical.dumps(document))})
    (tmp_path / "c.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(CorpusError, match=r"Line 4 .* the piece messages should have the digest") as found:
        read_corpus(tmp_path / "c.jsonl")
    assert found.value.exit_code == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b'{"format":"llmctx-corpus/2"}\n', b"\xff\n"])
def test_another_file_is_refused_as_a_corpus(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.jsonl").write_bytes(content)
    with pytest.raises(CorpusError):
        read_corpus(tmp_path / "c.jsonl")


def test_a_record_without_its_blob_above_it_is_reported(path: Path, tmp_path: Path) -> None:
    lines = lines_of(path)
    (tmp_path / "c.jsonl").write_bytes(b"\n".join([lines[0], *lines[3:]]))
    with pytest.raises(CorpusError, match=r"Line 2 .* the blob [0-9a-f]{64} is missing above it"):
        read_corpus(tmp_path / "c.jsonl")


def test_nothing_is_written_if_a_blob_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"The blob .* is missing or was changed"):
        write_corpus(tmp_path / "c.jsonl", [case()], {})
    assert not list(tmp_path.iterdir())


def test_a_record_with_changed_evidence_is_not_written(tmp_path: Path) -> None:
    entry = case()
    changed = Recorded(entry.leaf, entry.pieces | {"messages": b"[]"}, index=0)
    with pytest.raises(CorpusError, match="Record 0 cannot be added to"):
        write_corpus(tmp_path / "c.jsonl", [changed], blobs())


BLOB, DIGEST = template().bundle, template().sha256


def test_a_template_is_compiled_once() -> None:
    blobs = BlobCache({DIGEST: BLOB})
    assert blobs.template(DIGEST) is blobs.template(DIGEST)


def test_a_blob_added_later_is_found() -> None:
    blobs = BlobCache()
    with pytest.raises(TemplateError, match="is missing"):
        blobs.template(DIGEST)
    blobs.add(DIGEST, BLOB)
    assert blobs.template(DIGEST).ref == template().ref
    assert dict(blobs) == {DIGEST: BLOB}


def test_a_changed_blob_is_not_compiled() -> None:
    with pytest.raises(TemplateError, match="was changed"):
        BlobCache({DIGEST: BLOB + b" "}).template(DIGEST)
