"""The unit files and the compose file of docs/operations: they are well-formed, and what they start does start."""

import asyncio
import configparser
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from llmctx.connection import connect
from llmctx.functions import execute
from llmctx.llm.standin import Standin
from llmctx.ops.acl.users import users_for
from llmctx.trail.log.lease import read_holder
from tests import prefork
from tests.conftest import ROOT, binary_of, start_server
from tests.integration.program import Program, until
from tests.test_docs import COMMANDS, help_of

FOLDER = ROOT / "docs" / "operations"
UNITS = sorted((FOLDER / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
PROGRAM = "/opt/llmctx/bin/llmctx"


def unit(file: Path) -> configparser.ConfigParser:
    """A unit file; a key that may stand in it several times has its last value."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(file.read_text(encoding="utf-8"))
    return parser


def words_of(file: Path) -> list[str]:
    """What follows the program in a service's ExecStart."""
    program, *words = shlex.split(unit(file)["Service"]["ExecStart"])
    assert program == PROGRAM
    return words


def check_call(words: list[str]) -> None:
    command, *rest = words
    assert command in COMMANDS
    options = [word for word in rest if word.startswith("--")]
    assert not [option for option in options if option not in help_of(command)]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yml").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.name)
def test_a_service_calls_the_program_as_it_is(file: Path) -> None:
    check_call(words_of(file))


def test_each_timer_has_its_service() -> None:
    timers = [file for file in UNITS if file.suffix == ".timer"]
    assert timers
    assert {file.with_suffix(".service") for file in timers} < set(SERVICES)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Where systemd is installed, it reads them too; the program and its user stand in for those of the machine."""
    for file in UNITS:
        text = file.read_text(encoding="utf-8")
        assert {"Unit", "Service", "Timer", "Install"} >= set(unit(file).sections())
        text = text.replace(PROGRAM, sys.executable).replace("User=llmctx\n", "User=daemon\n")
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    if analyze := shutil.which("systemd-analyze"):
        files = [str(tmp_path / file.name) for file in UNITS]
        done = subprocess.run([analyze, "verify", "--man=no", *files], capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or line.startswith("llmctx")]
        assert said == []


async def test_the_workers_unit_serves_and_ends_cleanly(
    valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    assert await valkey.dbsize() == 0
    program = Program(valkey_url, tmp_path, standin.base_url)
    process = await program.start(*words_of(FOLDER / "systemd" / "llmctx.service"))
    await until(lambda: process.returncode is not None or read_holder(valkey, 0))
    assert (await program.stop(process)).code == 0


def calls_in(compose: dict[str, Any]) -> Iterator[list[str]]:
    for service in compose["services"].values():
        for found in re.findall(r"llmctx [^;]+", " ".join(service["command"])):
            yield shlex.split(found)[1:]


def test_the_compose_file_calls_the_program_as_it_is(compose: dict[str, Any]) -> None:
    calls = list(calls_in(compose))
    assert [words[0] for words in calls] == ["run", "backup"]
    for words in calls:
        check_call(words)


def test_the_compose_file_publishes_no_port_and_names_only_volumes_it_has(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert "ports" not in service
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or source in ("../../redis.conf", "./users.acl")


def test_the_image_has_what_a_backup_needs_and_no_secret(compose: dict[str, Any]) -> None:
    build = compose["x-llmctx"]["build"]["dockerfile_inline"]
    assert "redis-tools" in build  # the server's files belong to another user of another container
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    files = {compose["services"][name]["env_file"] for name in ("worker", "backup")} | {"users.acl", "users.toml"}
    for file in files:
        assert any(fnmatch(f"docs/operations/{file}", pattern) for pattern in ignored), file


def test_the_server_of_the_compose_file_starts_with_its_users(compose: dict[str, Any], tmp_path: Path) -> None:
    acl = tmp_path / "users.acl"
    acl.write_text("".join(f"{user.line}\n" for user in users_for(0)), encoding="utf-8")
    _, config, *options = compose["services"]["redis"]["command"]
    assert config == "/etc/redis.conf"
    inside = {"/data": str(tmp_path), "/etc/users.acl": str(acl), "0.0.0.0": "127.0.0.1"}
    process, _ = start_server(binary_of("valkey"), tmp_path, *(inside.get(option, option) for option in options))
    process.terminate()
    assert process.wait(60) == 0


async def test_the_acl_file_that_the_page_makes_lets_no_stranger_in(tmp_path: Path) -> None:
    page = (FOLDER / "access.md").read_text(encoding="utf-8")
    block = next(found for found in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "users.acl" in found)
    (tmp_path / "users.toml").write_text('[desk]\nroles = ["raiser"]\npassword = "pw"\n', encoding="utf-8")
    (tmp_path / "users.toml").chmod(0o600)
    path = f"{prefork.INSTALLED.parent}:/usr/bin:/bin"
    environment = {"PATH": path, "PYTHONPATH": str(ROOT), "ADMIN_PASSWORD": "secret"}
    acl = tmp_path / "users.acl"
    acl.touch()
    process, port = start_server(binary_of("valkey"), tmp_path, "--aclfile", str(acl))
    await asyncio.to_thread(subprocess.run, ["bash", "-euc", block], cwd=tmp_path, env=environment, check=True)
    stranger, admin = (connect(f"redis://{user}127.0.0.1:{port}/0") for user in ("", "admin:secret@"))
    await execute(stranger, "ACL", "LOAD")
    await stranger.connection_pool.disconnect()
    for _ in range(2):
        with pytest.raises(AuthenticationError):
            await stranger.info()
        await execute(admin, "CONFIG", "SET", "maxmemory", "1gb")
        await execute(admin, "ACL", "LOAD")
    await stranger.aclose()
    await admin.aclose()
    process.kill()
    process.wait(60)
