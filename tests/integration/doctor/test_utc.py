"""The doctor tells whether this host's clock follows UTC."""

import asyncio
import getpass
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.ops.doctor.finding import Finding
from llmctx.ops.doctor.subject import Places, Subject
from llmctx.ops.doctor.utc import utc
from tests.conftest import free_port
from tests.integration.program import until


async def examined_clock(folder: Path) -> Finding:
    return await utc(Subject(Redis(), "", Places(folder, folder, folder, folder)))


def tracking(
    reference: str = "C0000201 (192.0.2.1)",
    offset: str = "0.000003161",
    dispersion: str = "0.002395",
    leap: str = "Normal",
) -> str:
    """What `chronyc -n tracking` of chrony 4.3 prints."""
    return (
        f"Reference ID    : {reference}\nStratum         : 3\nRef time (UTC)  : Sat Nov 28 19:54:36 2026\n"
        f"System time     : {offset} seconds slow of NTP time\nLast offset     : +0.000000059 seconds\n"
        "RMS offset      : 0.000002726 seconds\nFrequency       : 0.060 ppm fast\nResidual freq   : +0.001 ppm\n"
        "Skew            : 0.446 ppm\nRoot delay      : 0.020000000 seconds\n"
        f"Root dispersion : {dispersion} seconds\nUpdate interval : 1.0 seconds\nLeap status     : {leap}"
    )


@pytest.mark.parametrize(
    ("program_name", "says", "level", "what"),
    [
        ("chronyc", tracking(), "green", "at most 12.398 ms from UTC, says chrony"),
        ("chronyc", tracking(offset="2.5"), "red", "at most 2512.395 ms from UTC, says chrony"),
        ("chronyc", tracking(dispersion="0.3"), "amber", "at most 310.003 ms from UTC, says chrony"),
        ("chronyc", tracking("00000000 ()", leap="Not synchronised"), "red", "chrony is not synchronised"),
        ("chronyc", tracking("7F7F0101 ()"), "red", "chrony follows nothing but this host's own clock"),
        ("chronyc", tracking(offset="?"), "amber", "unknown: `chronyc tracking` names no offset"),
        ("chronyc", "506 Cannot talk to daemon", "amber", "unknown: neither chrony nor timedatectl says"),
        ("timedatectl", "yes", "green", "synchronised, says timedatectl"),
        ("timedatectl", "no", "red", "not synchronised, says timedatectl"),
        ("timedatectl", "", "amber", "unknown: neither chrony nor timedatectl says"),
    ],
)
async def test_a_clock_that_does_not_follow_utc_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program_name: str, says: str, level: str, what: str
) -> None:
    program = tmp_path / program_name
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {int(says.startswith('506'))}\n")
    program.chmod(0o700)
    (tmp_path / "cat").symlink_to("/bin/cat")
    monkeypatch.setenv("PATH", str(tmp_path))  # and no program of this machine
    found = await examined_clock(tmp_path)
    assert (found.level, found.what.startswith(what)) == (level, True), found


@asynccontextmanager
async def chronyd(folder: Path, name: str, *lines: str) -> AsyncIterator[Path]:
    """A daemon of this test that never touches the clock (-x); the socket that chronyc asks."""
    socket, config = folder / f"{name}.sock", folder / f"{name}.conf"
    config.write_text("\n".join([*lines, "cmdport 0", f"bindcmdaddress {socket}", f"pidfile {folder / name}.pid"]))
    process = await asyncio.create_subprocess_exec(
        "chronyd", "-x", "-n", "-U", "-u", getpass.getuser(), "-f", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )  # fmt: skip
    try:
        yield socket
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.more
async def test_a_real_chrony_is_understood_in_each_of_its_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where chrony is installed; what it printed there is what the test above has."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    if shutil.which("chronyd") is None:
        return

    async def says(socket: Path) -> str:
        asking = tmp_path / "chronyc"
        asking.write_text(f'#!/bin/sh\nexec /usr/bin/chronyc -h {socket} "$@"\n')
        asking.chmod(0o700)
        return (await examined_clock(tmp_path)).what

    port = free_port()
    server = f"server 127.0.0.1 port {port} iburst minpoll 0 maxpoll 1"
    serve = ["local stratum 8", f"port {port}", "bindaddress 127.0.0.1", "allow 127.0.0.1"]
    async with chronyd(tmp_path, "served", *serve) as own_clock, asyncio.timeout(50):
        await until(own_clock.exists)
        assert await says(own_clock) == "chrony follows nothing but this host's own clock"
        async with chronyd(tmp_path, "alone", f"server 127.0.0.1 port {free_port()}", "port 0") as alone:
            await until(alone.exists)
            assert await says(alone) == "chrony is not synchronised"
        async with chronyd(tmp_path, "follows", server, "port 0") as follows:
            await until(follows.exists)
            while not (told := await says(follows)).startswith("at most 0."):
                assert told == "chrony is not synchronised" or told.startswith("at most ")
                await asyncio.sleep(0.2)
        async with chronyd(tmp_path, "off", f"{server} offset 2.5", "port 0") as off:
            await until(off.exists)
            while not (told := await says(off)).startswith("at most 2500."):
                assert told == "chrony is not synchronised" or told.startswith("at most ")
                await asyncio.sleep(0.2)
    assert (await says(tmp_path / "nobody")).startswith("unknown: neither chrony nor timedatectl")
