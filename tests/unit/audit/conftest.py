"""Each verifier in turn, and exports for it."""

import tempfile
from pathlib import Path
from typing import cast

import pytest

from .exports import BOTH, Check, Verifier, lossy, made


@pytest.fixture(params=BOTH)
def verify(request: pytest.FixtureRequest) -> Verifier:
    """What a verifier finds in a folder, by a key and by receipts, if they are given."""
    return cast("Verifier", request.param)


@pytest.fixture
def check(verify: Verifier, tmp_path: Path) -> Check:
    """What it finds in an export once that is written."""
    return lambda of, *given: verify(of.write(Path(tempfile.mkdtemp(dir=tmp_path)) / "e"), *given)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The good export, written."""
    return made().write(tmp_path / "e")


@pytest.fixture
def lossy_folder(tmp_path: Path) -> Path:
    """An export that lost two records and says so, written."""
    return lossy().write(tmp_path / "e")
