"""Paths: how facts are named, in prompts and in citations; one writer and one reader.

A path is the section's name and the way through its JSON: `price.price.last`, `sentiment.latest_news[0].headline`.
A segment with anything outside `[A-Za-z0-9_]` is a JSON string in brackets: `market.sector_performance["Real Estate"]`.
"""

import json
import re

from llmctx.harmless import harmless

HEAD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""How a path begins."""
MAX_PATH_CHARS = 200
"""A longer path cannot be cited, so its fact is left out."""
MAX_NAME_CHARS = 40
"""A field with a longer name is left out."""

_PLAIN_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_NAME_CHARS}}}\Z")
_NOT_IN_NAMES = re.compile(r"""["'`\\<>\[\]{}|]|: """)

_SEGMENT = re.compile(r"""\.([A-Za-z0-9_]+)|\[([0-9]{1,6})\]|\[("(?:[^"\\]|\\.)*+")\]|\['([^'\\"]*+)'\]""")
_QUOTED = re.compile(r"""\[("(?:[^"\\]|\\.)*+")\]""")


def child(path: str, name: str) -> str:
    """The path of the field `name` of the value at `path`."""
    if name.isascii() and name.replace("_", "a").isalnum():
        return f"{path}.{name}"
    return f"{path}[{json.dumps(name, ensure_ascii=not name.isprintable())}]"


def root(section: str) -> str:
    """The path of a section: `signals.entry`, `signals["my-type"]`."""
    head, _, rest = section.partition(".")
    return child(head, rest) if rest else head


def read(text: str, at: int, end: int) -> tuple[str, int] | None:
    """The path that begins at `at`, as `child` writes it, and where it ends; None if none begins there."""
    head = HEAD.match(text, at, end)
    if head is None:
        return None
    path, at = head[0], head.end()
    while (segment := _SEGMENT.match(text, at, end)) is not None:
        name, number, quoted, single = segment.groups()
        if number is not None:
            path += f"[{int(number)}]"
        elif quoted is not None:
            try:
                path = child(path, json.loads(quoted))
            except ValueError:
                break
        else:
            path = child(path, name or single or "")
        at = segment.end()
    return path, at


def is_plain(name: str) -> bool:
    """Whether a prompt shows a name without quotes."""
    return _PLAIN_NAME.match(name) is not None


def is_shown(name: str) -> bool:
    """Whether a prompt shows a name at all: at most 40 harmless characters, without quotes and brackets."""
    return is_plain(name) or (
        0 < len(name) <= MAX_NAME_CHARS and _NOT_IN_NAMES.search(name) is None and harmless(name) == name
    )


def dotted(path: str) -> str:
    """The path as the first templates write it: names with a hyphen follow a dot, too."""
    if '["' not in path:
        return path
    return _QUOTED.sub(lambda found: f".{name}" if is_plain(name := json.loads(found[1])) else found[0], path)
