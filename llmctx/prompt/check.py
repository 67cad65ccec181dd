"""Check a template before it is used: a separate process compiles it and renders a sample, within limits.

A template can take any time and memory: nested loops, powers, padding, and constants are evaluated when it is compiled.
A verdict is kept by the digest of the sources, so it is reached once; shipped templates need none.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from llmctx.errors import TemplateError, in_short
from llmctx.private_files import append_private
from llmctx.prompt.trial import MAX_CPU_S, MAX_MEMORY_MB, MEMORY, OUTPUT
from llmctx.schema.keys import SIGNAL_TYPES, section_keys
from llmctx.version import VERSION

SHIPPED = frozenset(
    {
        "a0fb5f742df0394df6793891ff8606cafbc918effd6f9adec51106305d122d89",  # position/v1
        "6bb87f5a2f5c55bba3fa9cc46dec61e9f14fceaf8ae6f369e4ff1e81e15d5c01",  # position/v2
        "32955ffdeef1d1e56f77df996fac3035052fb0f0dd81a8ebf76acc538e023782",  # position/v3
        "cbc17414488c027f68d6d47379985aca6a8f471e4ad9f71e261eb3d675c0850f",  # position/v4
        "2c16fb76a92550f00a3df92e625b5f0bd78c2c92e131090566e04a7e7c316ce6",  # perp/v1
        "03f74e60bdec910c580d404ffee7ad6b3661bc1c36d09757e4785e39e4de1121",  # small/v1
    }
)
"""The digests of the templates in prompts/, which the tests check."""

_MAX_WAIT_S = 60
_PROCESS = (
    "import json, sys; job = json.load(sys.stdin); sys.path[:] = job['path']; "
    "from llmctx.prompt.trial import run; run(job)"
)
_passed: set[str] = set()


def check(ref: str, sources: dict[str, str], sha256: str, state_dir: Path | None = None) -> None:
    """Check a template that has this digest, unless this process or this state directory has done so before.

    Raises TemplateError if it takes too much time or memory, or writes too much. Other errors are left to its user.
    """
    if sha256 in SHIPPED or sha256 in _passed:
        return
    verdict, kept = f"{VERSION} {sha256}\n", None if state_dir is None else state_dir / "checked-templates"
    if kept is None or not _is_kept(kept, verdict):
        exceeded = _try(ref, sources)
        if exceeded is not None:
            raise TemplateError(
                f"The template {ref} {exceeded}.", "Correct the template, or set another with --prompt NAME."
            )
        if kept is not None and kept.parent.is_dir():
            append_private(kept, verdict)
    _passed.add(sha256)


def _is_kept(kept: Path, verdict: str) -> bool:
    try:
        return verdict in kept.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _try(ref: str, sources: dict[str, str]) -> str | None:
    """Try the template in a separate process and return what it exceeds; None if it stays within the limits."""
    job: dict[str, Any] = {
        "path": sys.path,
        "ref": ref,
        "sources": sources,
        "keys": dict(section_keys("AAPL", SIGNAL_TYPES, 0)),
    }
    try:
        ended = subprocess.run(  # noqa: S603  this interpreter, and a constant program
            [sys.executable, "-I", "-c", _PROCESS],
            input=json.dumps(job),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_MAX_WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"does not render within {_MAX_WAIT_S} s"
    except OSError as error:
        return f"cannot be checked: {in_short(error)}"
    code = ended.returncode
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"takes more than {MAX_CPU_S} s of CPU time to compile and render"
    if code == MEMORY:
        return f"takes more than {MAX_MEMORY_MB} MB of memory to compile and render"
    if code == OUTPUT:
        return ended.stdout.strip()
    if code != 0:
        last = ended.stderr.strip().rpartition("\n")[2]
        return f"cannot be checked: its process ended with {code} {last}".rstrip()
    return None
