"""The mark: which records it selects, and how it fails."""

import pytest

from llmctx.replay.corpus import write_corpus

from .project import ALL, DECISIONS, MODULE, run, run_pytest, write_part


def names_of(result: pytest.RunResult) -> list[str]:
    """Return the ids of the cases that passed, from verbose output."""
    return [line.partition("[")[2].partition("]")[0] for line in result.outlines if "PASSED" in line]


def test_each_record_is_decided_with_its_own_file(project: pytest.Pytester) -> None:
    write_part(project.path / "a.jsonl", [1, 2])
    write_part(project.path / "b.jsonl", [74])
    body = """assert recorded in corpus.entries
    assert not decide().flipped"""
    result = run(project, body, "-v", asks="decide, recorded, corpus", mark='"a.jsonl", "b.jsonl"')
    result.assert_outcomes(passed=3)
    assert names_of(result) == ["a-0.1-HARP", "a-0.2-BOLT", "b-0.74-DUNE"]


def test_a_test_of_the_corpus_alone_runs_once_for_each_file(project: pytest.Pytester) -> None:
    write_part(project.path / "part.jsonl", [1, 2])
    body = "assert len(corpus.entries) in (2, 18) and corpus.blobs"
    result = run(project, body, "-v", asks="corpus", mark='"demo.jsonl", "part.jsonl"')
    result.assert_outcomes(passed=2)
    assert names_of(result) == ["demo", "part"]


def test_several_marks_give_each_record_once(project: pytest.Pytester) -> None:
    write_part(project.path / "a.jsonl", [1, 2])
    write_part(project.path / "b.jsonl", [74])
    module = MODULE.format(mark='"b.jsonl"', asks="recorded", body="pass")
    module = module.replace("import pytest\n", 'import pytest\npytestmark = pytest.mark.corpus("a.jsonl")\n')
    module = module.replace("@pytest", '@pytest.mark.corpus("a.jsonl", selection="1")\n@pytest', 1)
    project.makepyfile(test_prompts=module)
    result = run_pytest(project, "-v")
    result.assert_outcomes(passed=3)
    assert sorted(names_of(result)) == ["a-0.1-HARP", "a-0.2-BOLT", "b-0.74-DUNE"]


def test_a_class_and_its_function_both_count(project: pytest.Pytester) -> None:
    write_part(project.path / "a.jsonl", [1])
    write_part(project.path / "b.jsonl", [74])
    project.makepyfile(
        test_prompts='import pytest\n@pytest.mark.corpus("a.jsonl")\nclass TestIt:\n'
        '    @pytest.mark.corpus("b.jsonl")\n    def test_it(self, decide):\n        assert not decide().flipped\n'
    )
    run_pytest(project).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("action=reduce,limit=3", 3),
        ("symbol=HARP", sum(entry.record["symbol"] == "HARP" for entry in DECISIONS)),
        ("all", len(DECISIONS)),
    ],
)
def test_a_selection_works_as_on_the_command_line(project: pytest.Pytester, selection: str, expected: int) -> None:
    mark = f'"demo.jsonl", selection="{selection}"'
    result = run(project, f"assert len(corpus.entries) == {expected}", asks="corpus, recorded", mark=mark)
    result.assert_outcomes(passed=expected)


def test_a_marked_test_may_be_parametrized(project: pytest.Pytester) -> None:
    mark = '"demo.jsonl", selection="limit=2")\n@pytest.mark.parametrize("version", [1, 2]'
    result = run(project, "assert render(f'position/v{version}').version == version", asks="render, version", mark=mark)
    result.assert_outcomes(passed=4)


BAD_MARKS = {
    "": "@pytest.mark.corpus names no file.",
    "3": "@pytest.mark.corpus takes file names, not 3.",
    '"demo.jsonl", limit=3': "@pytest.mark.corpus does not take limit.",
    '"demo.jsonl", selection=3': "@pytest.mark.corpus takes the selection as text, not 3.",
    '"demo.jsonl", selection="symbol=NOBODY"': "the selection matches none of its 18 records.",
    '"demo.jsonl", selection="nonsense"': "*'nonsense'*",
    '"gone.jsonl"': "gone.jsonl cannot be read: *",
    '"empty.jsonl"': "empty.jsonl has no decision to test: it holds no records.",
}


@pytest.mark.parametrize("asks", ["recorded", "corpus"])
def test_a_mark_that_selects_nothing_fails_and_says_what_to_do(project: pytest.Pytester, asks: str) -> None:
    write_corpus(project.path / "empty.jsonl", [], {})
    tests = [
        MODULE.format(mark=mark, asks=asks, body="pass").replace("test_decision", f"test_{number}")
        for number, mark in enumerate(BAD_MARKS)
    ]
    project.makepyfile(test_prompts="\n".join(tests))
    result = run_pytest(project)
    result.assert_outcomes(errors=len(BAD_MARKS))
    result.stdout.fnmatch_lines([line for said in BAD_MARKS.values() for line in (f"*{said}", "*what to do: *")])
    result.stdout.no_fnmatch_line("*/llmctx/*.py*")


def test_a_bare_mark_fails_too(project: pytest.Pytester) -> None:
    project.makepyfile(test_prompts="import pytest\n@pytest.mark.corpus\ndef test_it(recorded):\n    pass\n")
    result = run_pytest(project)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*@pytest.mark.corpus names no file.*"])


def test_a_missing_file_does_not_stop_the_others_from_being_tested(project: pytest.Pytester) -> None:
    result = run(project, "decide()", mark='"demo.jsonl", "gone.jsonl"')
    result.assert_outcomes(passed=len(DECISIONS), errors=1)


def test_a_file_may_be_given_as_a_path(project: pytest.Pytester) -> None:
    mark = "__import__('pathlib').Path('demo.jsonl')"
    run(project, "pass", asks="recorded", mark=mark).assert_outcomes(passed=len(ALL.entries))
