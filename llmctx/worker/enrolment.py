"""The writer key of this state directory, and the records about the trail itself that enrol it."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.errors import KeyFileError, NotJoinedError
from llmctx.record import RecordMetadata, compose_loss, compose_unread
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.log import Draft, Log
from llmctx.trail.proof.key import load_or_make_key, read_public_key
from llmctx.trail.proof.replaced import refuse_new_key
from llmctx.trail.proof.roster import Roster, granted_enrolment
from llmctx.trail.proof.writer import load_or_make_writer

_log = logging.getLogger(__name__)


class Enrolment:
    """Whether a log's owner may sign its records, and with which key."""

    def __init__(self, log: Log, state_dir: Path, instance: Instance) -> None:
        self._log = log
        self._state_dir = state_dir
        self._instance = instance
        self._grant: dict[str, str] | None = None

    async def open(self) -> Roster:
        """Make the keys of a new trail, or load those of this state directory; returns the keys enrolled so far.

        Raises NotJoinedError if the trail has writers and this state directory is none of them; KeyFileError if a key
        cannot be used, or the one that would enrol ours did not sign the trail; TrailError if the server does not
        answer.
        """
        state_dir, instance = self._state_dir, self._instance.id
        if read_public_key(state_dir, instance) is None and await self._log.checkpoint() is None:
            load_or_make_key(state_dir, instance)
        self._writer = load_or_make_writer(state_dir, instance)
        self.roster = Roster(state_dir, instance, self._log.partition)
        """The keys enrolled so far, once it is open."""
        self.refuse_retired()
        replaced = self.roster.wrong_key
        if replaced is not None and replaced.signs:  # of another key its notary says so
            _log.error(f"{replaced.what} {replaced.do}", extra={"alert": "unsigned", "subject": "key"})
        if self.roster.place_of(self._writer.key) is None and self._may_enrol() is None:
            if self.roster.replaced is not None:
                raise self.roster.replaced.error
            refuse_new_key(state_dir, instance, self._log.partition)
            if self.roster.since is not None or await self._has_writers():
                raise NotJoinedError(state_dir)
            _log.warning(
                f"Records of partition {self._log.partition} are not signed by their writer, because "
                f"{NotJoinedError.why}. Run `llmctx join`."
            )
        return self.roster

    async def is_due(self) -> bool:
        """Whether a record should enrol our key now; if one has, new records are signed from here on.

        Raises KeyFileError if our key was retired, TrailError if the server does not answer.
        """
        self.refuse_retired()
        place = self.roster.place_of(self._writer.key)
        entry = None if place is None else await self._log.entry(place)
        enrolled = entry is not None and entry.record.get("enrolment", {}).get("key") == self._writer.key.text
        if enrolled:
            self._sign()
        return not enrolled and self._may_enrol() is not None

    async def _has_writers(self) -> bool:
        """Whether the newest record has a proof: then one without would break the trail, whatever is known here."""
        newest = await self._log.entry(await self._log.size() - 1)
        return newest is not None and bool(newest.proof)

    def _may_enrol(self) -> dict[str, str] | None:
        """The signed statement that enrols our key; None if there is none. Without need no private key is read."""
        if self._grant is None:
            self._grant = granted_enrolment(self._state_dir, self._instance.id, self._writer.key)
        return self._grant

    async def first_record(self, lost: tuple[int, int] | None, metadata: RecordMetadata) -> Draft | None:
        """What must be recorded first: a loss, how the trail begins, or the enrolment of our key.

        Raises KeyFileError if the roster cannot be written, TrailError if the server does not answer.
        """
        if lost is not None:
            at = lost[1] + 1
            return compose_loss(*lost, metadata, **await self._fields(at))._replace(at=at)
        size = await self._log.size()
        if size and not await self.is_due():
            return None
        reason = f"writer key {self._writer.key.id.hex()} enrolled"
        if size == 0:
            reason = f"instance {self._instance.id} made, {self._instance.partitions} partitions"
        return compose_unread("notice", None, reason, metadata, **await self._fields(size))._replace(at=size)

    async def _fields(self, at: int) -> dict[str, Any]:
        """The additional fields of the record at an index: they enrol our key if that is due, and then the key signs
        the record.
        """
        if not await self.is_due():
            return {}
        grant = self._grant or {}
        self.roster.add(self._writer.key, at, grant.get("retires", ""))
        self._sign()
        return {"enrolment": {"from": at, **grant}}

    def refuse_retired(self) -> None:
        """Raise KeyFileError if our key was retired, as in a copy of a state directory."""
        key = self._writer.key.id
        if key in self.roster.retired:
            name = self._instance.id
            raise KeyFileError(
                f"The writer key {key.hex()} of {self._state_dir} was retired, so nobody accepts what it signs.",
                "If it was stolen, find out who starts this state directory. To write here again, move keys/"
                f"{name}-writer and keys/{name}-writer.pub away, and run `llmctx join`.",
            )

    def _sign(self) -> None:
        self._log.prove = partial(self._writer.prove, self._log.partition)


def compose_foreign(reason: str, evidence: bytes, count: int, metadata: RecordMetadata) -> Draft:
    """Compose the incident about entries that none of our writers appended; its evidence is their bytes."""
    what: dict[str, object] = {"what": "foreign"}
    if count:
        what |= {"count": count, "sha256": canonical.sha256(evidence)}
    draft = compose_unread("incident", None, reason, metadata, incident=what)
    return draft._replace(pieces={"foreign": evidence} if count else {})
