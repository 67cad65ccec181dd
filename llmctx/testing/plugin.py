"""The pytest plugin: one test a recorded decision, with fixtures to render it, to answer it, and to decide it again.

Only pytest and the options are imported here, everything else when a test asks for it: a project which has llmctx
installed and tests no prompts pays nothing. A test that asks for none of the fixtures is left alone, whatever its
marks.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from llmctx.testing.options import add_options, check_options, folder_of, key_of

if TYPE_CHECKING:
    from llmctx.prompt.render import Prompt
    from llmctx.replay.corpus import Corpus, Recorded
    from llmctx.testing.bench import Bench, Decided
    from llmctx.testing.case import Case, Corpora
    from llmctx.testing.completers import Scripted

_T = TypeVar("_T")
_BENCH = pytest.StashKey["Bench"]()
_CORPORA = pytest.StashKey["Corpora"]()
_TOLD = pytest.StashKey[list[bytes]]()
_OUTPUT = "llmctx_summary"
_MARK = (
    "corpus(FILE, ..., selection=TERMS): one test for each decision of these corpus files, in the fixture `recorded`."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--llmctx-live and its companions."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """The marker; and options that make no sense are refused."""
    config.addinivalue_line("markers", _MARK)
    check_options(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each decision of the corpora of its marks; for each corpus where the decision is not asked for."""
    marks = list(metafunc.definition.iter_markers("corpus"))
    if not marks or "llmctx_case" not in metafunc.fixturenames:
        return
    cases = _corpora(metafunc.config).cases(marks, whole="recorded" not in metafunc.fixturenames)
    metafunc.parametrize("llmctx_case", cases, ids=[case.name for case in cases], indirect=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells what it counted."""
    bench = session.config.stash.get(_BENCH, None)
    if bench is not None and hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_OUTPUT] = bench.summary.plain()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker of pytest-xdist counted; of one that died xdist itself makes a failure."""
    plain = getattr(node, "workeroutput", {}).get(_OUTPUT)
    if plain is not None:
        node.config.stash.setdefault(_TOLD, []).append(plain)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What flipped against the recorded decisions, by prompt."""
    lines = _summary(config)
    if lines:
        terminalreporter.section("decisions against the recorded ones")
    for line in lines:
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the connections."""
    bench = config.stash.get(_BENCH, None)
    if bench is not None:
        bench.close()


def _summary(config: pytest.Config) -> list[str]:
    """What this process counted, and what workers told."""
    bench, told = config.stash.get(_BENCH, None), config.stash.get(_TOLD, [])
    if bench is None and not told:
        return []
    from llmctx.testing.summary import Summary  # noqa: PLC0415  see the top

    summary = Summary() if bench is None else bench.summary
    for plain in told:
        summary.add(plain)
    return summary.lines()


def _corpora(config: pytest.Config) -> "Corpora":
    from llmctx.testing.case import Corpora  # noqa: PLC0415  see the top

    return config.stash.setdefault(_CORPORA, Corpora(config.rootpath))


def _or_fail(place: object, work: Callable[[], _T], *, pytrace: bool = True) -> _T:
    """The work's result; an error of llmctx fails the test with its own words, at the line of the test."""
    from llmctx.errors import LlmctxError  # noqa: PLC0415  see the top

    __tracebackhide__ = True
    try:
        return work()
    except LlmctxError as error:
        problem = f"{error}\n  at: {place}"
    pytest.fail(problem, pytrace=pytrace)


@pytest.fixture(scope="session")
def llmctx_bench(pytestconfig: pytest.Config) -> "Bench":
    """What the other fixtures stand on: the folder with the prompts, who answers, and the summary."""
    from llmctx.llm.client import NO_KEY  # noqa: PLC0415  see the top
    from llmctx.testing.bench import Bench, Live  # noqa: PLC0415  the same

    url = pytestconfig.getoption("llmctx_live")
    live = None
    if url is not None:
        model, budget = pytestconfig.getoption("llmctx_model"), pytestconfig.getoption("llmctx_budget")
        live = Live(url, key_of(pytestconfig) or NO_KEY, model, budget, keep=pytestconfig.getoption("llmctx_record"))
    bench = _or_fail("--llmctx-live", lambda: Bench(folder_of(pytestconfig), live), pytrace=False)
    pytestconfig.stash[_BENCH] = bench
    return bench


@pytest.fixture
def llmctx_case(request: pytest.FixtureRequest) -> "Case":
    """What the test is about, by its mark."""
    case: Case | None = getattr(request, "param", None)
    if case is None:
        pytest.fail("The fixtures of llmctx need a corpus: write @pytest.mark.corpus(FILE) above it.", pytrace=False)
    if case.problem:
        pytest.fail(case.problem, pytrace=False)
    return case


@pytest.fixture
def recorded(llmctx_case: "Case") -> "Recorded":
    """One recorded decision of the corpus that the test's mark names."""
    if llmctx_case.entry is None:
        pytest.fail("Ask for `recorded` as a parameter: only then is there a test for each decision.", pytrace=False)
    return llmctx_case.entry


@pytest.fixture
def corpus(llmctx_case: "Case") -> "Corpus":
    """The corpus file that the test is about, as far as its mark selects it: `entries` and `blobs`."""
    return llmctx_case.corpus


@pytest.fixture
def render(llmctx_bench: "Bench", llmctx_case: "Case", recorded: "Recorded") -> Callable[..., "Prompt"]:
    """`render()` is the prompt as it was sent, `render("position/v2")` what that template makes of the same data."""

    def rendered(template: str | None = None) -> "Prompt":
        __tracebackhide__ = True
        return _or_fail(
            llmctx_case.place, lambda: llmctx_bench.prompt_of(recorded, llmctx_case.corpus, template)
        )  # fmt: skip

    return rendered


@pytest.fixture
def scripted() -> "type[Scripted]":
    """`scripted(ANSWER, ...)` is a completer that gives these answers in turn: texts, or mappings written as JSON."""
    from llmctx.testing.completers import Scripted  # noqa: PLC0415  see the top

    return Scripted


@pytest.fixture
def completer(llmctx_bench: "Bench", llmctx_case: "Case", pytestconfig: pytest.Config) -> Any:
    """Who answers: the recordings, or with --llmctx-live the endpoint. Asked for what is not recorded it fails."""
    path = llmctx_case.path
    whole = _corpora(pytestconfig).read(path)
    return _or_fail(path, lambda: llmctx_bench.completer_of(path, whole), pytrace=False)


@pytest.fixture
def decide(
    llmctx_bench: "Bench", llmctx_case: "Case", recorded: "Recorded", completer: Any
) -> Callable[..., "Decided"]:
    """`decide()` or `decide("position/v2")`: the decision again, and the verdict that the guardrails make of it.

    `completer=` names another one. What a model said counts in the flip matrix at the end, a script's answers do not.
    """

    def decided(template: str | None = None, *, completer: Any = completer) -> "Decided":
        __tracebackhide__ = True
        return _or_fail(
            llmctx_case.place, lambda: llmctx_bench.decide(recorded, llmctx_case.corpus, template, completer)
        )

    return decided
