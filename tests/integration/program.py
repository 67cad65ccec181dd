"""The program, as the tests on real servers call it: a process of its own for each call."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis

from llmctx.llm.standin import MODEL
from llmctx.trail.log.lease import read_holder
from tests import call


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; it may be asked of a server. The test's own timeout ends a wait for ever."""
    while True:
        answer = holds()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        await asyncio.sleep(0.005)


class Ended(NamedTuple):
    """What a run of the program left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Its JSON Lines."""
        return [json.loads(line) for line in self.out.split("\n") if line]


class Program:
    """The program, with a server, a state directory and perhaps an endpoint."""

    def __init__(
        self,
        url: str,
        folder: Path,
        endpoint: str | None = None,
        *,
        command: tuple[str, ...] = (),
        patience_s: float = 120,
    ) -> None:
        """`command` starts a released program in place of this version's; `patience_s` is how long a run may take."""
        self._patience_s = patience_s
        self.folder = folder
        self._command = command
        self.environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(folder), "COLUMNS": "200", "NO_COLOR": "1",
            "LLMCTX_REDIS_URL": url, "LLMCTX_STATE_DIR": str(folder / "var"),
        }  # fmt: skip
        if endpoint is not None:
            self.environment |= {"LLMCTX_LLM__BASE_URL": endpoint, "LLMCTX_LLM__MODEL": MODEL}

    async def start(self, *arguments: str, piped: bool = False, before: str = "") -> asyncio.subprocess.Process:
        options: Any = {"cwd": self.folder, "env": self.environment}
        stdin = asyncio.subprocess.PIPE if piped else asyncio.subprocess.DEVNULL
        if not self._command:
            return await call.spawn(*arguments, before=before, stdin=stdin, **options)
        return await asyncio.create_subprocess_exec(
            *self._command, *arguments, **options,
            stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def __call__(self, *arguments: str) -> Ended:
        """What a command ends with; a traceback is never an end."""
        return await self.ended(await self.start(*arguments))

    async def all(self, *commands: str) -> list[Ended]:
        """What several commands end with that run beside each other."""
        return await asyncio.gather(*(self(*command.split()) for command in commands))

    async def ended(self, process: asyncio.subprocess.Process) -> Ended:
        out, err = await asyncio.wait_for(process.communicate(), self._patience_s)
        ended = Ended(process.returncode or 0, out.decode(), err.decode())
        assert "Traceback" not in ended.err, ended.err[-2000:]
        return ended

    @asynccontextmanager
    async def running(self, redis: Redis, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """`llmctx run`, holding its partition; killed where the test did not end it."""
        process = await self.start("run", *options)
        try:
            async with asyncio.timeout(120):
                await until(lambda: process.returncode is not None or read_holder(redis, 0))
            assert process.returncode is None
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    async def stop(self, process: asyncio.subprocess.Process) -> Ended:
        process.send_signal(signal.SIGTERM)
        return await self.ended(process)
