"""Settings, from the command line, then the environment (LLMCTX_...), then llmctx.toml.

Only the command line reads them and passes plain values to the library.
"""

import re
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from llmctx import canonical
from llmctx.assets import asset
from llmctx.console.proxy_settings import ConsoleSettings
from llmctx.context.memory import MemoryLength
from llmctx.context.read_rules import DEFAULT_MAX_AGE_S
from llmctx.decision.approval import ApprovalRule
from llmctx.decision.mandate.given import over_prudent
from llmctx.decision.mandate.mandate import PRUDENT, Limits, Mandate
from llmctx.decision.stop import UnconfirmedStop
from llmctx.decision.trigger import TriggerPolicy
from llmctx.decision.verdict import OnUngrounded
from llmctx.environment import Variable, check_environment, endpoint_key, variables, withholds_key
from llmctx.errors import LlmctxError
from llmctx.limits import MAX_BY_CHARS, MAX_PEOPLE, MAX_PLACE_CHARS, MAX_PROMPTS
from llmctx.llm.budget_limits import DailyBudget
from llmctx.llm.endpoint_settings import LLMSettings
from llmctx.llm.price import Price
from llmctx.llm.profile import ProfileSettings
from llmctx.ops.alerts.alert_settings import AlertSettings
from llmctx.ops.maintenance.schedule import Schedule
from llmctx.ops.tracing.tracing_settings import OtelSettings
from llmctx.schema.fields import Setting
from llmctx.schema.keys import BY_SECTION, SIGNAL_TYPES
from llmctx.schema.mapping.rule import SectionRule
from llmctx.schema.mapping.sections import Sections
from llmctx.toml_file import TomlFile
from llmctx.trail.archive.retention import Retention

Name = Annotated[str, Field(min_length=1, max_length=MAX_BY_CHARS)]
Role = Literal["owner", "operator", "approver"]
"""The roles: owner answers for the strategy, operator for the service; approver may approve and override."""


def _known_sections(limits: dict[str, int]) -> dict[str, int]:
    for section in limits:
        if section not in (*BY_SECTION, "portfolio", "timeframes") and not section.startswith("signals."):
            raise ValueError(f"there is no section {section!r}; the sections are {', '.join(BY_SECTION)}")
    return limits


class Settings(BaseSettings):
    """Every setting."""

    model_config = SettingsConfigDict(
        env_prefix="LLMCTX_", env_nested_delimiter="__", toml_file="llmctx.toml", extra="forbid"
    )

    redis_url: str = Field("redis://127.0.0.1:6379/0", repr=False)  # it may hold a password
    """The server with the live keys and the trail; embedded:DIR starts one on the data in DIR."""
    state_dir: Path = Path("var")
    """The directory of the instance file, spool, anchors and keys."""
    archive: str | None = Field(None, max_length=MAX_PLACE_CHARS)
    """Where this trail's archived records are: a folder, or s3://, gs:// or az:// with a bucket."""
    llm: LLMSettings = LLMSettings()
    """The endpoint."""
    log_format: Literal["text", "json"] = "text"
    """How log records are written: lines for people, or one JSON object each."""
    log_level: Literal["info", "debug"] = "info"
    """Which log records are written; debug adds where an error that nobody foresaw was raised."""
    alerts: AlertSettings = AlertSettings()
    """Alerts."""
    otel: OtelSettings = OtelSettings()
    """Traces."""
    console: ConsoleSettings = ConsoleSettings()
    """The proxy in front of the console."""
    maintenance: Schedule = Schedule()
    """The steps of `llmctx maintenance`, and how often each runs."""
    retention: Retention = Retention()
    """How long archived evidence is kept."""
    prompt: str = "position"
    """The prompt: NAME for its newest version, or NAME/vN."""
    prompt_by_symbol: dict[str, str] = Field({}, max_length=MAX_PROMPTS)
    """Prompts for some symbols, by patterns such as BTC*; the first matching pattern wins."""
    prompts: Path = Field(default_factory=lambda: asset("prompts"))
    """The folder of prompts."""
    signal_types: tuple[str, ...] = SIGNAL_TYPES
    """The signal types to read."""
    max_age_s: Annotated[dict[str, Annotated[int, Field(ge=0)]], AfterValidator(_known_sections)] = {}
    """Seconds after which a section is stale; sections not listed keep the default."""
    sections: dict[str, SectionRule] = {}
    """Where sections are read from, if not from the schema's keys, and custom sections (docs/sections.md)."""
    clock: Literal["auto", "server", "bars"] = "auto"
    """The clock of the trail: the server's, that of recorded bars, or whichever the first decision shows."""
    confidence_floor: Setting = Field(Decimal("0.5"), ge=0, le=1)
    """An action with less confidence than this becomes a hold."""
    grounding: OnUngrounded = "flag"
    """What happens if an answer contains prices that the package does not support: off, flag, reask or hold."""
    reask_misfits: bool = True
    """Whether the model is asked once more, within llm.timeout_s, if its answer does not fit the schema."""
    unconfirmed_stop: UnconfirmedStop = "hold"
    """What happens if an implausible price reaches a stop: hold until the price is confirmed, or exit."""
    stale_stop_factor: int = Field(10, ge=1, le=10**6)
    """How many times its limit a price may be old and still trigger a stop."""
    mandate: Annotated[Mandate, BeforeValidator(over_prudent)] = Mandate()
    """The limits on actions: those of every symbol by name, and exceptions in `groups`, `symbols` and `shorts`."""
    require_approval: ApprovalRule = ApprovalRule()
    """What a person must approve first, by action and value: add, reduce, adjust_stops; and expires_s."""
    people: dict[Name, tuple[Role, ...]] = Field({}, max_length=MAX_PEOPLE)
    """Names and their roles. If any name is listed, only those with the role approver may approve and override."""
    daily_budget: DailyBudget | None = None
    """The daily limits of calls, tokens and money of all workers of the server: in all, per symbol and per prompt."""
    memory: MemoryLength = "off"
    """How much packages say about the position's opening, earlier decisions and closed positions: off, short or long.
    """
    timeframes: tuple[Literal["1m", "5m", "15m", "1h", "4h", "1d"], ...] = ()
    """The bar lengths whose indicators `feed` writes and packages show in an extra section."""
    timeframe_series: int = Field(0, ge=0, le=30)
    """How many of the last closes, RSI and MACD values the section shows for each."""
    portfolio: Literal["off", "key", "positions"] = "off"
    """Where the portfolio section comes from: portfolio:current, or the positions of `portfolio_symbols`."""
    portfolio_symbols: tuple[str, ...] = ()
    """The symbols whose positions form the portfolio."""
    trigger: TriggerPolicy | None = None
    """What makes a tick worth a call; by default the model is asked on every tick."""
    prices: dict[str, Price] = {}
    """Price per million tokens by model, as {"MODEL": {"input": 0.4, "cached": 0.1, "output": 1.6}}."""
    concurrency: int = Field(32, ge=1)
    """How many symbols of a partition are decided in parallel."""
    partitions: int = Field(1, ge=1, le=1024)
    """How many partitions a new trail gets; they cannot be changed later."""
    ticks_kept_d: int = Field(30, ge=1, le=3650)
    """For how many days the ticks of archived records stay known; a tick that waited longer is skipped.

    It must be the same for every worker of a trail.
    """
    replicas: int = Field(0, ge=0, le=16)
    """How many replicas of the server must have a record before it is published; 0 for none."""

    @model_validator(mode="after")
    def _somebody_may_approve(self) -> Self:
        if not self.require_approval.is_empty and not any("approver" in roles for roles in self.people.values()):
            raise ValueError("require_approval needs a name with the role approver in people")
        return self

    @property
    def limits_s(self) -> dict[str, int]:
        """Seconds after which each section is stale."""
        portfolio = {} if self.portfolio == "off" else {"portfolio": DEFAULT_MAX_AGE_S["position"]}
        timeframes = {"timeframes": DEFAULT_MAX_AGE_S["indicators"]} if self.timeframes else {}
        mapped = {} if self.mapping is None else self.mapping.limits_s
        return DEFAULT_MAX_AGE_S | portfolio | timeframes | mapped | self.max_age_s

    @cached_property
    def mapping(self) -> Sections | None:
        """The rules of the sections; None if all keys are the schema's."""
        return Sections(self.sections) if self.sections else None

    @model_validator(mode="after")
    def _sections_suit(self) -> Self:
        _ = self.mapping
        return self

    @property
    def sha256(self) -> str:
        """The digest of all settings; a secret counts by whether it is set."""
        return canonical.sha256(self.model_dump_json().encode())

    @property
    def api_key(self) -> str | None:
        """The endpoint's API key: llm.api_key or llm.key_env, or OPENAI_API_KEY for the SDK's default endpoint.

        Raises LlmctxError if the variable that llm.key_env names is not set.
        """
        return endpoint_key(self.llm)

    @property
    def withholds_key(self) -> bool:
        """Whether OPENAI_API_KEY is set but not sent, because the endpoint is another one and has no key of its own."""
        return withholds_key(self.llm)

    @property
    def each_endpoint(self) -> "dict[str, Settings]":
        """The settings with each of llm.endpoints alone, by name; empty if there is only one endpoint."""
        return {each.name: self.model_copy(update={"llm": self.llm.one(each.name)}) for each in self.llm.endpoints}

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
        return init_settings, env_settings, TomlFile(settings_cls)


_MANDATE = "LLMCTX_MANDATE__"


def all_variables() -> list[Variable]:
    """The environment variables of all settings; the limits of a mandate are set without its part `account`."""
    account = f"{_MANDATE}ACCOUNT"
    found = [each for each in variables(Settings, "LLMCTX_") if not each.name.startswith(account)]
    place = next(number for number, each in enumerate(found) if each.name.startswith(_MANDATE))
    return [*found[:place], *variables(Limits, _MANDATE, PRUDENT), *found[place:]]


def load_settings(**given: Any) -> Settings:
    """The settings, with the command line's values first; None means that an option was not given.

    Raises LlmctxError that names the setting if one is malformed or unknown.
    """
    check_environment({each.name for each in all_variables()})
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problem = max(error.errors(), key=lambda one: len(one["loc"]))  # for a union, the branch that fits best
        place = [str(part) for part in problem["loc"] if part != ProfileSettings.__name__]
        name, variable = ".".join(place), f"LLMCTX_{'__'.join(place).upper()}"
        if problem["type"] == "extra_forbidden":
            raise LlmctxError(f"There is no setting {name}.", "`llmctx schema settings` lists them all.") from error
        raise LlmctxError(
            f"The setting {name} is malformed: {problem['msg']}.",
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
