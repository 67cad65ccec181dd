"""The settings of the endpoint, or of several."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from llmctx.limits import MAX_ATTEMPTS, MAX_BODY_BYTES, MAX_ENDPOINTS, MAX_NAME_CHARS, MAX_PLACE_CHARS
from llmctx.llm import breaker
from llmctx.llm.profile import ProfileSettings


class EndpointSettings(BaseModel):
    """One endpoint."""

    model_config = ConfigDict(extra="forbid")

    base_url: str | None = Field(None, repr=False, max_length=MAX_PLACE_CHARS)  # it may hold a password
    """Base URL, for example http://127.0.0.1:8700/v1. Default if there is an API key: the SDK's."""
    api_key: SecretStr | None = None
    """API key of this endpoint. Default: OPENAI_API_KEY, but only for the SDK's default endpoint."""
    key_env: str | None = None
    """The environment variable that holds the API key, instead of api_key."""
    model: str | None = Field(None, max_length=MAX_NAME_CHARS)
    """The model to ask."""
    max_attempts: int | None = Field(None, ge=1, le=MAX_ATTEMPTS)
    """Maximum number of attempts for one decision.

    Default: an endpoint that replies is asked until the deadline, one that does not reply three times, and one with a
    fallback behind it twice.
    """
    profile: str | ProfileSettings | None = None
    """What the endpoint can do: the name of a profile or a mode, or a table. Default: by host and model."""
    requests_per_minute: int | None = Field(None, ge=1)
    """The most requests within any minute, of all workers together. Default: no limit."""
    tokens_per_minute: int | None = Field(None, ge=1)
    """The most tokens within any minute, of all workers together. Default: no limit."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.key_env is not None:
            raise ValueError("give either api_key or key_env")
        return self


class NamedEndpoint(EndpointSettings):
    """One endpoint of several."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    """Its name, which records carry."""
    model: str = Field(max_length=MAX_NAME_CHARS)
    """The model to ask."""
    timeout_s: float | None = Field(None, gt=0)
    """Its own deadline, within llm.timeout_s. Default: an equal share of the remaining time."""
    breaker_failures: int = Field(breaker.MAX_FAILURES, ge=1)
    """Failures in a row after which it is skipped for a while."""
    breaker_open_s: float = Field(breaker.OPEN_S, gt=0)
    """Seconds for which it is then skipped."""


class LLMSettings(EndpointSettings):
    """The LLM endpoint, or several in `endpoints`."""

    timeout_s: float = Field(60.0, gt=0)
    """Deadline of one decision over all endpoints and attempts, in seconds."""
    max_body_bytes: int = Field(MAX_BODY_BYTES, ge=1024, le=16 * 1024 * 1024)
    """The largest decoded response body that is kept, in bytes."""
    endpoints: tuple[NamedEndpoint, ...] = Field((), max_length=MAX_ENDPOINTS)
    """Several endpoints, asked in this order until one answers; instead of base_url, model and so on."""
    hedge_percentile: float | None = Field(None, ge=50, lt=100)
    """The next endpoint is asked as well if an answer takes longer than this percentage of the endpoint's latest ones.

    Default: one endpoint is asked at a time.
    """

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        names = [endpoint.name for endpoint in self.endpoints]
        if len(set(names)) < len(names):
            raise ValueError("two of the endpoints have one name")
        own = sorted(name for name in EndpointSettings.model_fields if getattr(self, name) is not None)
        if names and own:
            raise ValueError(f"{own[0]} belongs into each of the endpoints where there are several")
        if not names and self.hedge_percentile is not None:
            raise ValueError("hedge_percentile needs endpoints")
        return self

    def one(self, name: str | None = None) -> "LLMSettings":
        """The settings of one endpoint: that of this name or the first; these settings if there is only one.

        Raises KeyError for a name that no endpoint has.
        """
        if not self.endpoints:
            return self
        by_name = {endpoint.name: endpoint for endpoint in self.endpoints}
        endpoint = by_name[self.endpoints[0].name if name is None else name]
        shared = {field: getattr(endpoint, field) for field in EndpointSettings.model_fields}
        return LLMSettings(timeout_s=self.timeout_s, max_body_bytes=self.max_body_bytes, **shared)

    def chosen(self, endpoint: str | None, model: str | None) -> "LLMSettings":
        """The settings of the endpoint that a command line names, by address or as one of `endpoints`, and its model.

        A model alone is asked at the first of `endpoints`.
        """
        if endpoint is None and model is None:
            return self
        if endpoint is None or any(one.name == endpoint for one in self.endpoints):
            kept, changes = self.one(endpoint), dict[str, Any]()
        else:
            kept, changes = self, {"base_url": endpoint, "endpoints": (), "hedge_percentile": None}
        if model is not None:
            changes["model"] = model
        return LLMSettings.model_validate(kept.model_dump() | changes)
