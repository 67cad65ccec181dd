"""A file of signed notes, as anchors, archives and exports keep them: one blank line between two notes."""

import codecs
import re
from collections.abc import Iterable

from llmctx.errors import CheckpointError

_TORN_BYTES = 1024
_NOTE = re.compile(rb"(?:[^\n]+\n)+\n(?:\xe2\x80\x94 [^\n]+\n)+")
_TORN = re.compile(rb"(?:[^\n]+\n)*(?:[^\n]*|\n[^\n]*)")


def join_notes(notes: Iterable[str]) -> bytes:
    """Join signed notes with one blank line between them, as anchors and exports store them."""
    return "\n".join(notes).encode()


def leading_notes(raw: bytes) -> tuple[list[str], int]:
    """The signed notes at the beginning of a file, up to the first damage, and how many bytes they take."""
    notes: list[str] = []
    end = at = 0
    while (at > end or not notes) and (found := _NOTE.match(raw, at)):
        try:
            notes.append(found.group().decode())
        except UnicodeDecodeError:
            break
        end = found.end()
        at = end + raw.startswith(b"\n", end)
    return notes, end


def split_notes(raw: bytes) -> tuple[list[str], int]:
    """The signed notes of a file, and how many bytes they take; the last note may be torn.

    Raises CheckpointError if the file is damaged in any other way.
    """
    notes: list[str] = []
    end = at = 0
    while found := _NOTE.match(raw, at):
        try:
            notes.append(found.group().decode())
        except UnicodeDecodeError as error:
            raise CheckpointError(f"note {len(notes)} is not UTF-8") from error
        end = found.end()
        at = end + raw.startswith(b"\n", end)
    separated = at > end or not notes
    if end < len(raw) and not (separated and _TORN.fullmatch(raw, at) and _is_text(raw[at:])):
        raise CheckpointError(f"the file of checkpoints is damaged after byte {end}, in note {len(notes)}")
    return notes, end


def last_whole(end: bytes) -> str | None:
    """The last whole note in the end of a file, which may begin within a note; None if there is none."""
    found = _NOTE.findall(end)
    return found[-1].decode(errors="replace") if found else None


def _is_text(torn: bytes) -> bool:
    """Whether this can be the beginning of a note; a power cut can leave zeros at its end."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(torn.rstrip(b"\0"))
    except UnicodeDecodeError:
        return False
    return len(torn) <= _TORN_BYTES and not any(character < " " and character != "\n" for character in text)
