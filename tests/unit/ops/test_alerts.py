"""Alerts reach a real receiver: once, retried, without secrets, and whoever logs them never waits."""

import asyncio
import json
import logging
import re
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from llmctx import clock
from llmctx.errors import AlertError, ForkError, TrailError
from llmctx.ops.alerts import outbox
from llmctx.ops.alerts.alert import ALERTS, Alert
from llmctx.ops.alerts.outbox import Outbox, sending_alerts
from llmctx.ops.alerts.receiver import Command, Receiver, Retry, Webhook, deliver
from llmctx.ops.alerts.watch import telling_the_end
from tests.conftest import ROOT
from tests.unit.llm.wire import Answer, Request, Wire

OK = Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
BUSY = Answer(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
FORBIDDEN = Answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
DEAD = Answer(b"", then="reset")
SILENT = Answer(b"", then="hang")
SECRET = "hunterTwo"
AT_ONCE = Retry(attempts=3, first_pause_s=0.01)

log = logging.getLogger("llmctx.test")


@asynccontextmanager
async def sending(receiver: Receiver, *, repeat_s: float = 60.0, retry: Retry = AT_ONCE) -> AsyncIterator[Outbox]:
    box = Outbox(receiver, "abc", secrets=[SECRET], repeat_s=repeat_s)
    async with sending_alerts(box, receiver, retry):
        yield box


def documents(requests: list[Request]) -> list[dict[str, object]]:
    return [json.loads(request.body) for request in requests]


async def test_what_is_logged_as_an_alert_is_posted_and_nothing_else() -> None:
    async with Wire(OK) as wire, sending(Webhook(f"{wire.base_url}?k=1", token="t0ken")) as box:
        log.warning("just a warning")
        log.error("the trail has two histories", extra={"alert": "fork"})
        log.warning("AAPL waits", extra={"alert": "unconfirmed_stop", "subject": "AAPL"})
        await box.empty()
        first, second = documents(wire.requests)
    assert wire.requests[0].headers["authorization"] == "Bearer t0ken"
    assert (first["alert"], first["text"], first["level"]) == ("fork", "the trail has two histories", "error")
    assert (second["alert"], second["subject"], second["level"]) == ("unconfirmed_stop", "AAPL", "warning")
    assert first["instance"] == "abc"


async def test_the_same_alert_is_sent_once_and_another_subject_is_another_alert() -> None:
    async with Wire(OK) as wire, sending(Webhook(wire.base_url)) as box:
        for symbol in ("AAPL", "AAPL", "MSFT", "AAPL"):
            log.warning("%s waits", symbol, extra={"alert": "unconfirmed_stop", "subject": symbol})
        await box.empty()
    assert [found["subject"] for found in documents(wire.requests)] == ["AAPL", "MSFT"]


async def test_after_its_time_it_is_sent_again_and_says_how_often_it_was_noticed() -> None:
    async with Wire(OK) as wire, sending(Webhook(wire.base_url), repeat_s=0.2) as box:
        for _ in range(3):
            log.warning("again", extra={"alert": "memory"})
        await box.empty()
        await asyncio.sleep(0.25)
        log.warning("again", extra={"alert": "memory"})
        await box.empty()
    assert [found["repeats"] for found in documents(wire.requests)] == [0, 2]


async def test_a_receiver_that_fails_is_tried_again() -> None:
    async with Wire(BUSY, DEAD, OK) as wire, sending(Webhook(wire.base_url)) as box:
        log.error("x", extra={"alert": "fork"})
        await box.empty()
    assert len(wire.requests) == 3


async def test_one_that_refuses_is_not_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with Wire(FORBIDDEN) as wire, sending(Webhook(f"{wire.base_url}/{SECRET}")) as box:
        log.error("x", extra={"alert": "fork"})
        await box.empty()
    assert len(wire.requests) == 1
    assert "An alert could not be delivered: the webhook answered 403. It was fork" in caplog.text
    assert SECRET not in caplog.text


async def test_an_alert_that_was_not_delivered_is_tried_again_when_it_is_noticed_again() -> None:
    async with Wire(BUSY, BUSY, BUSY, OK) as wire, sending(Webhook(wire.base_url)) as box:
        for _ in range(2):
            log.error("x", extra={"alert": "fork"})
            await box.empty()
    assert len(wire.requests) == 4


async def test_whoever_logs_never_waits_and_the_end_waits_a_while_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_LAST_S", 0.5)
    async with Wire(SILENT) as wire:
        began_s = clock.monotonic_s()
        async with sending(Webhook(wire.base_url)):
            for number in range(500):
                log.error("x", extra={"alert": "foreign", "subject": str(number)})
            logged_s = clock.monotonic_s() - began_s
        ended_s = clock.monotonic_s() - began_s - logged_s
    assert logged_s < 2
    assert ended_s < 5


async def test_no_secret_is_in_an_alert() -> None:
    async with Wire(OK) as wire, sending(Webhook(wire.base_url)) as box:
        log.error("refused redis://svc:%s@host", SECRET, extra={"alert": "stopped"})
        await box.empty()
    assert SECRET.encode() not in wire.requests[0].body
    assert "redis://svc:***@host" in wire.requests[0].body.decode()


@pytest.mark.parametrize(
    ("error", "name"), [(ForkError(3, "spool", "aa", "bb"), "fork"), (TrailError("gone", "look"), "stopped")]
)
async def test_the_error_that_ends_a_service_is_told_before_it_ends(error: TrailError, name: str) -> None:
    async with Wire(OK) as wire:
        with pytest.raises(TrailError):
            async with sending(Webhook(wire.base_url)), telling_the_end():
                raise error
    (found,) = documents(wire.requests)
    assert found["alert"] == name
    assert error.what in str(found["text"])


def script(folder: Path, text: str) -> Path:
    file = folder / "tell"
    file.write_text(f"#!{sys.executable}\nimport os, pathlib, sys, time\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


async def test_a_command_reads_the_alert_and_has_only_the_environment_it_is_given(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    file = script(tmp_path, "pathlib.Path(sys.argv[1]).write_text(sys.stdin.read() + repr(sorted(os.environ)))")
    await deliver(Command(f"{file} '{told}'", {"DESK": "one"}), Alert("test", "Hello").document("abc"))
    assert told.read_text().startswith('{"alert": "test", "text": "Hello"')
    assert "'DESK'" in told.read_text()
    assert "'HOME'" not in told.read_text()


@pytest.mark.parametrize("command", ["/nowhere/tell", "'unbalanced", "{script}"])
async def test_a_command_that_fails_is_an_error_that_says_how(tmp_path: Path, command: str) -> None:
    file = script(tmp_path, "sys.exit(3)")
    with pytest.raises(AlertError, match=r"cannot be started|cannot be split|ended with 3"):
        await deliver(Command(command.format(script=file), {}), b"{}", AT_ONCE)


def test_every_alert_is_raised_somewhere_and_every_one_raised_is_known() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "llmctx").rglob("*.py"))
    assert set(re.findall(r'extra=\{"alert": "(\w+)"', sources)) == ALERTS.keys() - {"test"}


def test_the_documents_name_every_alert() -> None:
    text = (ROOT / "docs" / "operations" / "alerts.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == ALERTS.keys() - {"test"}
