"""A report: one decision, or a day, as one self-contained file with its proof, for readers without llmctx."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from llmctx import clock
from llmctx.console.rendering import render, static_text
from llmctx.console.story import Story, brief_of
from llmctx.console.subject import Subject
from llmctx.errors import CheckpointError, LlmctxError
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.packing import textual_pieces
from llmctx.trail.proof.checkpoint import read_note
from llmctx.trail.source.lookup import blobs_of, said_of
from llmctx.trail.source.source import Source

MAX_PROOFS = 2000
"""Records of a day whose proofs are put into a report; each takes about four kilobytes."""


def signed_text(receipt: dict[str, Any]) -> str:
    """Which checkpoint covers a record, in words."""
    try:
        note = read_note(receipt["checkpoint"])
        return f"in the checkpoint over {note.size:,}, signed {clock.iso(note.time_ms)}"
    except CheckpointError as error:
        return f"in a checkpoint that cannot be used: {error.why}"


async def report_of(subject: Subject, source: Source, entry: Entry) -> str:
    """The report of one record.

    Raises LlmctxError if the source cannot be read; without a checkpoint the report says that there is no proof.
    """
    story = Story(entry, source.partitions, await blobs_of(source, entry), subject.prices)
    receipts, unsigned = await _receipts(subject, [entry])
    receipt = receipts.get(entry.leaf_hash)
    return _page(
        "report",
        story=story,
        receipt=receipt,
        signed="" if receipt is None else signed_text(receipt),
        unsigned=unsigned,
        pieces=textual_pieces(entry.pieces),
        standalone=True,
        after=[],
        others=[],
        before=None,
        said=[brief_of(other, source.partitions) for other in await said_of(source, entry)],
    )


async def day_report(subject: Subject, source: Source, entries: Sequence[Entry], day: str) -> str:
    """The report of a day: a summary, every record in a row, and the proof of each.

    Raises LlmctxError if the source cannot be read.
    """
    rows = [brief_of(entry, source.partitions) for entry in entries]
    receipts, unsigned = await _receipts(subject, entries) if len(entries) <= MAX_PROOFS else ({}, _TOO_MANY)
    return _page(
        "day_report",
        day=day,
        rows=rows,
        symbols=sorted({row.symbol for row in rows if row.symbol}),
        actions=Counter(row.action for row in rows).most_common(),
        kinds=Counter(row.kind for row in rows).most_common(),
        guards=Counter(guard for row in rows for guard in row.guards).most_common(),
        receipts=list(receipts.values()),
        hashes=list(receipts),
        signed=signed_text(list(receipts.values())[-1]) if receipts else "",
        unsigned=unsigned,
    )


_TOO_MANY = f"More than {MAX_PROOFS} records: export the trail (`llmctx export`) to prove them all."


async def _receipts(subject: Subject, entries: Sequence[Entry]) -> tuple[dict[str, dict[str, Any]], str]:
    """The receipt of each record that has one, by leaf hash, and why the first of the others has none."""
    found, why = dict[str, dict[str, Any]](), ""
    for entry in entries:
        try:
            found[entry.leaf_hash] = await subject.receipt(entry)
        except LlmctxError as error:
            why = why or f"{error.what} {error.do}"
    return found, why


def _page(name: str, **values: Any) -> str:
    """A page whose policy allows only its own style sheet and scripts, by their digests."""
    scripts = [static_text("console.js"), static_text("proof.js")]
    style = static_text("console.css")
    policy = f"default-src 'none'; style-src {_digest(style)}; script-src {' '.join(map(_digest, scripts))}"
    return render(name, policy=policy, style=style, scripts=scripts, created=clock.now_ms(), **values)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
