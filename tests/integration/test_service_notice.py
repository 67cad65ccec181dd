"""The notices of a service: which settings and prompts it began with, who answers for it, and when it ended."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.prompt.template import Template, load_template
from llmctx.settings import load_settings
from llmctx.tasks import end
from llmctx.trail.log.instance import bind_instance
from llmctx.worker import service_notice
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.service_notice import Service, fingerprint, note_prompts, note_start, note_stop
from tests.integration.conftest import ByRules, hold, leaves, person, serving

FIRST = Service("ab" * 32, ("position/v3",), people={"person-1": ("approver", "owner")})


async def test_a_start_names_people_once_and_says_what_is_new(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    instance, _ = await bind_instance(valkey, tmp_path)
    async with Owner(TrailHome(valkey, valkey_url, instance, tmp_path)) as owner:
        await note_start(owner, FIRST)
        await note_stop(owner)
        await note_start(owner, FIRST._replace(prompts=("position/v4",)))
        await note_start(owner, FIRST._replace(people={"person-2": ("operator",)}))
    found = [leaf for leaf in await leaves(valkey) if "service" in leaf]
    services = [leaf["service"] for leaf in found]
    assert [str(each["event"]) for each in services if isinstance(each, dict)] == ["start", "stop", "start", "start"]
    named = [each.get("people") for each in services if isinstance(each, dict)]
    assert named == [
        [{"id": "person-1", "roles": ["approver", "owner"]}], None, None, [{"id": "person-2", "roles": ["operator"]}],
    ]  # fmt: skip
    reasons = [str(leaf["verdict"]) for leaf in found]
    assert "new are" not in reasons[0]
    assert "new are prompts" in reasons[2]
    assert "new are prompts, people" in reasons[3]


def test_a_fingerprint_tells_keys_apart_within_a_trail_and_nothing_more() -> None:
    assert fingerprint("sk-one", "trail") == fingerprint("sk-one", "trail") != fingerprint("sk-two", "trail")
    assert fingerprint("sk-one", "trail") != fingerprint("sk-one", "another")
    assert len(fingerprint("sk-one", "trail")) == 16


async def test_another_key_is_told_at_the_start_without_the_key(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    instance, _ = await bind_instance(valkey, tmp_path)
    async with Owner(TrailHome(valkey, valkey_url, instance, tmp_path)) as owner:
        for key in ("sk-one", "sk-one", "sk-two"):
            await note_start(owner, FIRST._replace(keys={"endpoint": fingerprint(key, instance.id)}))
    found = [leaf for leaf in await leaves(valkey) if "service" in leaf]
    assert ["new are keys" in str(leaf["verdict"]) for leaf in found] == [False, False, True]
    assert "sk-" not in str(found)


class Book:
    """Prompts of which another version appears while they are asked with."""

    def __init__(self) -> None:
        self.templates = (load_template(asset("prompts"), "position/v1"),)

    def of(self, symbol: str) -> Template:  # noqa: ARG002
        return self.templates[0]


async def test_another_prompt_is_noted_once_and_counts_at_the_next_start(
    valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_notice, "REFRESH_S", 0.01)
    instance, _ = await bind_instance(valkey, tmp_path)
    book = Book()
    started = FIRST._replace(prompts=("position/v1",))
    async with Owner(TrailHome(valkey, valkey_url, instance, tmp_path)) as owner:
        await note_start(owner, started)
        watching = asyncio.create_task(note_prompts(owner, book, started.prompts))
        book.templates = (load_template(asset("prompts"), "position/v2"),)
        await asyncio.sleep(0.3)
        await end(watching)
        await note_start(owner, started._replace(prompts=("position/v2",)))
    found = [leaf for leaf in await leaves(valkey) if "service" in leaf]
    assert [leaf["service"]["event"] for leaf in found] == ["start", "prompts", "start"]  # type: ignore[index]
    assert found[1]["service"] == {"event": "prompts", "prompts": ["position/v2"]}
    assert "new are" not in str(found[2]["verdict"])


async def test_each_record_refers_to_who_answers_for_it(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await hold(valkey, "AAPL")
    async with serving(valkey, valkey_url, tmp_path, ByRules(), people={"R. Meier": ("approver", "owner")}) as running:
        await running.decide(valkey, "first", "AAPL")
    decided = next(leaf for leaf in await leaves(valkey) if leaf.get("tick") == "first")
    known = FIRST._replace(people={await person(valkey, "R. Meier"): ("approver", "owner")})
    assert decided["people_sha256"] == known.fields["people_sha256"]


def test_the_digest_of_settings_hides_secrets_and_tells_settings_apart() -> None:
    plain = load_settings()
    assert load_settings(confidence_floor="0.6").sha256 != plain.sha256
    first, second = (load_settings(llm={"api_key": key}).sha256 for key in ("one", "two"))
    assert first == second != plain.sha256
