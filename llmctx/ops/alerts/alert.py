"""An alert: what somebody must know now, as one JSON object.

The only interface is logging: a log record that has an `alert` (`extra={"alert": NAME}`, and `"subject"` if there may
be several of a kind) is an alert. So every alert is in the log too, in the same words.
"""

import json
import logging
import os
import socket
from collections.abc import Iterable
from typing import NamedTuple

from llmctx import clock
from llmctx.version import VERSION
from llmctx.visible import hide

ALERTS = {
    "unconfirmed_stop": "a price in doubt has reached a stop, and the position is held until it is confirmed",
    "dead_letter": "a tick could not be decided",
    "model_failures": "calls of the model fail one after another; again each time their number has doubled",
    "budget": "the daily budget does not suffice for another call, and the guardrails decide alone",
    "halt": "somebody or something halted all symbols or one: no new risk is taken, and no model is asked",
    "fork": "Redis contradicts spool or anchor, and the service has ended",
    "stopped": "the service has ended with another error",
    "broken": "a part of the service failed with an unforeseen error; it continues without it or tries again",
    "foreign": "somebody else wrote to the trail, the published decisions, the map of ticks or the functions",
    "unsigned": "records have waited for two minutes or more without a checkpoint",
    "memory": "memory that cannot expire passes 70% of maxmemory, or no more ticks are taken",
    "backup": "`llmctx backup` failed, or its copy is bad",
    "maintenance": "`llmctx run --maintenance`: a step failed; it is tried again in an hour",
    "test": "`llmctx alerts --test`",
}
"""The meaning of each alert."""

MAX_TEXT_CHARS = 1000


class Alert(NamedTuple):
    """One alert."""

    name: str
    """Its name in ALERTS."""
    text: str
    """What happened, in a sentence or two."""
    subject: str = ""
    """Its subject, such as the symbol; alerts with the same name and subject are repetitions."""
    level: str = "error"
    """warning or error."""
    at_ms: int = 0
    """When it was noticed, in milliseconds since 1970 by this host's clock."""
    repeats: int = 0
    """How often it was repeated since it was last sent."""

    def document(self, instance: str) -> bytes:
        """The JSON object that is sent."""
        fields = {
            "alert": self.name,
            "text": self.text,
            "level": self.level,
            "subject": self.subject or None,
            "repeats": self.repeats,
            "at": clock.iso(self.at_ms),
            "instance": instance,
            "source": f"{socket.gethostname()}:{os.getpid()}",
            "version": VERSION,
        }
        return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")


def alert_of(record: logging.LogRecord, secrets: Iterable[str] = ()) -> Alert | None:
    """The alert in a log record, with the secrets in its text hidden; None if it is not an alert."""
    name = getattr(record, "alert", None)
    if name not in ALERTS:
        return None
    return Alert(
        name=str(name),
        text=hide(record.getMessage(), secrets)[:MAX_TEXT_CHARS],
        subject=str(getattr(record, "subject", "")),
        level="error" if record.levelno >= logging.ERROR else "warning",
        at_ms=clock.now_ms(),
    )
