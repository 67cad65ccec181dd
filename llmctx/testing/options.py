"""The options of the plugin: whom to ask, how much that may take, where the prompts are. Imports nothing but pytest."""

from pathlib import Path

import pytest


def add_options(parser: pytest.Parser) -> None:
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
    group.addoption("--llmctx-prompts", type=Path, metavar="DIR", help="A folder with prompts of your own.")
    parser.addini("llmctx_prompts", "A folder with prompts of your own, relative to this file.", type="paths")


def check_options(config: pytest.Config) -> None:
    """Refuse what makes no sense, before anything is asked.

    Raises UsageError that says what to write instead.
    """
    live, folder = config.getoption("llmctx_live"), folder_of(config)
    if config.getoption("llmctx_record") and not live:
        raise pytest.UsageError("--llmctx-record keeps what --llmctx-live URL was answered; name the endpoint")
    if live and not config.getoption("llmctx_model"):
        raise pytest.UsageError("--llmctx-live needs a model: --llmctx-model NAME")
    if config.getoption("llmctx_budget") < 1:
        raise pytest.UsageError("--llmctx-budget needs at least one token; without --llmctx-live nothing is asked")
    if live and _workers(config) > 1:
        raise pytest.UsageError(
            "--llmctx-live asks from one process, so that --llmctx-budget holds for all calls together: "
            "run with -n0, or record the answers first and then run with -n"
        )
    if folder is not None and not folder.is_dir():
        raise pytest.UsageError(f"the folder with the prompts is not there: {folder}")
    key_of(config)


def folder_of(config: pytest.Config) -> Path | None:
    """The folder with prompts of one's own."""
    named = config.getini("llmctx_prompts")
    folder: Path | None = config.getoption("llmctx_prompts") or (named[0] if named else None)
    return folder


def key_of(config: pytest.Config) -> str | None:
    """The endpoint's key; None where none is named.

    Raises UsageError where its file cannot be read, or has nothing in it.
    """
    file = config.getoption("llmctx_key_file")
    if file is None:
        return None
    try:
        key: str = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"--llmctx-key-file cannot be read: {error}") from error
    if not key:
        raise pytest.UsageError(f"--llmctx-key-file {file} has no key in it")
    return key


def _workers(config: pytest.Config) -> int:
    """How many processes of pytest-xdist run tests: its --tx, which -n sets, has `popen` or `3*popen` for them."""
    counts = [spec.partition("*")[0] for spec in config.getoption("tx", None) or []]
    return sum(int(count) if count.isdigit() else 1 for count in counts)
