"""A command that is stopped while it works ends at once, with exit code 130, and without a traceback."""

import subprocess
import sys

STOPPED = """
import asyncio, gc, os, signal, sys
from llmctx.cli.shared.long_running import end_on_sigterm
from llmctx.tasks import pause

async def part():
    os.kill(os.getpid(), signal.SIGTERM)

async def command():
    await asyncio.wait_for(part(), 60)  # as redis-py sends
    await pause(60)

signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell has it in the background
end_on_sigterm()
code = 0
try:
    asyncio.run(command())
except KeyboardInterrupt:
    code = 130
gc.collect()  # which is when asyncio tells of an exception that nobody took
sys.exit(code)
"""


def test_sigterm_in_a_task_of_a_command_ends_it_without_a_word() -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (130, "")
