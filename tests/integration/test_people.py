"""What people say about decisions: approvals, overrides and annotations, beside a running service."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.clock import now_ms
from llmctx.connection.streams import read_stream
from llmctx.decision.approval import ApprovalRule
from llmctx.decision.verdict import GuardPolicy
from llmctx.errors import RequestError
from llmctx.llm.completion import Completion, read_completion
from llmctx.llm.output import OutputSchema
from llmctx.prompt.render import Prompt
from llmctx.replay.reconcile import reconcile
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.statement import Act
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import origin_of
from llmctx.trail.proof.request import Request
from llmctx.worker.home import TrailHome
from llmctx.worker.people import REQUEST
from llmctx.worker.saying import say
from tests.integration.conftest import ByRules, Running, hold, person, serving
from tests.integration.program import until
from tests.unit.makers import answer_text

PEOPLE = {"R. Meier": ("approver",), "T. Lang": ("operator",)}
POLICY = GuardPolicy(approval=ApprovalRule(add=Decimal(400), expires_s=600))


class Adding(ByRules):
    """Adds five shares, whatever it is shown; each is worth 100."""

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002
        content = answer_text(action="add", quantity=5)
        message = {"role": "assistant", "content": content}
        body = {"id": "x", "model": "adding", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return read_completion(json.dumps(body).encode(), {"schema": output.name, "schema_sha256": output.sha256}, ())


@pytest.fixture
async def service(valkey: Redis, valkey_url: str, tmp_path: Path, short_pauses: None) -> AsyncIterator[Running]:  # noqa: ARG001
    """A service whose additions of 400 and more wait, and one decision on AAPL, in record 1."""
    await hold(valkey, "AAPL")
    async with serving(valkey, valkey_url, tmp_path, Adding(), policy=POLICY, people=PEOPLE) as running:
        await running.decide(valkey, "first", "AAPL")
        yield running


@pytest.fixture
async def home(valkey: Redis, valkey_url: str, tmp_path: Path) -> TrailHome:
    instance, _ = await bind_instance(valkey, tmp_path)
    return TrailHome(valkey, valkey_url, instance, tmp_path)


def request(home: TrailHome, said: Act) -> dict[str, bytes]:
    """The entry of the tick stream that asks the owner to record it."""
    asked = Request(what=REQUEST, made_ms=now_ms(), body=said.model_dump(mode="json"))
    return asked.fields(home.writer, origin_of(home.instance.id, 0))


async def published(redis: Redis) -> list[dict[str, Any]]:
    return [json.loads(entry.fields[b"decision"]) for entry in await read_stream(redis, keys.decisions(0))]


def act(kind: str = "approval", by: str = "R. Meier", **more: Any) -> Act:
    return Act.model_validate({"kind": kind, "index": 1, "by": by, "why": "within plan"} | more)


async def test_what_waits_is_published_as_waiting_and_once_more_when_it_is_approved(
    service: Running, home: TrailHome, valkey: Redis
) -> None:
    (waiting,) = await published(valkey)
    assert (waiting["action"], waiting["quantity"]) == ("hold", None)
    assert (waiting["awaits"]["action"], waiting["awaits"]["quantity"]) == ("add", 5)
    where = await say(home, 0, act())
    _, approved = await published(valkey)
    assert (approved["action"], approved["quantity"], approved["stands_for"]) == ("add", 5, "1")
    assert (approved["address"], approved["entry_time"]) == (where, waiting["entry_time"])
    with pytest.raises(RequestError, match="not the last word"):
        await say(home, 0, act())
    assert len([entry for entry in service.entries if entry.said]) == 0  # requests are told by their record alone
    entries = [entry async for entry in Log(valkey).read()]
    (trade,) = reconcile(entries, 1)
    by = await person(valkey, "R. Meier")
    assert (trade.address, trade.action, trade.people) == (where, "add", [f"approved by {by}: within plan"])
    assert (await verify_log(Log(valkey))).fault is None


async def test_a_person_decides_in_a_decisions_place(service: Running, home: TrailHome, valkey: Redis) -> None:
    await say(home, 0, act("override", action="exit"))
    assert [(each["action"], each["quantity"]) for each in await published(valkey)] == [("hold", None), ("exit", 10)]
    assert service.troubles == []


async def test_an_annotation_changes_nothing(service: Running, home: TrailHome, valkey: Redis) -> None:
    where = await say(home, 0, act("annotation", by="T. Lang"))
    assert len(await published(valkey)) == 1
    entry = await Log(valkey).entry(int(where))
    assert entry is not None
    assert entry.record["person"] == {"by": await person(valkey, "T. Lang"), "why": "within plan"}
    assert service.troubles == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"by": "Nobody"}, "not among the people"),
        ({"by": "T. Lang"}, "needs the role approver"),
        ({"index": 0}, "no verdict on a position"),
        ({"index": 77}, "no record 77"),
    ],
)
async def test_the_owner_refuses_what_its_settings_do_not_allow(
    service: Running, home: TrailHome, valkey: Redis, changes: dict[str, Any], why: str
) -> None:
    await valkey.xadd(keys.ticks(0), request(home, act(**changes)))  # type: ignore[arg-type]
    await service.until_trouble(why)
    assert not [entry for entry in [each async for each in Log(valkey).read()] if entry.said]


@pytest.mark.usefixtures("short_pauses")
async def test_what_has_expired_is_not_approved(
    valkey: Redis, valkey_url: str, tmp_path: Path, home: TrailHome
) -> None:
    await hold(valkey, "AAPL")
    policy = GuardPolicy(approval=ApprovalRule(add=Decimal(0), expires_s=1))
    async with serving(valkey, valkey_url, tmp_path, Adding(), policy=policy) as running:
        await running.decide(valkey, "first", "AAPL")
        await asyncio.sleep(1.1)
        with pytest.raises(RequestError, match="could be approved until"):
            await say(home, 0, act())


async def test_a_request_that_is_delivered_again_is_recorded_once(
    service: Running, home: TrailHome, valkey: Redis
) -> None:
    entry = request(home, act())
    for _ in range(3):
        await valkey.xadd(keys.ticks(0), entry)  # type: ignore[arg-type]
    await until(lambda: _is_empty(valkey))
    assert len([each for each in [each async for each in Log(valkey).read()] if each.said]) == 1
    assert len(await published(valkey)) == 2
    assert service.troubles == []


async def _is_empty(redis: Redis) -> bool:
    return await redis.xlen(keys.ticks(0)) == 0
