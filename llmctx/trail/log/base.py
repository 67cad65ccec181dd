"""The base of a log: how much of it was archived and trimmed from Redis, and from where it continues.

`audit:{p}:base` is a hash. Whoever can write to Redis can write it, so it carries its proof: the signed checkpoint over
exactly what was trimmed, the subtrees of that tree, and the enrolments that the instance key has signed. A notice in
the log says the same, with the archive's digest (audit/README.md states the rules).
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from llmctx.trail.log.index import index_of


class Base(NamedTuple):
    """What was trimmed from a log; all records below `size` were archived first."""

    size: int = 0
    """The index at which the log begins; 0 if nothing was trimmed."""
    note: str = ""
    """The signed checkpoint over all records below `size`."""
    subtrees: tuple[bytes, ...] = ()
    """The full subtrees of its tree, the largest first."""
    writers: tuple[dict[str, Any], ...] = ()
    """What records below `size` say about keys: each as {"index": ..., "enrolment": ...}, or with "rotation"."""
    where: str = ""
    """The archive that holds the newest of those records."""
    manifest: str = ""
    """The digest of its manifest."""
    notice: int = -1
    """The index of the notice that announces it; -1 if there is none yet."""

    @classmethod
    def read(cls, fields: Mapping[bytes, bytes]) -> "Base":
        """Parse the fields of the hash; without any, nothing was trimmed.

        Raises ValueError if they are malformed.
        """
        if not fields:
            return cls()
        try:
            size = index_of(fields[b"size"])
            found = cls(
                size=size,
                note=fields[b"note"].decode(),
                subtrees=tuple(bytes.fromhex(each) for each in fields[b"subtrees"].decode().split()),
                writers=tuple(json.loads(fields[b"writers"])),
                where=fields[b"where"].decode(),
                manifest=fields[b"manifest"].decode(),
                notice=index_of(fields[b"notice"]),
            )
            if size <= 0 or not all(type(each["index"]) is int for each in found.writers):
                raise ValueError("a size from 1 on, and writers")
        except (KeyError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return found

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the hash."""
        return {
            "size": str(self.size),
            "note": self.note,
            "subtrees": " ".join(each.hex() for each in self.subtrees),
            "writers": json.dumps(self.writers, separators=(",", ":"), sort_keys=True),
            "where": self.where,
            "manifest": self.manifest,
            "notice": str(self.notice),
        }
