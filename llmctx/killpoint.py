"""Kill points: named places at which a test can kill the process exactly.

Only a test arms one, in a process that it starts itself. An unarmed kill point costs one comparison.
"""

import os
import signal

_armed: list[tuple[str, int]] = []


def arm(name: str, times: int = 1) -> None:
    """Kill this process when the named point is reached for the `times`-th time."""
    _armed[:] = [(name, times)]


def reached(name: str) -> None:
    """Mark that the process has reached a point; kills it if the point is armed."""
    if _armed and _armed[0][0] == name:
        times = _armed[0][1] - 1
        _armed[0] = (name, times)
        if times == 0:
            os.kill(os.getpid(), signal.SIGKILL)
