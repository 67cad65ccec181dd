"""The settings of traces."""

from pydantic import BaseModel, ConfigDict, Field


class OtelSettings(BaseModel):
    """Traces by OpenTelemetry."""

    model_config = ConfigDict(extra="forbid")

    endpoint: str | None = Field(None, repr=False)  # it may hold a password
    """The collector's base URL, OTLP over HTTP, for example http://127.0.0.1:4318. Default: no traces."""
    content: bool = False
    """Whether spans carry prompts and answers."""
