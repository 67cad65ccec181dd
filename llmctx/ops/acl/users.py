"""Users as lines of Redis: for a server's ACL file, or word by word for ACL SETUSER."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, model_validator

from llmctx.errors import LlmctxError
from llmctx.ops.acl.roles import CONNECT, Grant, Role, roles_for
from llmctx.schema.mapping.sections import Sections
from llmctx.toml_file import read_toml

_SHOW = 'For example: [market-data] roles = ["collector"] password = "...". `llmctx acl` lists the roles.'


class User(NamedTuple):
    """One user of the server."""

    name: str
    """The name."""
    roles: tuple[Role, ...]
    """Its roles."""
    password_sha256: str | None = None
    """The SHA-256 of the password in hex; None if nobody can log in as this user yet."""

    @property
    def rules(self) -> list[str]:
        """The rules, in the order in which ACL SETUSER takes them after the name."""
        password = [] if self.password_sha256 is None else [f"#{self.password_sha256}"]
        first, *others = (_rules(grant) for role in self.roles for grant in role.grants)
        return ["reset", "on", *password, *_rules(CONNECT), *first, *(f"({' '.join(rules)})" for rules in others)]

    @property
    def line(self) -> str:
        """The line of an ACL file."""
        return f"user {self.name} {' '.join(self.rules)}"


def _rules(grant: Grant) -> list[str]:
    return [
        *(f"%R~{pattern}" for pattern in grant.reads),
        *(f"%W~{pattern}" for pattern in grant.writes),
        *(f"~{pattern}" for pattern in grant.both),
        *(f"&{pattern}" for pattern in grant.channels),
        *(f"+{command}" for command in grant.commands),
    ]


class _Entry(BaseModel):
    """A user in the file."""

    model_config = ConfigDict(extra="forbid")

    roles: list[str] = Field(min_length=1)
    password: SecretStr | None = None
    password_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if (self.password is None) == (self.password_sha256 is None):
            raise ValueError("give either password or password_sha256")
        return self

    @property
    def digest(self) -> str | None:
        if self.password is None:
            return self.password_sha256
        return hashlib.sha256(self.password.get_secret_value().encode()).hexdigest()


_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
_FILE: TypeAdapter[dict[str, _Entry]] = TypeAdapter(dict[_Name, _Entry])


def users_for(database: int, file: Path | None = None, sections: Sections | None = None) -> list[User]:
    """One user for each role, without a password; with a file the users that it names. `sections` are read from other
    keys.

    The file is TOML: a table for each user, with `roles` and either `password` or `password_sha256`.

    Raises LlmctxError, which quotes nothing of the file but names, if it cannot be used.
    """
    roles = {role.name: role for role in roles_for(database, sections)}
    if file is None:
        return [User(role.name, (role,)) for role in roles.values()]
    return [User(name, _roles(name, entry, roles), entry.digest) for name, entry in _read(file).items()]


def _roles(name: str, entry: _Entry, roles: Mapping[str, Role]) -> tuple[Role, ...]:
    if unknown := [role for role in entry.roles if role not in roles]:
        raise LlmctxError(f"The user {name} has the unknown role {unknown[0]!r}.", f"The roles are {', '.join(roles)}.")
    return tuple(roles[role] for role in dict.fromkeys(entry.roles))


def _read(file: Path) -> dict[str, _Entry]:
    try:
        return _FILE.validate_python(read_toml(file))
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise LlmctxError(f"{file}: {where}: {problem['msg']}.", _SHOW) from None  # the cause quotes the input
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not TOML"  # the parser may quote a password
        raise LlmctxError(f"{file} cannot be read: {why}.", _SHOW) from None
