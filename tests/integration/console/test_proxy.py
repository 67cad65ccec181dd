"""A proxy that signs people in: its header is believed from its addresses alone, and its people act under their names."""

import asyncio
import ipaddress
import json
import re
from pathlib import Path

import pytest

from llmctx.console.access import Bind, Proxy, door_of, make_token
from llmctx.console.subject import Subject
from llmctx.errors import ConsoleError
from tests.integration.conftest import person
from tests.integration.console.conftest import HONEST, opened

DESK = "https://desk.example"
LOOPBACK, ELSEWHERE = ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("192.0.2.7/32")
PROXY = Proxy((LOOPBACK,), "X-Forwarded-User", DESK)
OHM = {"Host": "desk.example", "X_Forwarded_User": "R. Ohm"}
NOTE = json.dumps({"address": HONEST, "by": "R. Ohm", "why": "seen"}).encode()


async def test_whom_the_proxy_names_may_read_and_nobody_else_may(subject: Subject) -> None:
    async with opened(subject, Bind(proxy=PROXY)) as browser:
        assert (await browser.get("/", **OHM)).status == 200
        assert (await browser.get("/", **OHM, Origin=DESK)).status == 200
        assert (await browser.get("/", **OHM, Origin="https://evil.example")).status == 403
        assert (await browser.get("/", Host="desk.example")).status == 401
        assert (await browser.get("/", Host="desk.example", X_Forwarded_User="x" * 101)).status == 401
        assert (await browser.get("/")).status == 200


async def test_the_header_is_ignored_if_it_does_not_come_from_the_proxy(subject: Subject) -> None:
    async with opened(subject, Bind(write=True, proxy=PROXY._replace(networks=(ELSEWHERE,)))) as browser:
        assert (await browser.get("/", **OHM)).status == 403
        json_type = {"Content_Type": "application/json", "X_Forwarded_User": "R. Ohm"}
        assert (await browser.ask("POST", "/api/v1/annotations", NOTE, **json_type)).status == 401


async def test_a_person_of_the_proxy_acts_under_their_own_name_alone(subject: Subject) -> None:
    async with opened(subject, Bind(write=True, proxy=PROXY)) as browser:
        sent = OHM | {"Content_Type": "application/json"}
        assert (await browser.ask("POST", "/api/v1/annotations", NOTE, **sent)).status == 202
        other = await browser.ask("POST", "/api/v1/annotations", NOTE.replace(b"R. Ohm", b"T. Lang"), **sent)
        assert (other.status, "signed in as R. Ohm" in other.text) == (400, True)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            forged = await browser.ask("POST", "/api/v1/annotations", NOTE, **OHM | {"Content_Type": kind})
            assert forged.status == 401, kind
        page = (await browser.get(f"/decisions/{HONEST}", **OHM)).text
        (key,) = set(re.findall('name="form_key" value="([0-9a-f]{64})"', page))
        form = f"form_key={key}&why=again&do=annotation".encode()
        sent = OHM | {"Content_Type": "application/x-www-form-urlencoded"}
        lang = sent | {"X_Forwarded_User": "T. Lang"}
        assert (await browser.ask("POST", f"/decisions/{HONEST}", form, **lang)).status == 401
        assert (await browser.ask("POST", f"/decisions/{HONEST}", form, **sent)).status == 303
        said = (await browser.get(f"/api/v1/decisions/{HONEST}")).document["said"]
        assert subject.live is not None
        ohm = await person(subject.live.redis, "R. Ohm")
        assert [one["person"] for one in said] == [{"by": ohm, "why": why} for why in ("seen", "again")]


async def test_with_people_in_the_settings_others_may_only_read(subject: Subject) -> None:
    assert subject.live is not None
    named = subject._replace(live=subject.live._replace(people={"T. Lang": ("operator",)}))
    async with opened(named, Bind(write=True, proxy=PROXY)) as browser:
        assert (await browser.get("/", **OHM)).status == 200
        sent = OHM | {"Content_Type": "application/json"}
        refused = await browser.ask("POST", "/api/v1/halt", b'{"by": "R. Ohm", "why": "x"}', **sent)
        assert (refused.status, "not among the people" in refused.text) == (400, True)
        tick = await browser.ask("POST", "/api/v1/ticks", b'{"symbol": "AAPL"}', **sent)
        assert (tick.status, "not among the people" in tick.text) == (400, True)


def test_the_proxy_stands_in_for_the_token(tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match="needs a token"):
        door_of(Bind(write=True), 8780, tmp_path)
    door = door_of(Bind(write=True, proxy=PROXY), 8780, tmp_path)
    assert door.writes
    assert not door.accepts("")
    beyond = door_of(Bind("0.0.0.0", write=True, proxy=PROXY), 8780, tmp_path)
    assert beyond.origins == frozenset()  # without TLS only the proxy may connect
    make_token(tmp_path)
    with pytest.raises(ConsoleError, match="read along"):
        door_of(Bind("0.0.0.0", write=True), 8780, tmp_path)


async def test_reading_is_limited_for_each_client(subject: Subject) -> None:
    async with opened(subject, Bind(proxy=PROXY)) as browser:
        seen = await asyncio.gather(*(browser.get("/api/v1/no", **OHM) for _ in range(600)))
        refused = [answer for answer in seen if answer.status == 429]
        assert len(refused) > 100
        assert refused[0].headers["retry-after"] == "1"
        assert (await browser.get("/", **OHM | {"X_Forwarded_User": "T. Lang"})).status == 200
