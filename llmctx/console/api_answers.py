"""The API's answers: from the values read to the models of its document."""

import json
from collections.abc import Iterable
from typing import Any

from llmctx.console.api_models import PositionAnswer, RecordDetail
from llmctx.console.desk import PositionRow
from llmctx.trail.log import unreadable
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.log.packing import textual_pieces


def record_of(entry: Entry, partitions: int) -> dict[str, Any]:
    """A leaf with its address and index."""
    return {"address": address(entry.index, entry.partition, partitions), "index": entry.index, **entry.record}


def record_text(entry: Entry, where: str) -> str:
    """The same as JSON text, for a record at an address."""
    if entry.record["kind"] != unreadable.KIND:  # its leaf is that text but for the beginning
        return f'{{"address":"{where}","index":{entry.index},{entry.leaf.decode()[1:]}'
    return json.dumps({"address": where, "index": entry.index, **entry.record}, ensure_ascii=False)


def detail_of(entry: Entry, partitions: int, said: Iterable[Entry]) -> RecordDetail:
    """A record with its evidence, and the statements about it."""
    leaf, pieces = entry.kept
    return RecordDetail(
        address=address(entry.index, entry.partition, partitions),
        index=entry.index,
        leaf_hash=entry.leaf_hash,
        leaf=entry.record,
        leaf_text=leaf.decode(errors="replace"),
        pieces=textual_pieces(pieces),
        said=[{"index": other.index, **other.record} for other in said],
    )


def position_of(row: PositionRow) -> PositionAnswer:
    """A position of the desk."""
    held, section = row.position, None if row.package is None else row.package.sections["price"]
    return PositionAnswer(
        symbol=row.symbol,
        side=None if held is None else held.side,
        quantity=None if held is None else held.quantity,
        entry_price=None if held is None else held.entry_price,
        price=row.price,
        price_age_ms=None if section is None else section.age_ms,
        price_status=None if section is None else str(section.status),
        profit=row.profit,
        stop_loss=None if held is None else held.stop_loss,
        take_profit=None if held is None else held.take_profit,
        needs_a_look=list(row.gaps),
        stop_unconfirmed=row.unconfirmed,
        last_record=None if row.last is None else row.last.address,
        last_action=None if row.last is None else row.last.action,
    )
