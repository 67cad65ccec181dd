"""The user's project with the corpus of the demo."""

import shutil

import pytest

from .project import CORPUS, INI


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    shutil.copy(CORPUS, pytester.path / "demo.jsonl")
    pytester.makeini(INI)
    return pytester
