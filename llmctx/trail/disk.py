"""Durable writes: synced folders, and writes in a thread that finish even if the task is cancelled."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from llmctx.private_files import make_private_directory


def sync_directory(directory: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_directory(directory: Path) -> None:
    """Make a partition's folder for this user alone if it is missing, and wait until it is on the disk."""
    if not directory.is_dir():
        make_private_directory(directory)
        for folder in list(directory.parents)[:3]:
            sync_directory(folder)


async def write_in_thread(write: Callable[..., None], *arguments: object) -> None:
    """Write in a thread; if cancelled, however often, finish the write first: the file may be closed after that."""
    writing = asyncio.ensure_future(asyncio.to_thread(write, *arguments))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        while not writing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([writing])
        raise
