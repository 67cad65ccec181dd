"""Locates the files shipped with llmctx: the default prompts and redis.conf."""

from pathlib import Path

_HERE = Path(__file__).parent


def asset(name: str) -> Path:
    """The path of a shipped file or folder, inside the installed package or at the top of a checkout."""
    installed = _HERE / "_assets" / name
    return installed if installed.exists() else _HERE.parent / name
