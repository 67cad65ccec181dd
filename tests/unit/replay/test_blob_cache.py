import pytest

from llmctx.errors import TemplateError
from llmctx.replay.blob_cache import BlobCache
from tests.unit.makers import template

BLOB, DIGEST = template().bundle, template().sha256


def test_a_template_is_compiled_once() -> None:
    blobs = BlobCache({DIGEST: BLOB})
    assert blobs.template(DIGEST) is blobs.template(DIGEST)


def test_a_blob_added_later_is_found() -> None:
    blobs = BlobCache()
    with pytest.raises(TemplateError, match="is missing"):
        blobs.template(DIGEST)
    blobs.add(DIGEST, BLOB)
    assert blobs.template(DIGEST).ref == template().ref
    assert dict(blobs) == {DIGEST: BLOB}


def test_a_changed_blob_is_not_compiled() -> None:
    with pytest.raises(TemplateError, match="was changed"):
        BlobCache({DIGEST: BLOB + b" "}).template(DIGEST)
