"""Warnings about records that are easily overlooked: dead letters, and calls that fail one after another."""

import logging

from llmctx.llm.failures import FailureCount, failure_of
from llmctx.trail.log.entry import Entry

_log = logging.getLogger(__name__)

FIRST_WARNING = 5
"""A warning is logged after this many failed calls in a row, and again each time their number has doubled."""

_MAX_DETAIL_CHARS = 200


class FailureWatch:
    """Counts a service's calls to the endpoint, and warns when they fail in a row."""

    def __init__(self) -> None:
        self._count = FailureCount()
        self._next_warning = FIRST_WARNING

    def add(self, entry: Entry) -> None:
        """Report a dead letter; count the call of a record, if it made one."""
        record = entry.record
        if record["kind"] == "dead_letter":
            symbol = record.get("symbol", "")
            _log.error(
                f"{symbol}: tick {record['tick']} ends as a dead letter, record {entry.index} of partition "
                f"{entry.partition}: {record['verdict']['reason']}",
                extra={"alert": "dead_letter", "subject": symbol},
            )
        completion = record.get("completion")
        if completion is None:
            return
        count = self._count
        if record["kind"] != "failed":
            if self._next_warning > FIRST_WARNING:
                _log.info(f"a call succeeded again after {count.in_a_row} failures")
            self._next_warning = FIRST_WARNING
            count.succeed()
            return
        count.fail(failure_of(completion)[:_MAX_DETAIL_CHARS])
        if count.in_a_row == self._next_warning:
            self._next_warning *= 2
            _log.warning(
                f"{count.failed} of {count.calls} calls failed, the last {count.in_a_row} in a row: {count.last}. "
                f"The guardrails alone decide meanwhile. {count.remedy}",
                extra={"alert": "model_failures", "subject": str(count.in_a_row)},
            )
