"""The file of a state directory's writer keys, line by line (see `roster`)."""

import os
import re
from pathlib import Path

from llmctx.errors import CheckpointError, KeyFileError
from llmctx.private_files import FILE_MODE, make_private_directory
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.key import disk_errors

GRANTED, RETIRED, ROTATED = "granted", "retired", "rotated"
_INDEX, _KEY_ID = re.compile("[0-9]{1,16}"), re.compile("[0-9a-f]{8}")


def roster_file(state_dir: Path, instance: str) -> Path:
    """The file of an instance's writer keys."""
    return state_dir / "keys" / f"{instance}.writers"


def read_lines(file: Path) -> list[list[str]]:
    """The words of each line; none without a file.

    Raises KeyFileError if the file cannot be read, or has a malformed line.
    """
    with disk_errors(file, "read"):
        raw = file.read_bytes() if file.exists() else b""
    text = raw[: raw.rfind(b"\n") + 1].decode(errors="replace")  # a kill can leave half a line
    found = [(number, line.split(" ")) for number, line in enumerate(text.split("\n"), start=1) if line]
    for number, words in found:
        if not _is_well_formed(words):
            raise KeyFileError(
                f"Line {number} of {file} is malformed, so nobody can tell whose records are genuine.",
                "Restore the file from a backup of the state directory.",
            )
    return [words for _, words in found]


def _is_well_formed(words: list[str]) -> bool:
    key = words[1:2] if words[0] == GRANTED else words[2:3]
    try:
        if words[3:] == [RETIRED]:
            return all(map(_INDEX.fullmatch, words[:2])) and _KEY_ID.fullmatch(words[2]) is not None
        Key.read(key[0])
    except (CheckpointError, IndexError):
        return False
    if words[0] == GRANTED:
        return len(words) == 3 or (len(words) == 4 and _KEY_ID.fullmatch(words[3]) is not None)  # noqa: PLR2004
    return all(map(_INDEX.fullmatch, words[:2])) and words[3:] in ([], [ROTATED])


def append_line(file: Path, line: str) -> None:
    """Append a line, durably.

    Raises KeyFileError if it cannot be written.
    """
    with disk_errors(file, "written"):
        make_private_directory(file.parent)
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        try:
            # A line that a kill left unfinished must not swallow this one.
            torn = not file.read_bytes().endswith(b"\n") and os.fstat(opened).st_size
            os.write(opened, f"{chr(10) if torn else ''}{line}\n".encode())
            os.fsync(opened)
        finally:
            os.close(opened)


def enrolled_lines(state_dir: Path, instance: str) -> list[str]:
    """The lines about keys that records have enrolled.

    Raises KeyFileError if the file cannot be read.
    """
    return [" ".join(line) for line in read_lines(roster_file(state_dir, instance)) if line[0] != GRANTED]


def older_keys(state_dir: Path, instance: str) -> list[Key]:
    """The instance keys that records have replaced.

    Raises KeyFileError if the file cannot be read.
    """
    lines = read_lines(roster_file(state_dir, instance))
    return list(dict.fromkeys(Key.read(line[2]) for line in lines if line[3:] == [ROTATED]))
