"""A TOML file is read, or refused for a reason that a reader can act on."""

from pathlib import Path

import pytest

from llmctx.errors import LlmctxError
from llmctx.limits import MAX_MESSAGE_CHARS, MAX_TOML_BYTES
from llmctx.settings import load_settings
from llmctx.toml_file import read_toml


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = " + "[" * 100_000, "nested too deeply"),
        ('a = "' + "x" * MAX_TOML_BYTES + '"', f"more than {MAX_TOML_BYTES} bytes"),
        ("a = \n", "Invalid value"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "llmctx.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=why):
        read_toml(file)


@pytest.mark.parametrize(
    "text",
    [
        '[mandate]\nmax_quantity = "1e-999999"\n',
        'confidence_floor = "1e-999999"\n',
        '[require_approval]\nadd = "1e999999"\n',
        f'archive = "/{"x" * 2001}"\n',
        f'[people]\n"{"x" * 500_000}" = ["approver"]\n',
        f'[llm]\nmodel = "{"x" * 201}"\n',
        f'[llm.profile.body]\nx = "{"x" * 2001}"\n',
        f'[mandate]\nwhy = "{"x" * 1001}"\n',
    ],
)
def test_a_value_beyond_its_limit_is_refused_in_a_short_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "llmctx.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LlmctxError, match=r"^The setting ") as raised:
        load_settings()
    assert len(str(raised.value)) < 3 * MAX_MESSAGE_CHARS
