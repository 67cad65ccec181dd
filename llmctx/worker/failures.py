"""Warnings about calls that fail one after another; each failed record alone is easily overlooked."""

import logging
from typing import Any

from llmctx.replay.run import remedy
from llmctx.trail.log.entry import Entry

_log = logging.getLogger(__name__)

FIRST_WARNING = 5
"""After so many failed calls in a row a warning is logged, and again each time their number has doubled."""

_MAX_DETAIL_CHARS = 200


class FailureWatch:
    """Counts the calls to the endpoint that a service makes, and warns when they fail in a row."""

    def __init__(self) -> None:
        self._calls = self._failed = self._in_a_row = 0
        self._next_warning = FIRST_WARNING

    def add(self, entry: Entry) -> None:
        """Count the call of a record, if it made one."""
        record = entry.record
        completion = record.get("completion")
        if completion is None:
            return
        self._calls += 1
        if record["kind"] == "failed":
            self._count_failure(completion)
        elif self._in_a_row:
            if self._next_warning > FIRST_WARNING:
                _log.info(f"a call succeeded again after {self._in_a_row} failures")
            self._in_a_row, self._next_warning = 0, FIRST_WARNING

    def _count_failure(self, completion: dict[str, Any]) -> None:
        self._failed += 1
        self._in_a_row += 1
        if self._in_a_row == self._next_warning:
            self._next_warning *= 2
            why = str(completion.get("detail") or completion["outcome"])[:_MAX_DETAIL_CHARS]
            _log.warning(
                f"{self._failed} of {self._calls} calls failed, the last {self._in_a_row} in a row: {why}. "
                f"The guardrails alone decide meanwhile. {remedy(why)}"
            )
