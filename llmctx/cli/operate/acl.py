"""`llmctx acl`: Redis users, each with the least that it needs."""

from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.shared.options import AsJson, RedisUrl
from llmctx.cli.shared.output import messages, out, print_json
from llmctx.cli.shared.setup import EMBEDDED, settings_for
from llmctx.connection import database_of


def acl(
    users: Annotated[
        Path | None,
        typer.Option(
            "--users",
            help="TOML file with a table for each user: roles, and password or password_sha256. Without it: "
            "one user for each role, without a password.",
        ),
    ] = None,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print Redis users with the least that each program needs.

    The lines are an ACL file for Redis 7.0 or Valkey 7.2 and later; without the word `user`, each is also the argument
    of ACL SETUSER. Passwords appear as their SHA-256. No server is contacted: only the database in the address counts.

    \b
    llmctx acl --users users.toml > users.acl
    llmctx acl --json
    """
    from llmctx.ops.acl.users import users_for

    settings = settings_for(redis_url)
    url = settings.redis_url
    made = users_for(0 if url.startswith(EMBEDDED) else database_of(url), users, settings.mapping)
    for user in made:
        if as_json:
            names = [role.name for role in user.roles]
            print_json({"name": user.name, "roles": names, "rules": user.rules, "line": user.line})
        else:
            out.print(user.line, markup=False)
    if users is None:
        messages.note("no user has a password yet, so nobody can log in: name users and passwords in a file, --users")
