"""The settings of the console."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, model_validator


class ConsoleSettings(BaseModel):
    """The proxy in front of the console that signs people in."""

    model_config = ConfigDict(extra="forbid")

    proxies: tuple[IPvAnyNetwork, ...] = ()
    """The addresses or networks from which the proxy connects; from anywhere else its header is ignored."""
    user_header: str = Field("X-Forwarded-User", pattern="[A-Za-z0-9-]+$")
    """The header in which the proxy names the person who asks."""
    address: str | None = Field(None, pattern="https?://[a-z0-9.:-]+$")
    """The address under which people reach the proxy, for example https://desk.example."""

    @model_validator(mode="after")
    def _both(self) -> Self:
        if bool(self.proxies) != (self.address is not None):
            raise ValueError("proxies and address belong together: from where it connects, and how people reach it")
        return self
