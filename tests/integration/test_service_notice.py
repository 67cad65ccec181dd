"""The notices of a service: which settings and prompts it began with, who answers for it, and when it ended."""

from pathlib import Path

from redis.asyncio import Redis

from llmctx.settings import load_settings
from llmctx.trail.log.instance import bind_instance
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.service_notice import Service, note_start, note_stop
from tests.integration.conftest import leaves

FIRST = Service("ab" * 32, ("position/v3",), {"R. Meier": ("approver", "owner")})


async def test_a_start_names_people_once_and_says_what_is_new(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    instance, _ = await bind_instance(valkey, tmp_path)
    async with Owner(TrailHome(valkey, valkey_url, instance, tmp_path)) as owner:
        await note_start(owner, FIRST)
        await note_stop(owner)
        await note_start(owner, FIRST._replace(prompts=("position/v4",)))
        await note_start(owner, FIRST._replace(people={"T. Lang": ("operator",)}))
    found = [leaf for leaf in await leaves(valkey) if "service" in leaf]
    services = [leaf["service"] for leaf in found]
    assert [str(each["event"]) for each in services if isinstance(each, dict)] == ["start", "stop", "start", "start"]
    named = [each.get("people") for each in services if isinstance(each, dict)]
    assert named == [
        [{"name": "R. Meier", "roles": ["approver", "owner"]}], None, None, [{"name": "T. Lang", "roles": ["operator"]}],
    ]  # fmt: skip
    reasons = [str(leaf["verdict"]) for leaf in found]
    assert "new are" not in reasons[0]
    assert "new are prompts" in reasons[2]
    assert "new are prompts, people" in reasons[3]


def test_the_digest_of_settings_hides_secrets_and_tells_settings_apart() -> None:
    plain = load_settings()
    assert load_settings(confidence_floor="0.6").sha256 != plain.sha256
    first, second = (load_settings(llm={"api_key": key}).sha256 for key in ("one", "two"))
    assert first == second != plain.sha256
