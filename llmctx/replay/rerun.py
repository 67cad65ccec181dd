"""Rebuild a recorded decision from its evidence: snapshot to package to prompt, byte for byte, then answer to verdict.

Nothing here asks a model or a server; templates come from the trail's blobs, never from files.
"""

from typing import NamedTuple

from llmctx import canonical
from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.errors import TemplateError
from llmctx.prompt.render import render
from llmctx.prompt.template import Template
from llmctx.record import CODE
from llmctx.trail.entry import Entry


class Rebuilt(NamedTuple):
    """How a record compares with what its evidence gives today."""

    same: bool
    """Whether the messages are the same, byte for byte."""
    cause: str = ""
    """What a difference comes from; empty where there is none."""
    tampered: bool = False
    """Whether a difference can only come from an altered record: the code is the same."""


class Templates:
    """Templates by digest, compiled once."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self._blobs = blobs
        self._compiled: dict[str, Template] = {}

    def get(self, digest: str) -> Template | str:
        """The template of a digest, or why it cannot be had."""
        if digest not in self._compiled:
            blob = self._blobs.get(digest)
            if blob is None:
                return f"the blob {digest} is missing"
            if canonical.sha256(blob) != digest:
                return f"the blob {digest} has the digest {canonical.sha256(blob)}"
            try:
                self._compiled[digest] = Template.from_bundle(blob)
            except TemplateError as error:
                return error.what
        return self._compiled[digest]


def rebuild_prompt(entry: Entry, templates: Templates) -> Rebuilt | None:
    """Whether the recorded messages come out of the recorded snapshot again; None for a record without a prompt."""
    said = entry.record.get("prompt")
    if said is None:
        return None
    template = templates.get(said["template_sha256"])
    if isinstance(template, str):
        return Rebuilt(same=False, cause=template, tampered=True)
    same_code = entry.record["code"] == CODE
    try:
        prompt = render(template, build_package(Snapshot.from_evidence(entry.pieces["snapshot"])))
    except (TemplateError, ValueError) as error:
        return _differs(f"it cannot be rendered again: {error}", tampered=same_code)
    if prompt.evidence != entry.pieces["messages"]:
        return _differs("the messages differ from those that were sent", tampered=same_code)
    return Rebuilt(same=True)


def _differs(what: str, *, tampered: bool) -> Rebuilt:
    if tampered:
        return Rebuilt(same=False, cause=what, tampered=True)
    return Rebuilt(same=False, cause=f"not reproducible here ({what}); it was recorded by another code version")
