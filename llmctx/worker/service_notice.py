"""Record in a trail when a service started and stopped: its settings, prompts and keys, and who answers for it."""

import contextlib
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from llmctx.errors import LeaseError, TrailError
from llmctx.prompt.book import REFRESH_S, PromptChoice
from llmctx.record import people_fields
from llmctx.tasks import pause
from llmctx.trail.log.log import Log
from llmctx.worker.owner import Owner

_MAX_EXAMINED = 5000
_NAMED = {"settings_sha256": "settings", "prompts": "prompts", "people_sha256": "people", "keys": "keys"}
"""What may change between starts."""


class Service(NamedTuple):
    """A service as its notices describe it."""

    settings_sha256: str
    """The digest of its settings, secrets left out."""
    prompts: tuple[str, ...]
    """The prompts that it uses then: NAME/vN."""
    keys: Mapping[str, str] = {}
    """The fingerprint of each endpoint's API key, by the endpoint's name."""
    people: Mapping[str, tuple[str, ...]] = {}
    """Who answers for it: ids and roles."""

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a notice; the people only if they changed."""
        found: dict[str, Any] = {"settings_sha256": self.settings_sha256, "prompts": list(self.prompts)}
        return found | people_fields(self.people) | ({"keys": dict(self.keys)} if self.keys else {})


def fingerprint(api_key: str, trail: str) -> str:
    """The fingerprint of an API key within a trail: 16 hex digits that tell keys apart.

    It is slow to compute and salted with the trail's id, so nobody can try keys by the million.
    """
    return hashlib.scrypt(api_key.encode(), salt=trail.encode(), n=2**14, r=8, p=1, dklen=8).hex()


async def note_start(owner: Owner, service: Service) -> None:
    """Append the notice that a service serves a partition, and what has changed since the last one.

    Raises as `Owner.note` does.
    """
    fields, before = service.fields, await _last(owner.log)
    new = [word for name, word in _NAMED.items() if before and before.get(name) != fields.get(name)]
    if before and "people" not in new:
        del fields["people"]  # they stand in an earlier notice
    told = f"; new are {', '.join(new)}" if new else ""
    told = f"; no start is found among the last {_MAX_EXAMINED} records" if before is None else told
    reason = f"a service started with {', '.join(service.prompts)} and settings {service.settings_sha256[:12]}{told}"
    await owner.note(reason, service={"event": "start", **fields})


async def note_stop(owner: Owner) -> None:
    """Append the notice that the service stopped; raises as `Owner.note` does."""
    await owner.note("the service stopped", service={"event": "stop"})


async def note_prompts(owner: Owner, prompts: PromptChoice, known: tuple[str, ...]) -> None:
    """Append a notice whenever the prompts in use differ from the `known` ones, until cancelled."""
    while True:
        await pause(REFRESH_S)
        now = tuple(template.ref for template in prompts.templates)
        if now == known:
            continue
        with contextlib.suppress(TrailError):  # it is recorded once the server answers
            try:
                reason = f"asked with from now on: {', '.join(now)}; before: {', '.join(known)}"
                await owner.note(reason, service={"event": "prompts", "prompts": list(now)})
            except LeaseError:
                return  # the next owner of the partition records its own at its start
            known = now


async def _last(log: Log) -> dict[str, Any] | None:
    """The newest start notice, with the prompts of a newer notice.

    Empty if no service has started yet, None if the newest records do not tell.
    """
    examined = 0
    newer: dict[str, Any] = {}
    async for entry in log.read_back():
        service = entry.record.get("service", {})
        if service.get("event") in ("start", "prompts") and log.vouches(entry):
            newer = service | {name: newer[name] for name in ("prompts",) if name in newer}
            if service["event"] == "start":
                return newer
        examined += 1
        if examined == _MAX_EXAMINED:
            return None
    return {}
