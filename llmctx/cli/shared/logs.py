"""Where log records go: standard error, as lines for people or as one JSON object each."""

import json
import logging
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from llmctx import clock, log_context
from llmctx.cli.shared.output import messages
from llmctx.visible import hide

_FORMATTER = logging.Formatter()
_secrets: list[str] = []


class LogFormat(StrEnum):
    """How log records are written."""

    TEXT = "text"
    """Lines for people."""
    JSON = "json"
    """One JSON object each, for log collectors."""


def show_logs(form: LogFormat = LogFormat.TEXT) -> None:
    """Print the library's log records on standard error, from INFO on; those of other libraries from WARNING on."""
    handler: logging.Handler = _ForPeople()
    if form is LogFormat.JSON:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonLines())
        messages.logger = logging.getLogger("llmctx.cli")
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("llmctx").setLevel(logging.INFO)


def show_debug_logs() -> None:
    """Print the library's log records of level DEBUG too: where an error that nobody foresaw was raised."""
    logging.getLogger("llmctx").setLevel(logging.DEBUG)


def hide_in_logs(secrets: Iterable[str]) -> None:
    """From here on, hide these in every log record: other libraries log the addresses that they fail to reach."""
    _secrets[:] = secrets


class _ForPeople(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        show = messages.warning if record.levelno >= logging.WARNING else messages.note
        show(hide(record.getMessage(), _secrets))
        if record.exc_info:
            show(hide(_FORMATTER.formatException(record.exc_info), _secrets))


class _JsonLines(logging.Formatter):
    """Time, level, logger and message, then what the task is about, then the record's own `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": clock.iso(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hide(record.getMessage(), _secrets),
        }
        line |= log_context.current()
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = hide(self.formatException(record.exc_info), _secrets)
        return json.dumps(line, ensure_ascii=False, default=str)
