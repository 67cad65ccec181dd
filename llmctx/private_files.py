"""Files and folders that only this user may read, whatever the umask and whatever the folder's parent allows."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DIRECTORY_MODE, FILE_MODE = 0o700, 0o600


def make_private_directory(directory: Path) -> None:
    """Make a folder and its missing parents for this user alone; those that exist keep their mode.

    Raises OSError if that fails.
    """
    missing = []
    for folder in (directory, *directory.parents):
        if folder.is_dir():
            break
        missing.append(folder)
    for folder in reversed(missing):
        try:
            folder.mkdir()
        except FileExistsError:  # another process was faster; a file in the way fails below
            continue
        folder.chmod(DIRECTORY_MODE)
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is not a folder")


def write_private(file: Path, text: str) -> None:
    """Write a file for this user alone; an older file of that name loses its mode.

    Raises OSError if that fails.
    """
    with open(file, "w", encoding="utf-8", opener=_open_private) as opened:
        os.fchmod(opened.fileno(), FILE_MODE)
        opened.write(text)


def append_private(file: Path, text: str) -> None:
    """Append to a file for this user alone, which is made if it is missing.

    Raises OSError if that fails.
    """
    with open(file, "a", encoding="utf-8", opener=_open_private) as opened:
        opened.write(text)


@contextmanager
def exclusive_lock(file: Path) -> Iterator[None]:
    """Keep other processes out while it is held. The file and its folder are made if they are missing.

    Raises BlockingIOError if another process holds it, OSError if the file cannot be used.
    """
    make_private_directory(file.parent)
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
