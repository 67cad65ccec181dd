"""The blobs that records name by digest, kept as they are read, and the templates compiled from them."""

from collections.abc import Iterator, Mapping

from llmctx import canonical
from llmctx.errors import TemplateError
from llmctx.prompt.template import Template


class BlobCache(Mapping[str, bytes]):
    """Blobs by digest. It grows while records are read; each template in it is compiled once.

    A blob need not match its digest: `template` checks that, so that a changed blob is reported and never rendered.
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

    def template(self, digest: str) -> Template:
        """Return the template with a digest.

        Raises TemplateError if the blob is missing, does not match its digest, or is no template.
        """
        if digest not in self._templates:
            blob = self._blobs.get(digest)
            if blob is None:
                raise TemplateError(f"the blob {digest} is missing", "Restore the blob from a backup.")
            if (found := canonical.sha256(blob)) != digest:
                raise TemplateError(
                    f"the blob {digest} was changed: its digest is {found}", "Restore it from a backup."
                )
            self._templates[digest] = Template.from_bundle(blob)
        return self._templates[digest]
