"""An error that nobody foresaw ends a command with one sentence; where it was raised is for the log alone."""

import json
import logging
import sys

import pytest

from llmctx import cli
from llmctx.cli import app
from llmctx.cli.shared.logs import show_debug_logs, show_logs


@pytest.fixture(autouse=True)
def breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise OverflowError("cannot convert Infinity to integer")

    monkeypatch.setattr(app, "app", broken)
    monkeypatch.setattr(sys, "argv", ["llmctx", "run"])


@pytest.mark.parametrize("as_json", [False, True])
def test_it_is_one_sentence_and_what_to_do(
    as_json: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if as_json:
        monkeypatch.setattr(sys, "argv", ["llmctx", "run", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    said = capsys.readouterr().err
    assert "`llmctx run` broke off: OverflowError: cannot convert Infinity to integer." in said
    assert "LLMCTX_LOG_LEVEL=debug" in said
    assert "Traceback" not in said
    if as_json:
        assert json.loads(said).keys() == {"error", "what_to_do"}


def test_the_log_of_level_debug_says_where_it_was_raised(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs()
    show_debug_logs()
    try:
        with pytest.raises(SystemExit):
            cli.main()
        assert "Traceback" in capsys.readouterr().err
    finally:
        logging.getLogger("llmctx").setLevel(logging.NOTSET)
        logging.getLogger().handlers.clear()
