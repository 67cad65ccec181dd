"""The writer key of this state directory, and the record that enrols it in a partition's trail."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

from llmctx.errors import NotJoinedError
from llmctx.trail.log.log import Log
from llmctx.trail.proof.key import load_or_make_key, read_public_key
from llmctx.trail.proof.roster import Roster, granted_enrolment
from llmctx.trail.proof.writer import load_or_make_writer

_log = logging.getLogger(__name__)


class Enrolment:
    """Whether a log's owner may sign its records, and with what."""

    def __init__(self, log: Log, state_dir: Path, instance: str) -> None:
        self._log = log
        self._state_dir = state_dir
        self._instance = instance

    async def open(self) -> Roster:
        """Make the keys of a new trail, or load those of this state directory; returns the keys enrolled so far.

        Raises NotJoinedError if the trail has writers and this state directory is none of them, KeyFileError if a key
        cannot be used, TrailError if the server does not answer.
        """
        state_dir, instance = self._state_dir, self._instance
        if read_public_key(state_dir, instance) is None and await self._log.checkpoint() is None:
            load_or_make_key(state_dir, instance)
        self._writer = load_or_make_writer(state_dir, instance)
        self._roster = Roster(state_dir, instance, self._log.partition)
        self._grant = granted_enrolment(state_dir, instance, self._writer.key)
        if self._grant is None and self._roster.place_of(self._writer.key) is None:
            if self._roster.since is not None:
                raise NotJoinedError(state_dir)
            _log.warning(
                f"Records of partition {self._log.partition} are not signed by their writer, because "
                f"{NotJoinedError.why}. Run `llmctx join`."
            )
        return self._roster

    async def is_due(self) -> bool:
        """Whether a record should enrol our key now; if one has, new records are signed from here on.

        Raises TrailError if the server does not answer.
        """
        place = self._roster.place_of(self._writer.key)
        entry = None if place is None else await self._log.entry(place)
        enrolled = entry is not None and entry.record.get("enrolment", {}).get("key") == self._writer.key.text
        if enrolled:
            self._sign()
        return not enrolled and self._grant is not None

    async def fields(self, at: int) -> dict[str, Any]:
        """The further fields of the next record, at this index: they enrol our key if that is due.

        Raises KeyFileError if the roster cannot be written, TrailError if the server does not answer.
        """
        if not await self.is_due():
            return {}
        key = self._writer.key
        self._roster.add(key, at)
        self._sign()
        return {"enrolment": {"key": key.text, "from": at, "signature": self._grant}}

    @property
    def key_id(self) -> str:
        """The ID of our writer key."""
        return self._writer.key.id.hex()

    def _sign(self) -> None:
        self._log.prove = partial(self._writer.prove, self._log.partition)
