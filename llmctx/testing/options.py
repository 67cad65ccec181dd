"""The options of the plugin: endpoint, budget and folder of prompts. Imports nothing but pytest."""

from pathlib import Path

import pytest


def add_options(parser: pytest.Parser) -> None:
    """Add --llmctx-live and the related options."""
    group = parser.getgroup("llmctx", "prompts on recorded decisions")
    group.addoption(
        "--llmctx-live", metavar="URL", help="Ask this OpenAI-compatible endpoint instead of the recordings."
    )
    group.addoption("--llmctx-model", metavar="NAME", help="The model to ask; required with --llmctx-live.")
    group.addoption("--llmctx-key-file", type=Path, metavar="FILE", help="A file that holds the endpoint's API key.")
    group.addoption(
        "--llmctx-budget",
        type=int,
        default=200_000,
        metavar="TOKENS",
        help="Tokens that all live calls together may use, prompts and answers (default: %(default)s).",
    )
    group.addoption(
        "--llmctx-record", action="store_true", help="Keep the endpoint's answers in a file beside the corpus."
    )
    group.addoption("--llmctx-prompts", type=Path, metavar="DIR", help="A folder with your own prompts.")
    parser.addini("llmctx_prompts", "A folder with your own prompts, relative to this file.", type="paths")


def check_options(config: pytest.Config) -> None:
    """Check the options before anything is asked.

    Raises UsageError with what to write instead.
    """
    live, folder = config.getoption("llmctx_live"), folder_of(config)
    if config.getoption("llmctx_record") and not live:
        raise pytest.UsageError("--llmctx-record keeps the answers of --llmctx-live URL; name the endpoint")
    if live and not config.getoption("llmctx_model"):
        raise pytest.UsageError("--llmctx-live needs a model: --llmctx-model NAME")
    if config.getoption("llmctx_budget") < 1:
        raise pytest.UsageError("--llmctx-budget needs at least one token; to ask nothing, leave out --llmctx-live")
    if live and _workers(config) > 1:
        raise pytest.UsageError(
            "--llmctx-live asks from one process, so that --llmctx-budget limits all calls together: "
            "run with -n0, or record the answers first and then run with -n"
        )
    if folder is not None and not folder.is_dir():
        raise pytest.UsageError(f"the folder of prompts does not exist: {folder}")
    key_of(config)


def folder_of(config: pytest.Config) -> Path | None:
    """Return the folder with the user's own prompts, None if none is named."""
    named = config.getini("llmctx_prompts")
    folder: Path | None = config.getoption("llmctx_prompts") or (named[0] if named else None)
    return folder


def key_of(config: pytest.Config) -> str | None:
    """Return the endpoint's key, None if no file is named.

    Raises UsageError if the file is unreadable or empty.
    """
    file = config.getoption("llmctx_key_file")
    if file is None:
        return None
    try:
        key: str = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"--llmctx-key-file cannot be read: {error}") from error
    if not key:
        raise pytest.UsageError(f"--llmctx-key-file {file} is empty")
    return key


def _workers(config: pytest.Config) -> int:
    """Return the number of pytest-xdist workers; its --tx, which -n sets, names them as `popen` or `3*popen`."""
    counts = [spec.partition("*")[0] for spec in config.getoption("tx", None) or []]
    return sum(int(count) if count.isdigit() else 1 for count in counts)
