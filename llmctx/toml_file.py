"""llmctx.toml as a source of settings."""

from typing import Any

from pydantic_settings import TomlConfigSettingsSource


class TomlFile(TomlConfigSettingsSource):
    """The file's settings. In it `prompts` may be a table, which is `prompt_by_symbol`; a text is the folder."""

    def __call__(self) -> dict[str, Any]:
        """The settings by their names."""
        given = super().__call__()
        if isinstance(given.get("prompts"), dict):
            given["prompt_by_symbol"] = given.pop("prompts") | given.get("prompt_by_symbol", {})
        return given
