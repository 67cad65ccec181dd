"""Record in a partition's trail which mandate applies from here on, whenever it changes."""

from typing import Any

from llmctx.decision.mandate.mandate import Mandate
from llmctx.trail.log.log import Log
from llmctx.worker.owner import Owner

_MAX_EXAMINED = 1000


async def note_mandate(owner: Owner, mandate: Mandate) -> None:
    """Append a notice with who set the mandate and why, if the newest verdict had another one or none.

    A trail without verdicts needs no notice, because each verdict names its mandate. Raises as `Owner.settle` does.
    """
    before = await _mandate_in(owner.log)
    if before is None or before == mandate.sha256:
        return
    said: dict[str, Any] = {"sha256": mandate.sha256}
    said |= {name: text for name, text in (("before", before), ("by", mandate.by), ("why", mandate.why)) if text}
    by = f", set by {mandate.by}" if mandate.by else ""
    why = f": {mandate.why}" if mandate.why else ""
    reason = f"the mandate {mandate.sha256[:12]} holds from here on{by}{why}"
    await owner.note(reason, blobs=(mandate.blob,), mandate=said)


async def _mandate_in(log: Log) -> str | None:
    """The digest of the mandate of the newest verdict, empty if it had none; None if there is no verdict."""
    examined = 0
    async for entry in log.read_back():
        examined += 1
        if ("mandate" in entry.record or "policy" in entry.record["verdict"]) and log.vouches(entry):
            return str(entry.record.get("mandate", {}).get("sha256", ""))
        if examined == _MAX_EXAMINED:
            break
    return None
