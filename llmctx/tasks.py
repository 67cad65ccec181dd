"""Tasks of a service: pausing between attempts, and ending for certain."""

import asyncio
from typing import Any


async def pause(seconds: float) -> None:
    """Sleep between two attempts; every loop that tolerates server failures must use this.

    Raises asyncio.CancelledError if the task was already cancelled: a client in the middle of a command may turn a
    cancellation into an error of its own, and a loop that tolerates that error would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await asyncio.sleep(seconds)


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks until each has ended; one that swallows a cancellation is cancelled again.

    Their results and errors are dropped.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=1)
        for task in ended:
            if not task.cancelled():
                task.exception()  # retrieved, or asyncio logs it
