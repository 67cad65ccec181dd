"""The file of users, and the lines that are made of it."""

import hashlib
from pathlib import Path

import pytest

from llmctx.errors import LlmctxError
from llmctx.ops.acl.roles import roles_for
from llmctx.ops.acl.users import User, users_for
from llmctx.schema.mapping.rule import SectionRule
from llmctx.schema.mapping.sections import Sections

SECRET = "hunterTwo"
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


def made(folder: Path, text: str) -> list[User]:
    file = folder / "users.toml"
    file.write_text(text, encoding="utf-8")
    return users_for(0, file)


@pytest.mark.parametrize("password", [f'password = "{SECRET}"', f'password_sha256 = "{DIGEST}"'])
def test_a_password_appears_as_its_digest(tmp_path: Path, password: str) -> None:
    (user,) = made(tmp_path, f'[prices]\nroles = ["collector"]\n{password}\n')
    assert user.line.startswith(f"user prices reset on #{DIGEST} +ping")
    assert SECRET not in user.line


def test_a_user_with_two_roles_has_the_grants_of_both(tmp_path: Path) -> None:
    (user,) = made(tmp_path, f'[both]\nroles = ["raiser", "notary", "raiser"]\npassword = "{SECRET}"\n')
    raiser, notary = (role for role in roles_for(0) if role.name in ("raiser", "notary"))
    assert len([rule for rule in user.rules if rule.startswith("(")]) == len(raiser.grants) + len(notary.grants) - 1


def test_without_a_file_there_is_one_user_for_each_role_that_nobody_can_log_in_as() -> None:
    users = users_for(0)
    assert [user.name for user in users] == [role.name for role in roles_for(0)]
    assert not [user for user in users if {"nopass", "#"} & {rule[:1] for rule in user.rules}]


def test_the_worker_may_read_mapped_keys_and_hear_of_mapped_positions_and_write_neither() -> None:
    rules = {"position": SectionRule(key="bot:{symbol}"), "price": SectionRule(key="px:{symbol_lower}")}
    (worker,) = (user for user in users_for(0, sections=Sections(rules)) if user.name == "worker")
    text = " ".join(worker.rules)
    assert "&__keyspace@0__:bot:*" in text
    assert "%R~bot:*" in text
    assert "%R~px:*" in text
    assert "%W~bot:*" not in text


def test_notifications_are_those_of_the_database_in_use() -> None:
    (worker,) = (user for user in users_for(3) if user.name == "worker")
    assert "&__keyspace@3__:positions:active:*" in worker.rules


@pytest.mark.parametrize(
    "text",
    [
        f'[prices]\nroles = ["collector"]\npassword = "{SECRET}',
        f'[prices]\nroles = ["collector"]\npassword = ["{SECRET}"]\n',
        f'[prices]\nroles = ["emperor"]\npassword = "{SECRET}"\n',
        f'[prices]\nroles = []\npassword = "{SECRET}"\n',
        f'[prices]\nroles = ["collector"]\npassword_sha256 = "{SECRET}"\n',
        f'[prices]\nroles = ["collector"]\npassword = "{SECRET}"\npassword_sha256 = "{DIGEST}"\n',
        '[prices]\nroles = ["collector"]\n',
        f'["a b"]\nroles = ["collector"]\npassword = "{SECRET}"\n',
        f'roles = ["{SECRET}"]\n',
    ],
)
def test_a_malformed_file_is_refused_and_no_secret_is_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(LlmctxError) as caught:
        made(tmp_path, text)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(LlmctxError, match=r"users\.toml cannot be read: No such file"):
        users_for(0, tmp_path / "users.toml")
