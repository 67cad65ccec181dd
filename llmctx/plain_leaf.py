"""The leaf of last resort, for when composing any other record fails.

It is written out by hand and shares no code with the other composers, so that a defect there cannot keep a tick or an
entry from being settled. Keep it so.
"""

import json
from typing import Any

from llmctx import rules
from llmctx.context.tick import Tick
from llmctx.limits import MAX_REASON_CHARS
from llmctx.record import RecordMetadata
from llmctx.trail.log.log import Draft
from llmctx.version import VERSION


def plain_draft(kind: str, tick: Tick | None, verdict: dict[str, Any], metadata: RecordMetadata, **more: Any) -> Draft:
    """Compose a record without evidence; `verdict` and `more` are written as given."""
    said = verdict | {"reason": verdict["reason"][:MAX_REASON_CHARS]}
    leaf: dict[str, Any] = {
        "v": 1,
        "kind": kind,
        "recorded_at_ms": metadata.recorded_at_ms,
        "worker": metadata.worker,
        "attempts": metadata.attempts,
        "code": _code(),
        "verdict": said,
    }
    if tick is not None:
        leaf |= {"tick": tick.id, "symbol": tick.symbol, "cause": tick.cause}
    if metadata.conflated:
        leaf["conflated"] = list(metadata.conflated)
    if metadata.people_sha256:
        leaf["people_sha256"] = metadata.people_sha256
    text = json.dumps(leaf | more, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Draft(
        leaf=text.encode("utf-8", "replace"),
        pieces={},
        blobs=(),
        tick=tick.id if tick else "",
        symbol=tick.symbol if tick else "",
        conflated=metadata.conflated,
    )


def _code() -> str:
    try:
        return rules.code()
    except Exception:  # noqa: BLE001  the version alone says less, but the tick is settled
        return f"llmctx {VERSION}"
