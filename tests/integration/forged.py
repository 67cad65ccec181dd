"""Entries of every kind that somebody with Redis alone may append to the log of the trail in `alterations`."""

from typing import Any

from llmctx import canonical
from llmctx.connection.streams import read_stream
from tests.integration.alterations import LAST, LOG, Act, Altered
from tests.unit.makers import stored


def append_of_kind(kind: str, **said: Any) -> Act:
    """A well-formed record that nobody of ours made, with a genuine record's proof and the map to fit."""

    async def act(on: Altered) -> None:
        leaf = {
            "v": 1, "kind": kind, "recorded_at_ms": int((await on.redis.time())[0]) * 1000, "worker": "w",
            "attempts": 1, "code": "t", "verdict": {"action": "none", "reason": "x"},
        }  # fmt: skip
        newest = (await read_stream(on.redis, LOG))[-1]
        fields = stored(canonical.dumps(leaf | said), {}) | {b"proof": newest.fields[b"proof"]}
        await on.redis.xadd(LOG, fields, id=f"{LAST + 1}-1")  # type: ignore[arg-type]
        if "id" in said:
            await on.redis.hset("audit:{0}:effects", str(said["id"]), LAST + 1)

    return act


ACT: dict[str, Any] = {"id": "x", "about": {"index": 3}, "person": {"by": "x", "why": "x"}, "symbol": "AAPL"}
FORGED: dict[str, Act] = {
    "approval": append_of_kind("approval", **ACT, approved={"action": "exit"}),
    "override": append_of_kind("override", **ACT),
    "annotation": append_of_kind("annotation", **ACT),
    "effect": append_of_kind("effect", id="x", symbol="AAPL", effect={"status": "filled"}),
    "halt": append_of_kind("notice", control={"act": "halt", "by": "x", "why": "x"}),
    "hold": append_of_kind("notice", hold={"id": "x", "act": "hold", "by": "x", "why": "x"}),
    "erased": append_of_kind("notice", erased={"first": 0, "end": 2, "pieces": [], "manifest": "0" * 64}),
    "name_erased": append_of_kind("notice", name_erased={"id": "x", "by": "x", "why": "x"}),
    "archived": append_of_kind("notice", archived={"first": 0, "end": 2, "manifest": "0" * 64, "where": "x"}),
    "enrolment": append_of_kind("notice", enrolment={"key": "x", "from": 7, "signature": "x"}),
    "mandate": append_of_kind("notice", mandate={"sha256": "0" * 64}),
    "service": append_of_kind("notice", service={"event": "started"}),
    "lost": append_of_kind("incident", incident={"what": "lost", "first": 1, "last": 2}),
}
"""An entry of each kind that somebody with Redis alone may append to the log."""
