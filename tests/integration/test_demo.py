"""The demo as somebody sees it: on a narrow terminal, in a folder whose name has a space."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from tests import prefork

_WIDTH = 60

pytestmark = pytest.mark.more


def on_terminal(folder: Path, width: int) -> tuple[int, str]:
    """Exit code and output of the demo on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [prefork.INSTALLED, "demo"], cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while more := os.read(ours, 65536):
            shown += more
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    return process.wait(60), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


@pytest.mark.timeout(900)
def test_the_demo_fits_a_narrow_terminal_and_leaves_an_environment_to_source(tmp_path: Path) -> None:
    folder = tmp_path / "my desk"
    folder.mkdir()
    code, shown = on_terminal(folder, _WIDTH)
    assert code == 0, shown[-2000:]
    screen = shown[: shown.index("session  ")].replace("\r", "\n").splitlines()
    assert len([line for line in screen if line.startswith("symbol")]) > 10
    assert max(len(line.rstrip()) for line in screen if re.match(r"symbol|[A-Z]{4}  ", line)) <= _WIDTH
    (listed,) = re.findall(r"^  (source .*?)\s*$", shown, re.MULTILINE)
    tried = subprocess.run(
        ["bash", "-c", f"{listed} && llmctx decisions --limit 3 --json"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (tried.returncode, len(tried.stdout.splitlines())) == (0, 3), tried.stderr
