"""The pytest plugin: one test a recorded decision, with fixtures to render it, to answer it, and to decide it again.

Only pytest is imported here; everything else when a test asks for it, so that a project which has llmctx installed and
tests no prompts pays nothing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from llmctx.prompt.render import Prompt
    from llmctx.replay.corpus import Corpus, Recorded
    from llmctx.testing.bench import Bench, Decided
    from llmctx.testing.completers import Scripted

_BENCH = pytest.StashKey["Bench"]()
_CORPORA = pytest.StashKey[dict[Path, "Corpus"]]()
_MARK = "corpus(FILE, ...): one test for each decision of these corpus files, in the fixture `recorded`."


def pytest_addoption(parser: pytest.Parser) -> None:
    """--llmctx-live and its companions."""
    group = parser.getgroup("llmctx", "prompts on recorded decisions")
    group.addoption("--llmctx-live", metavar="URL", help="Ask this OpenAI-compatible endpoint, not the recordings.")
    group.addoption("--llmctx-model", metavar="NAME", help="The model to ask; needed with --llmctx-live.")
    group.addoption("--llmctx-key-file", type=Path, metavar="FILE", help="A file with the endpoint's API key.")
    group.addoption(
        "--llmctx-budget", type=int, default=200_000, metavar="TOKENS",
        help="Tokens that all live calls together may take, read and written; %(default)s otherwise.",
    )  # fmt: skip
    group.addoption("--llmctx-record", action="store_true", help="Keep what the endpoint said, beside the corpus file.")
    group.addoption("--llmctx-prompts", type=Path, metavar="DIR", help="The folder with the prompts.")
    parser.addini("llmctx_prompts", "The folder with the prompts; those that ship with llmctx otherwise.", type="paths")


def pytest_configure(config: pytest.Config) -> None:
    """The marker; and options that make no sense alone."""
    config.addinivalue_line("markers", _MARK)
    if config.getoption("llmctx_record") and not config.getoption("llmctx_live"):
        raise pytest.UsageError("--llmctx-record keeps what --llmctx-live URL was answered; name the endpoint")
    if config.getoption("llmctx_live") and not config.getoption("llmctx_model"):
        raise pytest.UsageError("--llmctx-live needs a model: --llmctx-model NAME")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each decision of the corpora of its mark."""
    mark = metafunc.definition.get_closest_marker("corpus")
    if mark is None:
        return
    if "recorded" not in metafunc.fixturenames:
        raise pytest.UsageError(f"{metafunc.definition.nodeid} has a corpus, and asks for none of its fixtures")
    cases, names = [], []
    for file in mark.args:
        path = metafunc.config.rootpath / file
        for entry in _read(metafunc.config, path).entries:
            if "prompt" in entry.record:
                cases.append((path, entry))
                names.append(f"{path.stem}-{entry.partition}.{entry.index}-{entry.record.get('symbol')}")
    metafunc.parametrize("recorded", cases, ids=names, indirect=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What flipped against the recorded decisions, by prompt."""
    bench = config.stash.get(_BENCH, None)
    if bench is not None and bench.tally:
        terminalreporter.section("decisions against the recorded ones")
        for line in bench.summary():
            terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the connections."""
    bench = config.stash.get(_BENCH, None)
    if bench is not None:
        bench.close()


def _read(config: pytest.Config, path: Path) -> "Corpus":
    from llmctx.errors import CorpusError  # noqa: PLC0415  see the top
    from llmctx.replay.corpus import read_corpus  # noqa: PLC0415  the same

    corpora = config.stash.setdefault(_CORPORA, {})
    if path not in corpora:
        try:
            corpora[path] = read_corpus(path)
        except CorpusError as error:
            raise pytest.UsageError(f"{error.what} {error.do}") from error
    return corpora[path]


@pytest.fixture(scope="session")
def llmctx_bench(pytestconfig: pytest.Config) -> "Bench":
    """What the other fixtures stand on: the folder with the prompts, who answers, and the tally."""
    from llmctx.testing.bench import Bench, Live  # noqa: PLC0415  see the top

    folders = pytestconfig.getini("llmctx_prompts")
    folder = pytestconfig.getoption("llmctx_prompts") or (folders[0] if folders else None)
    url, key_file = pytestconfig.getoption("llmctx_live"), pytestconfig.getoption("llmctx_key_file")
    live = None
    if url is not None:
        key = "none" if key_file is None else key_file.read_text(encoding="utf-8").strip()
        model, budget = pytestconfig.getoption("llmctx_model"), pytestconfig.getoption("llmctx_budget")
        live = Live(url, key, model, budget, keep=pytestconfig.getoption("llmctx_record"))
    bench = Bench(folder, live)
    pytestconfig.stash[_BENCH] = bench
    return bench


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> "Recorded":
    """One recorded decision of the corpus that the test's mark names."""
    if not hasattr(request, "param"):
        raise pytest.UsageError("recorded is given by @pytest.mark.corpus(FILE)")
    entry: Recorded = request.param[1]
    return entry


@pytest.fixture
def corpus(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> "Corpus":
    """The corpus that the test's mark names first: its entries and blobs."""
    mark = request.node.get_closest_marker("corpus")
    if mark is None or not mark.args:
        raise pytest.UsageError("corpus needs @pytest.mark.corpus(FILE)")
    return _read(pytestconfig, pytestconfig.rootpath / mark.args[0])


@pytest.fixture
def render(llmctx_bench: "Bench", recorded: "Recorded", corpus: "Corpus") -> Callable[..., "Prompt"]:
    """`render()` is the prompt as it was sent, `render("position/v2")` what that template makes of the same data."""

    def rendered(template: str | None = None) -> "Prompt":
        return llmctx_bench.prompt_of(recorded, corpus, template)

    return rendered


@pytest.fixture
def scripted() -> "type[Scripted]":
    """`scripted(ANSWER, ...)` is a completer that gives these answers in turn: texts, or mappings written as JSON."""
    from llmctx.testing.completers import Scripted  # noqa: PLC0415  see the top

    return Scripted


@pytest.fixture
def completer(llmctx_bench: "Bench", request: pytest.FixtureRequest, corpus: "Corpus") -> Any:
    """Who answers: the recordings, or with --llmctx-live the endpoint. Asked for what is not recorded it fails."""
    return llmctx_bench.completer_of(_path_of(request), corpus)


@pytest.fixture
def decide(llmctx_bench: "Bench", recorded: "Recorded", corpus: "Corpus", completer: Any) -> Callable[..., "Decided"]:
    """`decide()` or `decide("position/v2")`: the decision again, and the verdict that the guardrails make of it.

    `completer=` names another one. Each call counts in the flip matrix at the end.
    """

    def decided(template: str | None = None, *, completer: Any = completer) -> "Decided":
        return llmctx_bench.decide(recorded, corpus, template, completer)

    return decided


def _path_of(request: pytest.FixtureRequest) -> Path:
    given = request.node.callspec.params.get("recorded") if hasattr(request.node, "callspec") else None
    path: Path = request.config.rootpath / "corpus.jsonl" if given is None else given[0]
    return path
