"""Indices as stored in Redis: decimal text that others may have written too."""

import re


def index_of(text: bytes) -> int:
    """The index written in canonical decimal form; -1 for anything else."""
    return int(text) if re.fullmatch(rb"0|[1-9][0-9]{0,15}", text) else -1
