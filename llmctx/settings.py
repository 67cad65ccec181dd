"""Settings: from the command line, the environment (LLMCTX_...), and llmctx.toml, in this order.

Only the command line reads them; everything below is given plain values.
"""

import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from llmctx.assets import asset
from llmctx.context.snapshot import DEFAULT_MAX_AGE_S
from llmctx.decision.guards import OnUngrounded
from llmctx.errors import LlmctxError
from llmctx.llm.price import Price
from llmctx.schema.keys import BY_SECTION, SIGNAL_TYPES


def _known_sections(limits: dict[str, int]) -> dict[str, int]:
    for section in limits:
        if section not in BY_SECTION and not section.startswith("signals."):
            raise ValueError(f"there is no section {section!r}; the sections are {', '.join(BY_SECTION)}")
    return limits


class LLMSettings(BaseModel):
    """The endpoint of the Trade LLM."""

    model_config = ConfigDict(extra="forbid")

    base_url: str | None = None
    """Its base URL, for example http://127.0.0.1:8700/v1; unset with an API key means the SDK's default."""
    api_key: SecretStr | None = None
    """Its key; OPENAI_API_KEY serves where this is unset."""
    model: str | None = None
    """The model to ask for."""
    timeout_s: float = Field(60.0, gt=0)
    """The deadline of one decision over all attempts, in seconds."""
    max_attempts: int = Field(3, ge=1)
    """How often one decision is asked for at most."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="LLMCTX_", env_nested_delimiter="__", toml_file="llmctx.toml", extra="forbid"
    )

    redis_url: str = "redis://127.0.0.1:6379/0"
    """The server with the live keys and the trail."""
    state_dir: Path = Path("var")
    """Where the instance file lies, later spool, anchors and keys."""
    llm: LLMSettings = LLMSettings()
    """The endpoint."""
    prompt: str = "position"
    """The prompt to ask with: NAME for its newest version, or NAME/vN."""
    prompts: Path = Field(default_factory=lambda: asset("prompts"))
    """The folder with the prompts."""
    signal_types: tuple[str, ...] = SIGNAL_TYPES
    """The signal types that are read."""
    max_age_s: Annotated[dict[str, Annotated[int, Field(ge=0)]], AfterValidator(_known_sections)] = {}
    """Seconds after which a section is stale, where they differ from the defaults."""
    confidence_floor: Decimal = Field(Decimal("0.5"), ge=0, le=1)
    """Actions less sure than this become a hold."""
    grounding: OnUngrounded = "flag"
    """What prices in an answer do that the package does not bear out: off, flag, reask or hold."""
    prices: dict[str, Price] = {}
    """What models cost, by model: input, cached (where it differs) and output, per million tokens."""
    concurrency: int = Field(32, ge=1)
    """How many symbols of a partition are decided at once."""
    partitions: int = Field(1, ge=1, le=1024)
    """How many partitions a new instance gets; fixed from then on."""

    @property
    def limits_s(self) -> dict[str, int]:
        """Every section's limit, defaults included."""
        return DEFAULT_MAX_AGE_S | self.max_age_s

    @property
    def api_key(self) -> str | None:
        """The key of the endpoint, from llm.api_key or OPENAI_API_KEY."""
        if self.llm.api_key is not None:
            return self.llm.api_key.get_secret_value()
        return os.environ.get("OPENAI_API_KEY")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then llmctx.toml."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**given: Any) -> Settings:
    """The settings, with what the command line gave (None is not given).

    Raises LlmctxError for a setting that cannot be used, naming it.
    """
    _check_environment()
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        variable = "LLMCTX_" + "__".join(str(part) for part in problem["loc"]).upper()
        raise LlmctxError(
            f"The setting {name} cannot be used: {problem['msg']}.",
            f"Correct it on the command line, in {variable}, or in llmctx.toml.",
        ) from error
    except SettingsError as error:
        found = re.search(r'field "(\w+)"', str(error))
        variable = f"LLMCTX_{found[1].upper()}" if found else "The environment"
        raise LlmctxError(
            f"{variable} cannot be read: {error.__cause__ or error}.",
            'Write lists and tables as JSON, for example {"price": 60}.',
        ) from error
    except (ValueError, OSError) as error:
        raise LlmctxError(f"llmctx.toml cannot be read: {error}.", "Correct the file, or remove it.") from error


def _check_environment() -> None:
    """A misspelt variable would be passed over in silence; llmctx.toml refuses it too."""
    known = {f"LLMCTX_{name}".upper() for name in Settings.model_fields}
    known |= {f"LLMCTX_LLM__{name}".upper() for name in LLMSettings.model_fields}
    for name in os.environ:
        if name.upper().startswith("LLMCTX_") and name.upper() not in known:
            raise LlmctxError(f"There is no setting {name}.", f"The settings are {', '.join(sorted(known))}.")
