"""A primary, two replicas and three sentinels, all from the embedded binary."""

import asyncio
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

from llmctx.connection import connect
from llmctx.functions import execute
from tests.conftest import ROOT, answers, binary_of, free_port, start_server
from tests.integration.program import until

SERVICE = "trading"
DOWN_MS = 1000


class Group:
    """Three servers and three sentinels that watch them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._binary = binary_of("valkey")
        self._servers: dict[int, subprocess.Popen[bytes]] = {}
        self._sentinels: dict[int, subprocess.Popen[bytes]] = {}
        self.url = ""
        """The address with sentinels."""

    def start(self) -> None:
        first = self._start_server(None)
        for _ in range(2):
            self._start_server(first)
        for number in range(3):
            self._start_sentinel(first, number)
        places = ",".join(f"127.0.0.1:{port}" for port in self._sentinels)
        self.url = f"redis+sentinel://{places}/{SERVICE}/0"

    def _start_server(self, primary: int | None, port: int | None = None) -> int:
        at = port or free_port()
        folder = self._folder / str(at)
        folder.mkdir(exist_ok=True)
        config = folder / "redis.conf"
        shutil.copy(ROOT / "redis.conf", config)  # the sentinels let a server write down its new part there
        options = [] if primary is None else ["--replicaof", "127.0.0.1", str(primary)]
        options += ["--repl-diskless-sync-delay", "0"]
        self._servers[at], _ = start_server(self._binary, folder, *options, port=at, config=config)
        return at

    def _start_sentinel(self, primary: int, number: int) -> None:
        port = free_port()
        file = self._folder / f"sentinel{number}.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._folder}\nsentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_MS}\nsentinel failover-timeout {SERVICE} 4000\n"
        )
        command = [self._binary, str(file), "--sentinel"]
        self._sentinels[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not answers(port):
            time.sleep(0.02)

    async def until_watched(self) -> None:
        """Wait until every sentinel knows the other two and both replicas, and the replicas are in step."""
        for port in self._sentinels:
            await until(partial(self._knows_all, port))
        await until(self._in_step)

    async def _knows_all(self, port: int) -> bool:
        state = await asked(port, "SENTINEL", "MASTER", SERVICE)
        fields = dict(zip(state[::2], state[1::2], strict=True))
        return (fields[b"num-other-sentinels"], fields[b"num-slaves"], fields[b"flags"]) == (b"2", b"2", b"master")

    async def _in_step(self) -> bool:
        info = await asked(await self.primary(), "INFO", "replication")
        return [info.get(f"slave{number}", {}).get("state") for number in range(2)] == ["online", "online"]

    async def primary(self) -> int:
        """The port of the primary, as the sentinels say."""
        _, port = await asked(next(iter(self._sentinels)), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(port)

    async def kill_primary(self) -> int:
        """Kill the primary without warning; returns its port."""
        port = await self.primary()
        self._servers[port].kill()
        self._servers[port].wait(60)
        return port

    async def until_failed_over(self, dead: int) -> int:
        """Wait until another server is the primary; returns its port."""

        async def is_other() -> bool:
            return await self.primary() != dead

        await until(is_other)
        return await self.primary()

    async def revive(self, dead: int) -> None:
        """Start a killed server again, as a supervisor does; the sentinels make it a replica."""
        await asyncio.to_thread(self._start_server, await self.primary(), dead)

    async def cut_off_replicas(self) -> None:
        """From here on no replica receives the primary's writes."""
        port = await self.primary()
        await asked(port, "ACL", "SETUSER", "default", "-psync", "-sync", "-replconf")
        await asked(port, "CLIENT", "KILL", "TYPE", "replica")

    def stop(self) -> None:
        for process in [*self._sentinels.values(), *self._servers.values()]:
            process.kill()
            process.wait(60)


async def asked(port: int, *command: str) -> Any:
    """The reply of the server or sentinel at a port."""
    client = connect(f"redis://127.0.0.1:{port}/0")
    try:
        return await execute(client, *command)
    finally:
        await client.aclose()
