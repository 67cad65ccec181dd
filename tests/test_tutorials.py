"""Each tutorial runs from its first line to its last, in an empty folder, as somebody would type it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import prefork

from .conftest import ROOT

TUTORIALS = {
    "join-your-system": ["AAPL", "hold", "verified"],
    "change-a-prompt": ["flips", "v9"],
    "answer-an-auditor": [
        "reduce",
        "verified",
        "breaks leaf-hash",
        "exit code 1: altered",
        "sold",
        "the evidence yields this verdict again",
        "saw stop",
    ],
}
"""Each tutorial, and words that its commands print."""

pytestmark = [pytest.mark.more, pytest.mark.timeout(900)]


def test_every_tutorial_is_run() -> None:
    assert {path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md")} == TUTORIALS.keys()


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs(name: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "tutorials" / f"{name}.md").read_text(encoding="utf-8")
    script = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    environment = {"PATH": f"{Path(prefork.INSTALLED).parent}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
    ended = subprocess.run(
        ["bash", "-e", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{script}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-1500:] + ended.stderr[-1500:]
    assert not [word for word in TUTORIALS[name] if word not in ended.stdout + ended.stderr]
