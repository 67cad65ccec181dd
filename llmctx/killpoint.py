"""Points at which a test may have the process killed: by their name, and not by luck.

Nobody arms one but a test that starts the program with its own first lines; unarmed, a point is one comparison.
"""

import os
import signal

_armed: list[tuple[str, int]] = []


def arm(name: str, times: int = 1) -> None:
    """Kill this process when the point is reached for the `times`-th time."""
    _armed[:] = [(name, times)]


def reached(name: str) -> None:
    """Say that the process is at a point."""
    if _armed and _armed[0][0] == name:
        times = _armed[0][1] - 1
        _armed[0] = (name, times)
        if times == 0:
            os.kill(os.getpid(), signal.SIGKILL)
