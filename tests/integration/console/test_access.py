"""Who may: the console answers only under its own address, writes only with the token, and opens to others only by TLS."""

import json
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection.streams import read_stream
from llmctx.console.access import Bind, door_of, make_token
from llmctx.console.subject import Subject
from llmctx.errors import ConsoleError
from tests.certificates import make_certificate
from tests.integration.conftest import NOW, person
from tests.integration.console.conftest import HONEST, Browser, opened

TICK = b'{"symbol": "AAPL", "cause": "asked by hand", "id": "mine"}'


def state_dir_of(subject: Subject) -> Path:
    assert subject.live is not None
    return subject.live.places.state_dir


ANSWERS = {
    ("GET", "/"): 200, ("GET", "/static/console.css"): 200, ("GET", "/api/v1/status"): 200, ("GET", "/nowhere"): 404,
    ("GET", "/api/v1/nowhere"): 404, ("GET", "/decisions/0/receipt"): 200, ("GET", "/find.csv"): 200, ("POST", "/"): 405,
    ("POST", "/api/v1/health"): 405, ("GET", "/quality?limit=x"): 400,
}  # fmt: skip
"""Requests that carry the token, and the status of their answers."""


async def test_every_answer_keeps_scripts_and_frames_of_others_out(subject: Subject) -> None:
    token = make_token(state_dir_of(subject))
    async with opened(subject, Bind(write=True)) as browser:
        for (method, path), status in ANSWERS.items():
            answer = await browser.ask(method, path, None, Authorization=f"Bearer {token}")
            assert answer.status == status, path
            check_headers(answer.headers, path)
        check_headers((await browser.ask("POST", "/api/v1/ticks", b"{}")).headers, "401")
        check_headers((await browser.get("/", Host="evil.example")).headers, "403")
        async with browser.session.get(f"{browser.url}/stream/desk") as stream:
            check_headers({name.lower(): value for name, value in stream.headers.items()}, "/stream/desk")


async def test_an_error_of_our_own_has_the_same_headers_and_tells_nothing(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(subject) as browser:
        monkeypatch.setattr("llmctx.console.pages.comparisons_in", None)  # a defect: it is not callable
        answer = await browser.get("/compare")
        assert answer.status == 500
        assert "NoneType" not in answer.text
        check_headers(answer.headers, "/compare")


def check_headers(headers: Mapping[str, str], path: str) -> None:
    """Fail if one of the headers that every answer carries is not there."""
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "no-store" in headers["cache-control"] or path.startswith("/static/")
    assert not {"server", "x-powered-by", "access-control-allow-origin"} & headers.keys()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example"])
async def test_a_name_that_another_site_points_at_this_machine_is_refused(browser: Browser, host: str) -> None:
    assert (await browser.get("/", Host=host)).status == 403


async def test_another_sites_page_may_not_read(browser: Browser) -> None:
    assert (await browser.get("/api/v1/status", Origin="https://evil.example")).status == 403
    assert (await browser.get("/api/v1/status", Origin="null")).status == 403
    assert (await browser.get("/api/v1/status", Origin=browser.url)).status == 200


async def test_without_write_nothing_can_be_changed(browser: Browser, subject: Subject, valkey: Redis) -> None:
    token = make_token(state_dir_of(subject))
    answer = await browser.ask("POST", "/api/v1/ticks", TICK, Authorization=f"Bearer {token}")
    assert answer.status == 403
    assert await valkey.xlen("ticks:{0}") == 0


async def test_a_tick_is_raised_with_the_token_and_not_without(subject: Subject, valkey: Redis) -> None:
    token = make_token(state_dir_of(subject))
    async with opened(subject, Bind(write=True)) as browser:
        for wrong in ("", "Bearer ", "Bearer wrong", f"Basic {token}"):
            assert (await browser.ask("POST", "/api/v1/ticks", TICK, Authorization=wrong)).status == 401
        assert await valkey.xlen("ticks:{0}") == 0
        answer = await browser.ask("POST", "/api/v1/ticks", TICK, Authorization=f"Bearer {token}")
        assert (answer.status, answer.document) == (202, {"tick": "mine", "symbol": "AAPL"})
        (raised,) = await read_stream(valkey, "ticks:{0}")
        assert raised.fields[b"cause"] == b"asked by hand"
        for bad in (b"{", b'{"symbol": "\\n"}', b'{"symbol": "AAPL", "more": 1}'):
            assert (await browser.ask("POST", "/api/v1/ticks", bad, Authorization=f"Bearer {token}")).status == 400


async def test_a_session_needs_its_form_key_to_change_something(subject: Subject, valkey: Redis) -> None:
    token = make_token(state_dir_of(subject))
    async with opened(subject, Bind(write=True)) as browser:
        assert "Sign in" in (await browser.get("/symbols/AAPL")).text
        signed = await browser.ask("POST", "/sign-in", f"token={token}&to=//evil.example".encode())
        assert (signed.status, signed.headers["location"]) == (303, "/")
        assert "HttpOnly" in signed.headers["set-cookie"]
        assert "SameSite=strict" in signed.headers["set-cookie"]
        for body in (b"", b"form_key=", b"form_key=" + b"0" * 64):
            assert (await browser.ask("POST", "/symbols/AAPL", body)).status == 401
        assert (await browser.ask("POST", "/api/v1/ticks", TICK)).status == 401
        assert await valkey.xlen("ticks:{0}") == 0
        (key,) = re.findall('name="form_key" value="([0-9a-f]{64})"', (await browser.get("/symbols/AAPL")).text)
        refused = await browser.ask("POST", "/symbols/AAPL", f"form_key={key}".encode(), Origin="https://evil.example")
        assert refused.status == 403
        asked = await browser.ask("POST", "/symbols/AAPL", f"form_key={key}".encode())
        assert (asked.status, asked.headers["location"].partition("=")[0]) == (303, "/symbols/AAPL?asked")
        assert await valkey.xlen("ticks:{0}") == 1


async def test_guessing_is_slowed_down(subject: Subject) -> None:
    make_token(state_dir_of(subject))
    async with opened(subject, Bind(write=True)) as browser:
        tries = [(await browser.ask("POST", "/sign-in", b"token=guess")).status for _ in range(14)]
    assert tries[0] == 303
    assert tries[-1] == 429


async def test_a_large_body_is_refused(subject: Subject) -> None:
    token = make_token(state_dir_of(subject))
    async with opened(subject, Bind(write=True)) as browser:
        answer = await browser.ask("POST", "/api/v1/ticks", b" " * 100_000, Authorization=f"Bearer {token}")
        assert answer.status == 413


def test_a_token_is_kept_as_a_hash_for_its_owner_alone(tmp_path: Path) -> None:
    token = make_token(tmp_path)
    file = tmp_path / "console" / "token"
    assert token not in file.read_text()
    assert re.fullmatch("[0-9a-f]{64}\n", file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    door = door_of(Bind(write=True), 80, tmp_path)
    assert door.accepts(token)
    assert not door.accepts(make_token(tmp_path / "other"))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "desk.example"])
def test_others_are_let_in_only_by_tls_and_with_a_token(tmp_path: Path, host: str) -> None:
    pem = tmp_path / "pem"
    with pytest.raises(ConsoleError, match="read along"):
        door_of(Bind(host), 443, tmp_path)
    with pytest.raises(ConsoleError, match="needs a token"):
        door_of(Bind(host, certificate=pem, key=pem), 443, tmp_path)
    make_token(tmp_path)
    assert door_of(Bind(host, certificate=pem, key=pem), 443, tmp_path).reads_need_token


def test_writing_needs_a_token_on_this_machine_too(tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match="llmctx console token"):
        door_of(Bind(write=True), 80, tmp_path)
    assert not door_of(Bind(), 80, tmp_path).writes


async def test_beyond_this_machine_reading_needs_the_token_and_a_browser_signs_in(
    subject: Subject, tmp_path: Path
) -> None:
    token = make_token(state_dir_of(subject))
    pem = make_certificate(tmp_path / "pem")
    bind = Bind("0.0.0.0", certificate=pem, key=pem, names=("127.0.0.1",))
    async with opened(subject, bind) as other:
        browser = Browser(other.url.replace("0.0.0.0", "127.0.0.1"), other.session)
        page = await browser.get("/find", Accept="text/html")
        assert (page.status, page.headers["location"]) == (303, "/sign-in?to=/find")
        assert (await browser.get("/sign-in")).status == 200
        assert (await browser.get("/api/v1/status")).status == 401
        assert (await browser.get("/api/v1/status", Authorization=f"Bearer {token}")).status == 200
        assert "max-age" in page.headers["strict-transport-security"]
        signed = await browser.ask("POST", "/sign-in", f"token={token}&to=/find".encode())
        assert signed.headers["location"] == "/find"
        assert signed.headers["set-cookie"].startswith("__Host-llmctx=")
        assert "Secure" in signed.headers["set-cookie"]
        assert (await browser.get("/find")).status == 200


async def test_halts_statements_and_effects_are_written_as_the_command_line_does(
    subject: Subject, valkey: Redis
) -> None:
    token = make_token(state_dir_of(subject))
    asked: dict[str, dict[str, object]] = {
        "/halt": {"symbol": "AAPL", "by": "R. Ohm", "why": "a drill"},
        "/annotations": {"address": HONEST, "by": "R. Ohm", "why": "seen"},
        "/effects": {
            "id": "e1",
            "symbol": "AAPL",
            "status": "filled",
            "at": NOW,
            "side": "buy",
            "quantity": 1,
            "price": 100,
        },
    }
    async with opened(subject, Bind(write=True)) as browser:
        for path, body in asked.items():
            text = json.dumps(body).encode()
            assert (await browser.ask("POST", f"/api/v1{path}", text)).status == 401
            answer = await browser.ask("POST", f"/api/v1{path}", text, Authorization=f"Bearer {token}")
            assert answer.status == 202, answer.text
        status = (await browser.get("/api/v1/status")).document
        assert status["halted"] == ["AAPL"]
        assert await valkey.xlen("effects:{0}") == 1
        (said,) = (await browser.get(f"/api/v1/decisions/{HONEST}")).document["said"]
        ohm = await person(valkey, "R. Ohm")
        assert (said["kind"], said["person"]["by"]) == ("annotation", ohm)
        found = (await browser.get("/api/v1/decisions?kind=notice&limit=1")).document["records"]
        assert found[0]["control"] == {"act": "halt", "by": ohm, "why": "a drill"}
