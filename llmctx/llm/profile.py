"""What an endpoint and its model can do, as data: how an answer is requested, and which parameters are sent.

The table `profiles.toml` knows providers by host and models by name, each row with its source. The first matching
provider applies, then every matching model family, then the user's settings.
"""

import ipaddress
import json
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from llmctx.errors import EndpointError
from llmctx.limits import MAX_NAME_CHARS, MAX_PARAMETERS, MAX_PLACE_CHARS
from llmctx.llm.mode import SENDS_SCHEMA, Mode
from llmctx.llm.native.api import Api
from llmctx.llm.output import Form

_TABLE = Path(__file__).with_name("profiles.toml")
_CORE_FIELDS = frozenset({"model", "messages", "input", "system", "stream", "n"})
_LOCAL_SUFFIXES = (".local", ".internal", ".lan", ".home.arpa")


class Traits(BaseModel):
    """Part of a profile, from a row of the table or the settings; unset fields leave other parts as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api: Api | None = None
    """The protocol that the endpoint speaks; unset means chat completions."""
    mode: Mode | None = None
    """How an answer is requested."""
    form: Form | None = None
    """Whether the messages describe the answer's form in full or briefly; without a schema always in full."""
    drop: tuple[str, ...] = ()
    """Parameters of a prompt that are not sent."""
    keep: tuple[str, ...] = ()
    """Parameters that are sent even if a row drops them."""
    rename: dict[str, str] = {}
    """Parameters that are sent under another name."""
    reasoning_tokens: int | None = Field(None, ge=0)
    """Added to a prompt's length limit if reasoning counts against it."""
    body: dict[str, Any] = {}
    """Additional fields of the request's body; they replace parameters of the same name."""
    headers: dict[str, str] = {}
    """Additional headers."""
    key_header: str | None = None
    """The header that carries the API key instead of Authorization."""

    @field_validator("body")
    @classmethod
    def _no_core_fields(cls, body: dict[str, Any]) -> dict[str, Any]:
        for name, value in body.items():
            if name in _CORE_FIELDS or not name.isascii():
                raise ValueError(f"the body's field {name!r} cannot be set here")
            if len(json.dumps(value, default=str)) > MAX_PLACE_CHARS:
                raise ValueError(
                    f"the body's field {name[:MAX_NAME_CHARS]!r} has more than {MAX_PLACE_CHARS} characters"
                )
        return body

    @field_validator("body", "headers")
    @classmethod
    def _few_short_names(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if len(fields) > MAX_PARAMETERS or any(len(name) > MAX_NAME_CHARS for name in fields):
            raise ValueError(f"at most {MAX_PARAMETERS} names of up to {MAX_NAME_CHARS} characters")
        return fields


class Row(Traits):
    """A row of the table: a provider or a model family."""

    name: str
    """Its name, for settings and records."""
    title: str
    """Its name in documents."""
    at: str = ""
    """A pattern of host, port and path; empty for a model family and for rows that are chosen by name."""
    model: str = ""
    """A pattern of the model's name; empty matches every model."""
    local: bool = False
    """Whether it matches only hosts of the user's own machine or network."""
    note: str = ""
    """A note for users."""
    source: str
    """The address of the provider's document."""
    as_of: str
    """The month of the row's information, as YYYY-MM."""

    def matches(self, place: str, model: str, *, local: bool) -> bool:
        """Whether an endpoint, written as HOST:PORT/PATH, and a model match this row."""
        if self.local and not local:
            return False
        return bool(re.search(self.at, place)) and bool(re.search(self.model, model, re.IGNORECASE))


class Table(NamedTuple):
    """The known providers and model families, in order."""

    providers: tuple[Row, ...]
    """Providers; the first match applies, and the last row matches all."""
    families: tuple[Row, ...]
    """Model families; all matches apply."""


class Profile(Traits):
    """What an endpoint and its model can do."""

    api: Api = Api.CHAT
    """The protocol that the endpoint speaks."""
    mode: Mode = Mode.SCHEMA
    """How an answer is requested."""
    form: Form = "brief"
    """How the messages describe the answer's form."""
    reasoning_tokens: int = 0
    """Added to a prompt's length limit."""
    name: str
    """The rows that made it, joined by +, as a record names it."""
    reasons: tuple[str, ...] = ()
    """Why each of them applies, for people to read."""


class ProfileSettings(Traits):
    """The setting `llm.profile`: a row by name, with overrides."""

    name: str | None = None
    """The provider's row; unset means the one that matches."""


@cache
def table() -> Table:
    """The table as shipped."""
    document = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return Table(
        tuple(Row.model_validate(row) for row in document["provider"]),
        tuple(Row.model_validate(row) for row in document["family"]),
    )


def profile_of(base_url: str, model: str, setting: str | ProfileSettings | None = None) -> Profile:
    """Return the profile of an endpoint and a model.

    `setting` is the name of a provider's row or of a mode, or what differs from the row.

    Raises EndpointError if it names neither.
    """
    given = read_setting(setting)
    provider, reason = _provider(base_url, model, given.name)
    families = [row for row in table().families if row.matches("", model, local=False)]
    reasons = [reason, *(f"model {model}: {row.title} ({row.source}, {row.as_of})" for row in families)]
    changed = ", ".join(sorted(given.model_dump(exclude_defaults=True, exclude={"name"})))
    if changed:
        reasons.append(f"setting llm.profile: {changed}")
    name = "+".join([provider.name, *(row.name for row in families), *(["settings"] if changed else [])])
    return _merged(name, tuple(reasons), [provider, *families, given])


def read_setting(setting: str | ProfileSettings | None) -> ProfileSettings:
    """The setting as a table: a text is the name of a mode, or that of a provider's row."""
    if not isinstance(setting, str):
        return setting or ProfileSettings()
    if setting in set(Mode):
        return ProfileSettings(mode=Mode(setting))
    return ProfileSettings(name=setting)


def _provider(base_url: str, model: str, name: str | None) -> tuple[Row, str]:
    rows = table().providers
    if name is not None:
        if (row := next((row for row in rows if row.name == name), None)) is None:
            known = ", ".join([*(row.name for row in rows), *Mode])
            raise EndpointError(f"There is no profile {name!r}.", f"Name one of: {known}.", exit_code=2)
        return row, f"setting llm.profile: {row.title} ({row.source}, {row.as_of})"
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    place = f"{host}:{port}{parts.path}"
    local = is_local(host)
    row = next(row for row in rows if row.matches(place, model, local=local))
    return row, f"endpoint {host}:{port}: {row.title} ({row.source}, {row.as_of})"


def is_local(host: str) -> bool:
    """Whether a host is this machine or in its own network, judging by its name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_SUFFIXES)
    return address.is_private or address.is_loopback


def _merged(name: str, reasons: tuple[str, ...], parts: Sequence[Traits]) -> Profile:
    """Join the parts; if two set the same thing, the later one wins."""
    fields: dict[str, Any] = {"name": name, "reasons": reasons}
    for part in parts:
        for field in ("api", "mode", "form", "key_header"):
            if getattr(part, field) is not None:
                fields[field] = getattr(part, field)
        if part.reasoning_tokens is not None:
            fields["reasoning_tokens"] = part.reasoning_tokens
        for field in ("rename", "body", "headers"):
            fields[field] = fields.get(field, {}) | getattr(part, field)
    kept = {parameter for part in parts for parameter in part.keep}
    dropped = {parameter for part in parts for parameter in part.drop} - kept
    fields["drop"] = tuple(sorted(dropped))
    if fields.get("mode", Mode.SCHEMA) not in SENDS_SCHEMA:
        fields["form"] = "full"
    return Profile(**fields)
