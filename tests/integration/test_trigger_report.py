"""`llmctx trigger report` on recorded decisions, without a server."""

from pathlib import Path

import pytest

from tests.conftest import ROOT, free_port
from tests.integration.program import Program

NOWHERE = f"redis://127.0.0.1:{free_port()}/0"
CORPUS = str(ROOT / "audit" / "corpus" / "demo.jsonl")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(NOWHERE, tmp_path)


async def test_a_report_says_what_would_have_been_asked_and_missed(program: Program) -> None:
    ended = await program("trigger", "report", "--from", CORPUS, "--move-pct", "50", "--json")
    assert ended.code == 0
    report = ended.document
    assert report["policy"]["move_pct"] == "50"
    assert report["recorded"]["calls"] == 18
    assert report["asked"]["calls"] + len(report["missed"]) <= 18
    assert {missed["action"] for missed in report["missed"]}.isdisjoint({"hold", "none"})
    assert "of 11 recorded actions" in (await program("trigger", "report", "--from", CORPUS, "--changed")).out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((), "no trigger is set"), (("--move-pct", "-1"), "above 0"), (("--move-pct", "2000"), "--move-pct")],
)
async def test_settings_that_make_no_sense_are_refused(program: Program, arguments: tuple[str, ...], says: str) -> None:
    ended = await program("trigger", "report", "--from", CORPUS, *arguments)
    assert ended.code == 2
    assert says in ended.err
