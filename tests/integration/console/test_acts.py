"""People act through the pages, without scripts: they halt, approve, override and annotate, each as a record."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from playwright.async_api import Page
from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.console.access import Bind, make_token
from llmctx.console.subject import Live, Subject, live_subject
from llmctx.context.read_rules import ReadRules
from llmctx.decision.approval import ApprovalRule
from llmctx.decision.verdict import GuardPolicy
from llmctx.ops.doctor.subject import Places
from llmctx.trail.log.instance import require_instance
from llmctx.trail.log.log import Log
from tests.integration.conftest import NOW, hold, person, serving
from tests.integration.console.conftest import HOSTILE, Browser, opened
from tests.integration.console.test_browser import chromium
from tests.integration.test_people import PEOPLE, Adding, published

pytestmark = pytest.mark.more

WAITING = "1", "3"
"""The records that wait; 0 and 2 are notices of the trail itself."""
POLICY = GuardPolicy(approval=ApprovalRule(add=Decimal(400), expires_s=600))


@pytest.fixture
async def waiting(valkey: Redis, valkey_url: str, tmp_path: Path, short_pauses: None) -> AsyncIterator[Subject]:  # noqa: ARG001
    """A service at work, and two additions that wait."""
    await hold(valkey, "AAPL")
    await hold(valkey, "MSFT")
    async with serving(valkey, valkey_url, tmp_path, Adding(), policy=POLICY, people=PEOPLE) as running:
        for symbol in ("AAPL", "MSFT"):
            await running.decide(valkey, symbol, symbol)
        places = Places(tmp_path, asset("redis.conf"), tmp_path / "backups", asset("prompts"))
        yield live_subject(Live(valkey, valkey_url, await require_instance(valkey), ReadRules(), places, people=PEOPLE))


@asynccontextmanager
async def signed_in(subject: Subject, tmp_path: Path) -> AsyncIterator[tuple[Page, Browser]]:
    """A page of a Chromium without scripts, signed in, and the console that it looks at."""
    token = make_token(tmp_path)
    async with opened(subject, Bind(write=True)) as browser, chromium(java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(f"{browser.url}/sign-in?to=/approvals")
        await page.fill("input[name=token]", token)
        await page.click("button:has-text('Sign in')")
        await page.wait_for_url("**/approvals")
        yield page, browser


async def test_what_waits_is_approved_and_overridden_on_its_page(
    waiting: Subject, valkey: Redis, tmp_path: Path
) -> None:
    async with signed_in(waiting, tmp_path) as (page, browser):
        assert len((await browser.get("/api/v1/approvals")).document["waiting"]) == 2
        assert await page.locator("article.waiting").count() == 2
        assert await page.locator("article.waiting >> nth=0 >> option").all_inner_texts() == ["", "R. Meier"]
        for symbol, button in (("AAPL", "approve"), ("MSFT", "exit instead")):
            form = page.locator(f"article.waiting:has-text('{symbol}')")
            await form.locator("select[name=by]").select_option("R. Meier")
            await form.locator("input[name=why]").fill(f"{symbol} {HOSTILE}"[:200])
            await form.get_by_role("button", name=button).click()
            await page.wait_for_selector("[role=status]:has-text('recorded as')")
            await page.goto(f"{browser.url}/approvals")
        assert await page.locator("article.waiting").count() == 0
        assert "Nothing waits" in await page.inner_text("main")
        await page.goto(browser.url)
        assert "waits for a person" not in await page.inner_text("table.positions")
    assert [each["action"] for each in await published(valkey)] == ["hold", "hold", "add", "exit"]


async def test_the_desk_halts_and_resumes_and_a_decision_takes_notes(
    waiting: Subject, valkey: Redis, tmp_path: Path
) -> None:
    async with signed_in(waiting, tmp_path) as (page, browser):
        for button in ("halt", "resume"):
            await page.goto(browser.url)
            await page.click("summary:has-text('Halt')")
            await page.select_option("select[name=by]", "T. Lang")
            await page.fill("input[name=why]", "a drill")
            await page.get_by_role("button", name=button).click()
            await page.wait_for_selector("[role=status]:has-text('recorded as')")
            assert ("⚠ all" in await page.inner_text("main")) is (button == "halt")
        await page.goto(f"{browser.url}/decisions/{WAITING[0]}")
        await page.select_option("select[name=by]", "T. Lang")
        await page.fill("input[name=why]", "seen")
        await page.get_by_role("button", name="annotate").click()
        await page.wait_for_selector("text=annotated by T. Lang: seen")
        await page.select_option("select[name=by]", "T. Lang")
        await page.fill("input[name=why]", "seen")
        await page.get_by_role("button", name="approve").click()
        await page.wait_for_selector("text=needs the role approver")
    records = [entry.record async for entry in Log(valkey).read()]
    lang = await person(valkey, "T. Lang")
    assert [(one["control"]["act"], one["control"]["by"]) for one in records if "control" in one] == [
        ("halt", lang),
        ("resume", lang),
    ]


async def test_the_api_takes_approvals_and_halts_as_its_document_says(waiting: Subject, tmp_path: Path) -> None:
    bearer = f"Bearer {make_token(tmp_path)}"
    one, two = WAITING
    said = {"address": one, "by": "R. Meier", "why": "within plan"}
    asked: list[tuple[str, dict[str, str], int]] = [
        ("/approvals", said | {"kind": "approval"}, 202),
        ("/approvals", said | {"kind": "override"}, 400),
        ("/approvals", said | {"address": two, "kind": "override", "action": "hold"}, 202),
        ("/approvals", said | {"kind": "approval"}, 409),
        ("/annotations", said, 202),
        ("/annotations", said | {"kind": "annotation"}, 400),
        ("/halt", {"by": "T. Lang", "why": "a drill"}, 202),
        ("/ticks", {"symbol": "AAPL"}, 202),
        ("/ticks", {"symbol": "\n"}, 400),
        ("/effects", {"id": "e1", "symbol": "AAPL", "status": "cancelled", "at": NOW}, 202),
        ("/effects", {"id": "e2"}, 400),
    ]
    async with opened(waiting, Bind(write=True)) as browser:
        document = (await browser.get("/api/v1/openapi.json")).document
        for path, body, status in asked:
            answer = await browser.ask("POST", f"/api/v1{path}", json.dumps(body).encode(), Authorization=bearer)
            assert answer.status == status, (path, body, answer.text)
            described = document["paths"][f"/api/v1{path}"]["post"]
            parts = {"components": document["components"]}
            responses = described["responses"]
            content = responses.get(str(status), responses["default"])["content"]["application/json"]["schema"]
            Draft202012Validator(content | parts).validate(answer.document)
            request = described["requestBody"]["content"]["application/json"]["schema"]
            if status == 202:
                Draft202012Validator(request | parts).validate(body)
