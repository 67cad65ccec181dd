"""Trails that released versions wrote: every later version verifies, shows, replays, exports and continues them."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft7Validator
from redis.asyncio import Redis

from tests.conftest import ASSETS, ROOT
from tests.integration.conftest import hold, raise_tick
from tests.integration.program import Program, until

RELEASES = sorted(path.name for path in (ASSETS / "trails").iterdir() if (path / "trail.tar.xz").exists())
MAY_DIFFER = {"reasked", "grounding", "verdict"}
"""Parts that newer rules may make otherwise; all others must come out of every trail."""


class Trail(NamedTuple):
    """One release's trail, unpacked."""

    folder: Path
    """export/, state/, redis.aof, corpus.jsonl."""
    kept: Path
    """The release's folder: key.txt, receipt.json."""

    @property
    def key(self) -> str:
        return (self.kept / "key.txt").read_text(encoding="utf-8").strip()

    @property
    def export(self) -> str:
        return str(self.folder / "export")

    @property
    def leaves(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "export/0/leaves.jsonl").read_bytes().splitlines()]

    def commands(self) -> Iterator[list[bytes]]:
        """The commands that put the trail into a server."""
        rest = (self.folder / "redis.aof").read_bytes()
        while rest:
            head, _, rest = rest.partition(b"\r\n")
            words = []
            for _ in range(int(head[1:])):
                size, _, rest = rest.partition(b"\r\n")
                length = int(size[1:])
                words.append(rest[:length])
                rest = rest[length + 2 :]
            yield words


@pytest.fixture(scope="module", params=RELEASES)
def trail(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trail:
    """Unpacked once for the tests of this module: they read it, and change copies alone."""
    kept, folder = ASSETS / "trails" / request.param, tmp_path_factory.mktemp("trail")
    with tarfile.open(kept / "trail.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return Trail(folder, kept)


@pytest.fixture
async def loaded(trail: Trail, redis: Redis, on_each: Program) -> Program:
    """The program with the trail in a live server, and its anchor."""
    async with redis.pipeline(transaction=False) as pipeline:
        for words in trail.commands():
            pipeline.execute_command(*words)
        await pipeline.execute()
    shutil.copytree(trail.folder / "state", on_each.folder / "var", dirs_exist_ok=True)
    return on_each


def check_report(report: dict[str, Any]) -> None:
    """Nothing was altered, nothing is unknown, and what came out otherwise are matters of rules."""
    assert report["fault"] is None
    assert report["warnings"] == []
    assert report["reproduction"]["unknown"] == {}
    assert set(report["reproduction"]["differing"]) <= MAY_DIFFER
    assert report["rebuilt"] + report["not_reproducible"] > 0


def audit(folder: str, key: str) -> str:
    command = [sys.executable, str(ROOT / "audit/verify.py"), folder, "--key", key]
    return subprocess.check_output(command, text=True)


def test_every_kind_of_record_and_two_prompts_are_in_it(trail: Trail) -> None:
    leaves = trail.leaves
    assert {leaf["kind"] for leaf in leaves} >= {"decision", "skipped", "failed", "dead_letter", "notice", "incident"}
    assert {leaf["prompt"]["version"] for leaf in leaves if "prompt" in leaf} >= {1, 2}
    assert any("reasked" in leaf for leaf in leaves)
    assert any(leaf.get("incident", {}).get("what") == "lost" for leaf in leaves)
    assert {leaf["code"].split()[1] for leaf in leaves} == {trail.kept.name}


def test_its_records_obey_the_schema_of_today(trail: Trail) -> None:
    check = Draft7Validator(json.loads((ROOT / "audit/record.schema.json").read_bytes())).validate
    for leaf in trail.leaves:
        check(leaf)


async def test_its_export_verifies(trail: Trail, dumb: Program) -> None:
    ended = await dumb("verify", trail.export, "--key", trail.key, "--strict", "--json")
    assert ended.code == 0, ended.err
    check_report(ended.document)
    assert "intact, with losses" in audit(trail.export, trail.key)


async def test_its_receipt_and_its_corpus_hold(trail: Trail, dumb: Program) -> None:
    receipt = str(trail.kept / "receipt.json")
    assert (await dumb("verify", "--receipt", receipt, "--key", trail.key)).code == 0
    held = await dumb("verify", trail.export, "--key", trail.key, "--receipt-held", receipt)
    assert held.code == 0, held.out
    replayed = await dumb("replay", "--from", str(trail.folder / "corpus.jsonl"), "--strict", "--json")
    assert replayed.code == 0, replayed.err
    assert replayed.document["prompts_same"] == sum("prompt" in leaf for leaf in trail.leaves)


async def test_a_live_one_verifies_and_replays(loaded: Program, trail: Trail) -> None:
    verified, replayed = await loaded.all(f"verify --key {trail.key} --strict --json", "replay --strict --json")
    assert verified.code == 0, verified.out
    check_report(verified.document)
    assert replayed.code == 0, replayed.err
    assert replayed.document["prompts_same"] == sum("prompt" in leaf for leaf in trail.leaves)


async def test_every_kind_of_its_records_is_shown(loaded: Program, trail: Trail) -> None:
    with (trail.folder / "export/0/leaf-hashes").open() as hashes:
        size = len(hashes.readlines())
    listed = await loaded("decisions", "--limit", str(size), "--json")
    assert len(listed.lines) == len(trail.leaves)
    one_of_each = {(line["kind"], "reasked" in line, "incident" in line): line["index"] for line in listed.lines}
    assert len(one_of_each) >= 8
    shown = await loaded.all(*(f"show {index}" for index in one_of_each.values()))
    assert [ended.code for ended in shown] == [0] * len(shown), [ended.err for ended in shown]
    for (kind, *_), ended in zip(one_of_each, shown, strict=True):
        assert kind in ended.out
        assert trail.kept.name in ended.out


async def test_a_live_one_is_exported_for_both_verifiers(loaded: Program, trail: Trail, tmp_path: Path) -> None:
    made = await loaded("export", str(tmp_path / "made"))
    assert made.code == 0, made.err
    assert (tmp_path / "made/0/leaves.jsonl").read_bytes() == (trail.folder / "export/0/leaves.jsonl").read_bytes()
    verified = await loaded("verify", str(tmp_path / "made"), "--key", trail.key, "--strict", "--json")
    assert verified.code == 0
    check_report(verified.document)
    assert "intact, with losses" in audit(str(tmp_path / "made"), trail.key)


async def test_its_questions_are_asked_again(loaded: Program) -> None:
    same, other = await loaded.all(
        "replay action=reduce,limit=2 --mode again --json", "replay limit=2 --prompt position/v2 --json"
    )
    assert same.code == 0, same.err
    assert other.code == 0, other.err


async def test_this_version_continues_it(loaded: Program, redis: Redis, trail: Trail) -> None:
    await hold(redis, "AAPL")
    async with loaded.running(redis, "--no-notary") as process:
        await raise_tick(redis, "after:1", "AAPL")
        await until(lambda: redis.hexists("audit:{0}:ticks", "after:1"))
        await loaded.stop(process)
    verified = await loaded("verify", "--key", trail.key, "--strict", "--json")
    assert verified.code == 0, verified.out
    ticks = sum(1 + len(leaf.get("conflated", ())) for leaf in trail.leaves if "tick" in leaf)
    assert verified.document["ticks"] == ticks + 1
    newest = (await loaded("decisions", "--limit", "1", "--json")).lines[-1]
    assert newest["code"].split()[2].startswith("rules:")


def verify_by_other_rules(trail: Trail, folder: Path, *changes: tuple[str, str], strict: bool = False) -> Any:
    """What `llmctx verify` of a version with other sources says of the trail's export, and its exit code."""
    package = shutil.copytree(ROOT / "llmctx", folder / "llmctx")
    for before, after in changes:
        (path,) = [path for path in package.rglob("*.py") if before in path.read_text(encoding="utf-8")]
        path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    command = [sys.executable, "-c", "from llmctx.cli import main; main()", "verify", trail.export, "--json"]
    command += ["--key", trail.key, *(["--strict"] if strict else [])]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    ended = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=False)
    return json.loads(ended.stdout), ended.returncode


OTHER_RULE = ('"as the model decided"', '"as it was decided"')
FORGOTTEN = ('"0.1.0": (None,)', '"0.0.9": (None,)')


def test_a_part_that_newer_rules_make_otherwise_is_counted_and_under_strict_too_no_failure(
    trail: Trail, tmp_path: Path
) -> None:
    report, code = verify_by_other_rules(trail, tmp_path, OTHER_RULE, strict=True)
    assert (code, report["fault"]) == (0, None)
    assert report["not_reproducible"] > 20
    assert report["reproduction"]["known"] == {trail.leaves[0]["code"]: report["not_reproducible"]}
    assert report["reproduction"]["differing"]["verdict"] > 20
    assert report["reproduction"]["proven"]["prompt"] == report["not_reproducible"]
    assert report["reproduction"]["proven"]["decision"] == report["not_reproducible"]


@pytest.mark.parametrize(("strict", "expected"), [(False, 0), (True, 1)])
def test_unknown_rules_that_make_another_record_are_a_warning_and_under_strict_a_failure(
    trail: Trail, tmp_path: Path, strict: bool, expected: int
) -> None:
    report, code = verify_by_other_rules(trail, tmp_path, OTHER_RULE, FORGOTTEN, strict=strict)
    assert (code, report["fault"]) == (expected, None)
    (unknown,) = report["reproduction"]["unknown"].items()
    assert unknown == (trail.leaves[0]["code"], report["reproduction"]["differing"]["verdict"])
    assert any("this version does not know" in warning for warning in report["warnings"])


def test_unknown_rules_that_make_the_same_record_prove_it(trail: Trail, tmp_path: Path) -> None:
    report, code = verify_by_other_rules(trail, tmp_path, FORGOTTEN, strict=True)
    differing = report["reproduction"]["unknown"].values()
    assert report["rebuilt"] + sum(differing) == sum("prompt" in leaf for leaf in trail.leaves)
    assert code == bool(differing)
