"""The API: its document describes its answers, its stream follows the trail, and it says what the command line says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator
from redis.asyncio import Redis

from llmctx.console.stream import MAX_READERS, desk_stream
from llmctx.console.subject import Subject, copy_subject
from llmctx.errors import ConsoleError
from tests.conftest import free_port
from tests.integration.conftest import ByRules, hold, raise_tick, serving
from tests.integration.console.conftest import EVIL, HONEST, Browser, opened
from tests.integration.program import Program, until


@pytest.fixture
async def document(browser: Browser) -> dict[str, Any]:
    """The OpenAPI document."""
    found = (await browser.get("/api/v1/openapi.json")).document
    assert isinstance(found, dict)
    return found


async def test_every_answer_has_the_form_that_the_document_gives_it(browser: Browser, document: dict[str, Any]) -> None:
    asked = 0
    for path, operations in document["paths"].items():
        if "get" not in operations or path.endswith("/stream"):
            continue
        content = operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        schema = content | {"components": document["components"]}
        for address in (HONEST, EVIL):
            answer = await browser.get(path.replace("{address}", address))
            assert answer.status == 200, path
            Draft202012Validator(schema).validate(answer.document)
            asked += 1
        problem = await browser.get(f"{path.replace('{address}', '99')}?no=such") if "{" in path else None
        if problem is not None:
            assert problem.status == 404
            assert problem.document.keys() == {"error", "what_to_do"}
    assert asked == 16


async def test_the_api_says_what_the_command_line_says(dumb: Program, browser: Browser) -> None:
    shown, receipt, listed = await dumb.all(f"show {EVIL} --json", f"receipt {EVIL}", "decisions --json --limit 9")
    assert (await browser.get(f"/api/v1/decisions/{EVIL}")).document == shown.document
    assert (await browser.get(f"/api/v1/decisions/{EVIL}/receipt")).document == receipt.document
    assert (await browser.get("/api/v1/decisions")).document["records"] == listed.lines[::-1]


async def events(browser: Browser, path: str) -> AsyncIterator[tuple[str, str]]:
    """Name and data of each event of a stream."""
    async with browser.session.get(browser.url + path) as response:
        assert response.content_type == "text/event-stream"
        name, lines = "", []
        async for raw in response.content:
            line = raw.decode().rstrip("\r\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                lines.append(line.removeprefix("data: "))
            elif not line and lines:
                yield name, "\n".join(lines)
                name, lines = "", []


async def test_the_stream_sends_each_record_once_it_is_recorded(
    browser: Browser, subject: Subject, valkey: Redis, valkey_url: str
) -> None:
    assert subject.live is not None
    seen: list[dict[str, Any]] = []

    async def listen() -> None:
        async for name, data in events(browser, "/api/v1/decisions/stream"):
            assert name == "decision"
            seen.append(json.loads(data))

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.5)
    async with serving(valkey, valkey_url, subject.live.places.state_dir, ByRules()) as running:
        for number in range(3):
            await running.decide(valkey, f"late-{number}", "AAPL")
    async with asyncio.timeout(20):
        await until(lambda: len([record for record in seen if record["kind"] == "decision"]) == 3)
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening
    assert [record.get("tick") for record in seen if "tick" in record] == ["late-0", "late-1", "late-2"]


async def test_the_desk_is_sent_at_once_and_again_only_if_it_changed(browser: Browser, valkey: Redis) -> None:
    names: list[str] = []
    async with asyncio.timeout(20):
        async for name, data in events(browser, "/stream/desk"):
            names.append(name)
            if name == "page" and names.count("page") == 1:
                assert "AAPL" in data
            if names.count("time") == 3:
                break
    assert names.count("page") == 1
    assert await valkey.ping()


async def test_readers_beyond_the_limit_are_told_so(subject: Subject) -> None:
    stream = desk_stream(subject)
    for _ in range(MAX_READERS):
        stream.open()
    with pytest.raises(ConsoleError, match="read this stream already"):
        stream.open()
    await stream.close()


async def test_an_export_is_shown_without_a_server(dumb: Program, subject: Subject, tmp_path: Path) -> None:
    done = await dumb("export", str(tmp_path / "export"))
    assert done.code == 0, done.err
    live = subject.live
    assert live is not None
    copy = copy_subject(str(tmp_path / "export"))
    async with opened(subject) as original, opened(copy._replace(live=None), state_dir=tmp_path) as copied:
        for path in (f"/api/v1/decisions/{EVIL}", f"/api/v1/decisions/{EVIL}/receipt", "/api/v1/quality"):
            assert (await copied.get(path)).document == (await original.get(path)).document
        assert "is a copy" in (await copied.get("/")).text
        assert "is a copy" in (await copied.get("/health")).text
        assert (await copied.get("/api/v1/status")).status == 400


async def test_report_writes_one_file_and_replaces_no_other(dumb: Program, subject: Subject) -> None:
    one, day = await dumb.all(f"report {EVIL} --html one.html", "report --day 2026-03-02 --html day.html")
    assert (one.code, day.code) == (0, 0), one.err + day.err
    for name in ("one.html", "day.html"):
        text = (dumb.folder / name).read_text(encoding="utf-8")
        assert "http://" not in text
        assert "https://" not in text
        assert "<img" not in text
    (dumb.folder / "mine.html").write_text("mine")
    codes = [ended.code for ended in await dumb.all(f"report {EVIL} --html mine.html", "report --html x.html")]
    assert codes == [2, 2]
    assert (dumb.folder / "mine.html").read_text() == "mine"
    assert subject.live is not None


async def test_run_serves_the_console_beside_the_service(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    port = free_port()
    async with program.running(valkey, "--console", str(port)) as process:
        await raise_tick(valkey, "one", "AAPL")
        async with asyncio.timeout(60):
            async with aiohttp.ClientSession() as session:
                browser = Browser(f"http://127.0.0.1:{port}", session)

                async def recorded() -> bool:
                    return bool((await browser.get("/api/v1/decisions?kind=decision")).document["records"])

                await until(recorded)
                assert (await browser.get("/")).status == 200
        ended = await program.stop(process)
        assert ended.code == 0
        assert f"http://127.0.0.1:{port}/" in ended.err


async def test_a_replay_is_compared_and_stands_beside_its_decision(program: Program, subject: Subject) -> None:
    asked = await program("replay", HONEST, "--prompt", "position/v2", "--out", "other.jsonl")
    assert asked.code == 0, asked.err
    async with opened(subject._replace(replays=program.folder)) as browser:
        assert "other.jsonl" in (await browser.get("/compare")).text
        page = await browser.get("/compare/page?a=recorded&b=other.jsonl")
        assert (page.status, 'href="/static/comparison.css"' in page.text) == (200, True)
        assert " style=" not in page.text
        assert (await browser.get("/static/comparison.css")).status == 200
        assert "position/v2" in (await browser.get(f"/decisions/{HONEST}")).text
        assert "Nobody else was asked" in (await browser.get(f"/decisions/{EVIL}")).text
        for outside in ("../var/instance.json", "%2Fetc%2Fpasswd", "recorded"):
            assert (await browser.get(f"/compare/page?a=recorded&b={outside}")).status == 400
