"""What a replay must not do: write over what is no file of its own, or call an endpoint that is away a success."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from llmctx import canonical
from llmctx.llm.standin import MODEL, Standin
from llmctx.replay.corpus import Recorded, read_corpus, write_corpus
from llmctx.rules import code
from tests.conftest import ROOT, free_port
from tests.integration.program import Ended, Program

NOWHERE = f"redis://127.0.0.1:{free_port()}/0"
CORPUS = ("--from", "demo.jsonl")
DEAD = f"http://127.0.0.1:{free_port()}/v1"


@pytest.fixture
def program(standin: Standin, tmp_path: Path) -> Program:
    """The program, with a copy of the shipped corpus and no server."""
    (tmp_path / "demo.jsonl").write_bytes((ROOT / "audit" / "corpus" / "demo.jsonl").read_bytes())
    (tmp_path / "notes.md").write_text("# Notes\n", encoding="utf-8")
    made = Program(NOWHERE, tmp_path, standin.base_url)
    made.environment["LLMCTX_LLM__MAX_ATTEMPTS"] = "1"
    return made


def files_of(program: Program) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in program.folder.iterdir() if path.is_file()}


NOT_WRITTEN_OVER = {
    "replay --mode again --out demo.jsonl --fresh": "is also an input",
    "replay --mode again --out notes.md --fresh": "is not a results file",
    "replay --mode again --out page.html": "is not a results file",
    "replay --out r.jsonl": "is not a rebuild file",
    "replay --out demo.jsonl": "is also an input",
    "replay --mode again --batch demo.jsonl": "is also an input",
    "replay --mode again --batch r.jsonl": "is not a batch file",
    "compare recorded r.jsonl --html r.jsonl": "is also an input",
    "compare recorded r.jsonl --html notes.md": "is not a page",
}


async def test_no_file_of_another_kind_is_written_over(program: Program) -> None:
    made = ("replay", "limit=2", "--mode", "again", "--out", "r.jsonl", *CORPUS)
    assert (await program(*made)).code == 0
    assert (await program("compare", "r.jsonl", "--html", "page.html")).code == 0
    before = files_of(program)
    for arguments, says in NOT_WRITTEN_OVER.items():
        words = arguments.split()
        ended = await program(*words, *(CORPUS if words[0] == "replay" else ()))
        assert (ended.code, says in ended.err) == (2, True), f"{arguments}: {ended.err}"
        assert "--fresh" not in ended.err, arguments
        assert files_of(program) == before, arguments


async def test_files_of_the_same_kind_are_written_again(program: Program) -> None:
    for _ in range(2):
        for command in (
            ("replay", "--mode", "again", "--out", "r.jsonl", "--fresh", *CORPUS),
            ("replay", "--mode", "again", "--batch", "batch.jsonl", *CORPUS),
            ("replay", "--out", "rebuilt.jsonl", *CORPUS),
            ("compare", "r.jsonl", "--html", "page.html"),
        ):
            assert (await program(*command)).code == 0
    lines = (program.folder / "rebuilt.jsonl").read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0])["format"] == "llmctx-rebuild/1"
    assert len(lines) == 18 + 2
    assert "rebuilt.jsonl, one line for each record" in (await program("replay", "--out", "rebuilt.jsonl", *CORPUS)).out


async def test_an_endpoint_that_is_away_is_no_success_and_no_answer(program: Program) -> None:
    asked = ("replay", "limit=3", "--mode", "again", "--out", "r.jsonl", *CORPUS)
    ended = await program(*asked, "--endpoint", DEAD)
    assert ended.code == 3
    assert "asked      0 answered now" in ended.out
    assert "3 calls got no answer, the last one: connection" in ended.err
    assert "Check the endpoint" in ended.err
    assert "flip" not in ended.out
    compared = await program("compare", "r.jsonl")
    assert (compared.code, "No call got an answer" in compared.err) == (2, True)
    ended = await program(*asked, "--endpoint", DEAD, "--json")
    assert (ended.code, ended.document["asked"], ended.document["unanswered"]) == (3, 0, 3)
    assert ended.document["comparison"] is None


async def test_a_replay_that_cannot_ask_leaves_no_file(program: Program) -> None:
    for endpoint in ("nonsense", None):
        if endpoint is None:
            del program.environment["LLMCTX_LLM__BASE_URL"]
        options = ("--endpoint", endpoint) if endpoint else ()
        ended = await program("replay", "--mode", "again", "--out", "r.jsonl", *CORPUS, *options)
        assert ended.code == (2 if endpoint else 3)
        assert not (program.folder / "r.jsonl").exists()


async def test_another_endpoint_is_another_question(program: Program) -> None:
    asked = ("replay", "limit=1", "--mode", "again", "--out", "r.jsonl", *CORPUS)
    assert (await program(*asked)).code == 0
    ended = await program(*asked, "--endpoint", DEAD)
    assert (ended.code, "it differs in endpoint" in ended.err) == (2, True)


async def batch(program: Program, *selection: str) -> list[dict[str, Any]]:
    """The questions of a batch, as ids."""
    assert (await program("replay", *selection, "--mode", "again", "--batch", "in.jsonl", *CORPUS)).code == 0
    return [json.loads(line) for line in (program.folder / "in.jsonl").read_text(encoding="utf-8").splitlines()]


async def answers(program: Program, lines: list[dict[str, Any]], *more: str) -> Ended:
    (program.folder / "out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return await program("replay", "--mode", "again", "--out", "r.jsonl", *CORPUS, "--answers", "out.jsonl", *more)


async def test_a_batch_is_read_past_what_failed_in_it(program: Program) -> None:
    asked = await batch(program)
    refused = {"status_code": 400, "body": {"error": {"message": "too long"}}}
    lines = [{"custom_id": line["custom_id"], "response": refused} for line in asked]
    ended = await answers(program, lines)
    assert ended.code == 2
    assert "The batch's output has no answer, only 18 calls that failed" in ended.err
    async with Standin() as provider:
        _, body = await provider._respond("POST", "/v1/chat/completions", json.dumps(asked[-1]["body"]).encode())
    assert body is not None
    lines[-1]["response"] = {"status_code": 200, "body": json.loads(body)}
    ended = await answers(program, lines)
    assert ended.code == 0, ended.err
    assert "asked      1 answered now" in ended.out
    assert "17 calls failed in the batch, the last one: batch, http 400" in ended.out


async def test_a_batchs_output_that_answers_nothing_is_misuse(program: Program) -> None:
    asked = await batch(program, "limit=2")
    other = [{"custom_id": "another", "response": {"status_code": 200, "body": {}}}]
    ended = await answers(program, other)
    assert (ended.code, "answers none of these 18 questions" in ended.err) == (2, True)
    assert not (program.folder / "r.jsonl").exists()
    ended = await answers(program, asked)
    assert (ended.code, "is a request of the batch, not an answer" in ended.err) == (2, True)
    ended = await answers(program, other, "--batch", "in.jsonl")
    assert (ended.code, "Give one of them" in ended.err) == (2, True)


async def test_both_sides_are_grounded_where_the_record_was_made_without(program: Program) -> None:
    assert (await program("replay", "--prompt", "position/v2", "--out", "v2.jsonl", *CORPUS)).code == 0
    program.environment["COLUMNS"] = "80"
    ended = await program("compare", "recorded", "v2.jsonl")
    assert re.search(
        r"^answers supported +18 of 18 \(82% to 100%\) +18 of 18 \(82% to 100%\)$", ended.out, re.MULTILINE
    )
    assert re.search(r"^numbers cited +0 of (\d+) \(.*\) +\1 of \1 \(.*\)$", ended.out, re.MULTILINE)
    assert "Grounding was off when these were recorded" in ended.out
    assert "LLMCTX_PRICES" in ended.out


def forged(entry: Recorded) -> Recorded:
    """A record with another price in its snapshot, every digest made anew."""
    snapshot = re.sub(rb'(\\"last\\": ?)(\d)', rb"\g<1>9\2", entry.pieces["snapshot"], count=1)
    assert snapshot != entry.pieces["snapshot"]
    digest = {"snapshot": entry.record["snapshot"] | {"sha256": canonical.sha256(snapshot)}}
    record = entry.record | digest | {"code": code()}  # under other rules a difference proves nothing
    pieces = entry.pieces | {"snapshot": snapshot}
    return Recorded(canonical.dumps(record), pieces, index=entry.index, origin=entry.origin)


async def test_evidence_that_was_made_anew_is_told_in_every_mode(program: Program) -> None:
    corpus = read_corpus(program.folder / "demo.jsonl")
    write_corpus(program.folder / "forged.jsonl", [forged(corpus.entries[0]), corpus.entries[1]], corpus.blobs)
    for mode in ("--mode again", "--prompt position/v1", f"--model {MODEL}", "--mode again --batch b"):
        ended = await program("replay", *mode.split(), "--from", "forged.jsonl", "--json")
        assert ended.code == 1, mode
        assert "record 1 was altered, by its data" in ended.err, mode
        assert mode.endswith("b") or ended.document["altered"] == [1]


async def test_a_selection_without_a_record_writes_and_reports_nothing(program: Program) -> None:
    for command in (("replay",), ("replay", "--out", "x"), ("replay", "--mode", "again", "--out", "x")):
        ended = await program(*command, "--symbol", "ZZZ", *CORPUS)
        assert (ended.code, ended.out) == (2, "")
        assert "`llmctx decisions --from demo.jsonl` lists the records" in ended.err
    ended = await program("corpus", "add", "symbol=ZZZ", "sub/x", *CORPUS)
    assert (ended.code, "matches no record" in ended.err) == (2, True)
    assert {path.name for path in program.folder.iterdir()} == {"demo.jsonl", "notes.md"}


async def test_a_corpus_says_what_it_takes(program: Program) -> None:
    misused = {
        "corpus list": "`llmctx corpus list` takes one FILE, and got nothing",
        "corpus add all": "takes a SELECTION and a FILE, and got 1",
        "corpus burn": "`llmctx corpus` has no action 'burn'",
    }
    for says, ended in zip(misused.values(), await program.all(*misused), strict=True):
        assert (ended.code, says in ended.err) == (2, True), ended.err


async def test_a_difference_names_the_field_both_values_and_the_next_step(program: Program) -> None:
    corpus = read_corpus(program.folder / "demo.jsonl")
    first = corpus.entries[0]
    verdict = first.record["verdict"] | {"action": "exit"}
    leaf = canonical.dumps(first.record | {"verdict": verdict, "code": code()})
    altered = Recorded(leaf, first.pieces, index=first.index, origin=first.origin)
    write_corpus(program.folder / "forged.jsonl", [altered], corpus.blobs)
    ended = await program("replay", "--from", "forged.jsonl")
    assert ended.code == 1
    assert "by the data: verdict.action: the record has exit, its evidence yields hold" in ended.out
    assert "next       compare the file with the one in version control" in ended.out


async def test_a_setting_that_is_no_json_is_named_as_it_is_written(program: Program) -> None:
    program.environment["LLMCTX_PRICES"] = "{bad"
    ended = await program("replay", *CORPUS)
    assert (ended.code, "LLMCTX_PRICES cannot be read: Expecting property name" in ended.err) == (2, True)
    del program.environment["LLMCTX_PRICES"]
    ended = await program("replay")
    assert ended.code == 3
    assert re.search(r"No Redis answers at .*[^.]\.\n", ended.err)
