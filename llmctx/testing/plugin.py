"""The pytest plugin: one test for each recorded decision, with fixtures to render, answer and decide it again.

Only pytest and the options are imported at the top. The rest is imported when a test requests it, so that installing
llmctx costs a project without prompt tests nothing. Tests that request none of the fixtures are left alone, whatever
their marks.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from llmctx.testing.options import add_options, check_options, folder_of, key_of

if TYPE_CHECKING:
    from llmctx.prompt.render import Prompt
    from llmctx.replay.corpus import Corpus, Recorded
    from llmctx.testing.bench import Bench, ReplayedDecision
    from llmctx.testing.completers import Scripted
    from llmctx.testing.corpus_case import CorpusCase, CorpusFiles

_T = TypeVar("_T")
_BENCH = pytest.StashKey["Bench"]()
_CORPUS_FILES = pytest.StashKey["CorpusFiles"]()
_FROM_WORKERS = pytest.StashKey[list[bytes]]()
_OUTPUT = "llmctx_summary"
_MARK = "corpus(FILE, ..., selection=TERMS): run the test for each decision of these files, in the fixture `recorded`."


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --llmctx-live and the related options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker and check the options."""
    config.addinivalue_line("markers", _MARK)
    check_options(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Generate one test for each decision of the marked corpora, or for each corpus if `recorded` is not requested."""
    marks = list(metafunc.definition.iter_markers("corpus"))
    if not marks or "llmctx_case" not in metafunc.fixturenames:
        return
    cases = _corpus_files(metafunc.config).cases(marks, whole="recorded" not in metafunc.fixturenames)
    metafunc.parametrize("llmctx_case", cases, ids=[case.name for case in cases], indirect=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what a pytest-xdist worker counted."""
    bench = session.config.stash.get(_BENCH, None)
    if bench is not None and hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_OUTPUT] = bench.summary.serialize()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Receive what a pytest-xdist worker counted; xdist itself reports a crashed one as a failure."""
    summary = getattr(node, "workeroutput", {}).get(_OUTPUT)
    if summary is not None:
        node.config.stash.setdefault(_FROM_WORKERS, []).append(summary)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the flip matrix of each prompt, counted by this process and its workers."""
    bench, from_workers = config.stash.get(_BENCH, None), config.stash.get(_FROM_WORKERS, [])
    if bench is None and not from_workers:
        return
    from llmctx.testing.flip_summary import FlipSummary  # noqa: PLC0415  see the top

    summary = FlipSummary() if bench is None else bench.summary
    for serialized in from_workers:
        summary.add(serialized)
    lines = summary.lines()
    if lines:
        terminalreporter.section("decisions compared with the recorded ones")
    for line in lines:
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the connections."""
    bench = config.stash.get(_BENCH, None)
    if bench is not None:
        bench.close()


def _corpus_files(config: pytest.Config) -> "CorpusFiles":
    from llmctx.testing.corpus_case import CorpusFiles  # noqa: PLC0415  see the top

    return config.stash.setdefault(_CORPUS_FILES, CorpusFiles(config.rootpath))


def _or_fail(place: object, work: Callable[[], _T], *, pytrace: bool = True) -> _T:
    """Return the work's result. An error of llmctx fails the test with its own message, at the line of the test."""
    from llmctx.errors import LlmctxError  # noqa: PLC0415  see the top

    __tracebackhide__ = True
    try:
        return work()
    except LlmctxError as error:
        problem = f"{error}\n  at: {place}"
    pytest.fail(problem, pytrace=pytrace)


@pytest.fixture(scope="session")
def llmctx_bench(pytestconfig: pytest.Config) -> "Bench":
    """What the other fixtures share: the prompts, who answers, and the summary."""
    from llmctx.llm.address import NO_KEY  # noqa: PLC0415  see the top
    from llmctx.testing.bench import Bench  # noqa: PLC0415  the same
    from llmctx.testing.completers import LiveEndpoint  # noqa: PLC0415  the same

    url = pytestconfig.getoption("llmctx_live")
    live = None
    if url is not None:
        live = LiveEndpoint(
            url=url,
            key=key_of(pytestconfig) or NO_KEY,
            model=pytestconfig.getoption("llmctx_model"),
            budget_tokens=pytestconfig.getoption("llmctx_budget"),
            keep=pytestconfig.getoption("llmctx_record"),
        )
    bench = _or_fail("--llmctx-live", partial(Bench, folder_of(pytestconfig), live), pytrace=False)
    pytestconfig.stash[_BENCH] = bench
    return bench


@pytest.fixture
def llmctx_case(request: pytest.FixtureRequest) -> "CorpusCase":
    """What the test is about, from its mark."""
    case: CorpusCase | None = getattr(request, "param", None)
    if case is None:
        pytest.fail(
            "The fixtures of llmctx need a corpus: write @pytest.mark.corpus(FILE) above the test.", pytrace=False
        )
    if case.problem:
        pytest.fail(case.problem, pytrace=False)
    return case


@pytest.fixture
def recorded(llmctx_case: "CorpusCase") -> "Recorded":
    """One recorded decision of the marked corpus."""
    if llmctx_case.entry is None:
        pytest.fail(
            "Request `recorded` as a parameter of the test: only then does it run for each decision.", pytrace=False
        )
    return llmctx_case.entry


@pytest.fixture
def corpus(llmctx_case: "CorpusCase") -> "Corpus":
    """The selected part of the marked corpus file: `entries` and `blobs`."""
    return llmctx_case.corpus


@pytest.fixture
def render(llmctx_bench: "Bench", llmctx_case: "CorpusCase", recorded: "Recorded") -> Callable[..., "Prompt"]:
    """`render()` returns the prompt as it was sent, `render("position/v2")` renders that template on the same data."""

    def rendered(template: str | None = None) -> "Prompt":
        __tracebackhide__ = True
        return _or_fail(llmctx_case.place, partial(llmctx_bench.prompt_of, recorded, llmctx_case.corpus, template))

    return rendered


@pytest.fixture
def scripted() -> "type[Scripted]":
    """`scripted(ANSWER, ...)` returns a completer that gives these answers in turn: text, or mappings sent as JSON."""
    from llmctx.testing.completers import Scripted  # noqa: PLC0415  see the top

    return Scripted


@pytest.fixture
def completer(llmctx_bench: "Bench", llmctx_case: "CorpusCase", pytestconfig: pytest.Config) -> Any:
    """The recordings, or the endpoint of --llmctx-live. A question without a recorded answer fails the test."""
    path = llmctx_case.path
    whole = _corpus_files(pytestconfig).read(path)
    return _or_fail(path, partial(llmctx_bench.completer_of, path, whole), pytrace=False)


@pytest.fixture
def decide(
    llmctx_bench: "Bench", llmctx_case: "CorpusCase", recorded: "Recorded", completer: Any
) -> Callable[..., "ReplayedDecision"]:
    """`decide()` or `decide("position/v2")` decides again and returns decision and guarded verdict.

    `completer=` replaces who answers. Answers of models count in the flip matrix at the end, scripted ones do not.
    """

    def decided(template: str | None = None, *, completer: Any = completer) -> "ReplayedDecision":
        __tracebackhide__ = True
        work = partial(llmctx_bench.decide, recorded, llmctx_case.corpus, template, completer)
        return _or_fail(llmctx_case.place, work)

    return decided
