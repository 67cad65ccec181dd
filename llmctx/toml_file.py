"""TOML files that users write: llmctx.toml as a source of settings, mandates, users."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic_settings import TomlConfigSettingsSource

from llmctx.limits import MAX_TOML_BYTES


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises OSError if it cannot be read, ValueError if it is malformed, too large or too deeply nested.
    """
    with path.open("rb") as file:
        text = file.read(MAX_TOML_BYTES + 1)
    if len(text) > MAX_TOML_BYTES:
        raise ValueError(f"it has more than {MAX_TOML_BYTES} bytes")
    try:
        return tomllib.loads(text.decode())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


class TomlFile(TomlConfigSettingsSource):
    """The file's settings. In it `prompts` may be a table, which is `prompt_by_symbol`; a text is the folder."""

    def __call__(self) -> dict[str, Any]:
        """The settings by their names."""
        given = super().__call__()
        if isinstance(given.get("prompts"), dict):
            given["prompt_by_symbol"] = given.pop("prompts") | given.get("prompt_by_symbol", {})
        return given

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        return read_toml(Path(file_path))
