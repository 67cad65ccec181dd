"""Say in a trail when a service started and stopped, under which settings, and who answers for it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.trail.log.log import Log
from llmctx.worker.owner import Owner

_MAX_EXAMINED = 1000


class Service(NamedTuple):
    """What a service is, as its notices name it."""

    settings_sha256: str
    """The digest of its settings, secrets left out."""
    prompts: tuple[str, ...]
    """The prompts that it begins with: NAME/vN."""
    people: Mapping[str, tuple[str, ...]]
    """Who answers for it: names and roles."""

    @property
    def fields(self) -> dict[str, Any]:
        """What a notice says of it; the names only where they are new."""
        people = [{"name": name, "roles": list(roles)} for name, roles in sorted(self.people.items())]
        found: dict[str, Any] = {"settings_sha256": self.settings_sha256, "prompts": list(self.prompts)}
        return found | {"people": people, "people_sha256": canonical.sha256(canonical.dumps(people))}


async def note_start(owner: Owner, service: Service) -> None:
    """Append the notice that a service serves a partition, and what is new since the last one did.

    Raises as `Owner.note` does.
    """
    fields, before = service.fields, await _last(owner.log)
    named = {"settings_sha256": "settings", "prompts": "prompts", "people_sha256": "people"}
    new = [word for name, word in named.items() if before is not None and before.get(name) != fields[name]]
    if before is not None and "people" not in new:
        del fields["people"]  # they stand in an earlier notice
    told = f"; new are {', '.join(new)}" if new else ""
    reason = f"a service started with {', '.join(service.prompts)} and settings {service.settings_sha256[:12]}{told}"
    await owner.note(reason, service={"event": "start", **fields})


async def note_stop(owner: Owner) -> None:
    """Append the notice that the service stopped; raises as `Owner.note` does."""
    await owner.note("the service stopped", service={"event": "stop"})


async def _last(log: Log) -> dict[str, Any] | None:
    """What the newest start notice says; None if there is none among the newest records."""
    examined = 0
    async for entry in log.read_back():
        service = entry.record.get("service", {})
        if service.get("event") == "start" and log.vouches(entry):
            found: dict[str, Any] = service
            return found
        examined += 1
        if examined == _MAX_EXAMINED:
            break
    return None
