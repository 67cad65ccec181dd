"""The user's project with the corpus of the demo."""

import shutil
from collections.abc import Iterator

import pytest

from llmctx.llm.standin import Standin

from .project import CORPUS, INI, endpoint


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    shutil.copy(CORPUS, pytester.path / "demo.jsonl")
    pytester.makeini(INI)
    return pytester


@pytest.fixture
def standin() -> Iterator[Standin]:
    """The stand-in, beside tests that run no event loop."""
    with endpoint() as server:
        yield server
