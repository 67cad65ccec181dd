"""The blobs that records name by digest, kept as they are read, and the templates compiled from them."""

from collections.abc import Iterator, Mapping

from llmctx import canonical
from llmctx.errors import TemplateError
from llmctx.prompt.template import Template


class BlobCache(Mapping[str, bytes]):
    """Blobs by digest. It grows while records are read; each template in it is compiled once.

    Blobs are not checked when they are added, so that a changed one is reported with the record that uses it.
    """

    def __init__(self, blobs: Mapping[str, bytes] | None = None) -> None:
        self._blobs = dict(blobs or {})
        self._templates: dict[str, Template] = {}

    def __getitem__(self, digest: str) -> bytes:
        return self._blobs[digest]

    def __iter__(self) -> Iterator[str]:
        return iter(self._blobs)

    def __len__(self) -> int:
        return len(self._blobs)

    def add(self, digest: str, blob: bytes) -> None:
        """Keep a blob under the digest by which records name it."""
        self._blobs[digest] = blob

    def matches(self, digest: str) -> bool:
        """Return whether a blob is present and has its digest."""
        return digest in self._blobs and canonical.sha256(self._blobs[digest]) == digest

    def template(self, digest: str) -> Template:
        """Return the template with a digest.

        Raises TemplateError if the blob is missing, does not match its digest, or is no template.
        """
        if digest not in self._templates:
            if not self.matches(digest):
                state = "was changed" if digest in self._blobs else "is missing"
                raise TemplateError(f"the blob {digest} {state}", "Restore the blob from a backup.")
            self._templates[digest] = Template.from_bundle(self._blobs[digest])
        return self._templates[digest]
