"""A request to the owner of a partition, which finds it in its tick stream.

It is signed by an enrolled writer, because whoever can write to Redis could otherwise have records removed, or appended
under somebody's name.
"""

from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import TrailError
from llmctx.trail.proof.checkpoint import origin_of
from llmctx.trail.proof.roster import Roster
from llmctx.trail.proof.writer import KEY_ID_BYTES, Writer

REQUEST, PROOF = "request", "proof"
"""The fields of a request in the tick stream."""


class Request(NamedTuple):
    """What an enrolled writer asks an owner to do."""

    kind: str
    """What is asked for: archived, control, ..."""
    content: dict[str, Any]
    """The rest, as this kind has it."""
    id: str
    """The digest of the request, by which a repeated delivery is recognised."""


def sign_request(kind: str, content: dict[str, Any], writer: Writer, instance: str, partition: int) -> dict[str, bytes]:
    """Return the entry of a partition's tick stream that asks its owner."""
    raw = canonical.dumps({"kind": kind, "content": content})
    return {REQUEST: raw, PROOF: writer.sign(_text(origin_of(instance, partition), raw))}


def request_id(entry: dict[str, bytes]) -> str:
    """Return the id of a signed request."""
    return canonical.sha256(entry[REQUEST])


def open_request(raw: bytes, proof: bytes, roster: Roster) -> Request:
    """Return the request in an entry of the tick stream.

    Raises TrailError if no enrolled writer signed it, or it is malformed.
    """
    key = roster.keys.get(proof[:KEY_ID_BYTES])
    if key is None or not key.accepts(_text(roster.origin, raw), proof[KEY_ID_BYTES:]):
        raise TrailError("A request to the owner is not signed by an enrolled writer.", "See who may write.")
    try:
        document = canonical.loads(raw)
        return Request(str(document["kind"]), dict(document["content"]), canonical.sha256(raw))
    except (ValueError, KeyError, TypeError) as error:
        raise TrailError(f"A request to the owner is malformed: {error}", "Use one version of llmctx.") from error


def _text(origin: str, raw: bytes) -> str:
    """The text that a writer signs."""
    return f"llmctx-request/1\n{origin}\n{canonical.sha256(raw)}\n"
