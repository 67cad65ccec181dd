"""The settings of alerts."""

import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class AlertSettings(BaseModel):
    """The receiver of alerts."""

    model_config = ConfigDict(extra="forbid")

    webhook: SecretStr | None = None
    """The address to which each alert is posted as JSON."""
    token: SecretStr | None = None
    """A bearer token for the webhook."""
    command: str | None = Field(None, repr=False)  # it may hold a password
    """A command to run instead of a webhook; it reads the JSON object from its standard input."""
    repeat_s: int = Field(3600, ge=1)
    """Seconds after which the same alert is sent again, if it still occurs."""

    @model_validator(mode="after")
    def _one_receiver(self) -> Self:
        if self.webhook is not None and self.command is not None:
            raise ValueError("give either a webhook or a command")
        address = "" if self.webhook is None else self.webhook.get_secret_value()
        if address and not re.match("https?://[^/]", address):
            raise ValueError("the webhook does not begin with http:// or https://")
        if self.token is not None and re.match("https?://[^/?#]*@", address):
            raise ValueError("give either a token, or a user and password in the webhook's address")
        return self
