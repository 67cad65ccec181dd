"""The memory of prices: what was last believed of each symbol, and which stops wait for a confirmation.

It is kept in the owner's process and rebuilt from the owner's trail, because Redis is not trusted with it: whoever
could write it could have a wrong price believed.
"""

import logging
from collections.abc import AsyncIterator, Callable

from llmctx.context.marks import Mark, Marks
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.guards import Verdict
from llmctx.decision.stop import STOP_UNCONFIRMED
from llmctx.errors import in_short
from llmctx.trail.log.entry import Entry

_log = logging.getLogger(__name__)

_MAX_EXAMINED = 20

RecordsOf = Callable[[str], AsyncIterator[Entry]]
"""A symbol's records, newest first."""


class PriceMemory:
    """What is known of the prices of a partition's symbols."""

    def __init__(self, records_of: RecordsOf | None = None) -> None:
        """Without `records_of` it begins empty."""
        self._records_of = records_of
        self._marks: dict[str, Marks] = {}
        self.unconfirmed: dict[str, str] = {}
        """The symbols whose stop was reached by a price that is not believed, each with the reason."""

    async def marks(self, symbol: str) -> Marks:
        """The marks of a symbol; the first time they are read from its newest record that has a snapshot.

        Raises TrailError if the server does not answer.
        """
        if symbol not in self._marks:
            marks = Marks() if self._records_of is None else await _read(self._records_of(symbol))
            self._marks.setdefault(symbol, marks)
        return self._marks[symbol]

    def confirm(self, symbol: str, confirmed: Mark) -> None:
        """Believe a price of a symbol that a person confirmed."""
        self._marks[symbol] = Marks(confirmed)

    def add(self, package: Package, verdict: Verdict) -> None:
        """Remember a package and its verdict, once they are recorded."""
        symbol = package.symbol
        # a person may have confirmed a price meanwhile; what they said stands
        if package.marks_after is not None and self._marks.get(symbol) is package.marks:
            self._marks[symbol] = package.marks_after
        found = [guard.detail for guard in verdict.guards if guard.name == STOP_UNCONFIRMED]
        if found:
            if symbol not in self.unconfirmed:
                _log.warning(
                    f"{symbol}: {found[0]}. The stop is not obeyed before. If the price is right: `llmctx confirm "
                    f"{symbol} --by NAME --why TEXT`; if not, correct the price or the position",
                    extra={"alert": "unconfirmed_stop", "subject": symbol},
                )
            self.unconfirmed[symbol] = found[0]
        else:
            self.unconfirmed.pop(symbol, None)


async def _read(records: AsyncIterator[Entry]) -> Marks:
    examined = 0
    async for entry in records:
        if (marks := _marks_after(entry)) is not None:
            return marks
        examined += 1
        if examined == _MAX_EXAMINED:
            break
    return Marks()


def _marks_after(entry: Entry) -> Marks | None:
    """What was believed after a record; None if it does not say."""
    try:
        if "snapshot" not in entry.pieces:
            return None
        snapshot = Snapshot.from_evidence(entry.pieces["snapshot"])
        if snapshot.marks is None:  # made by an older version: its price is the first that is judged
            snapshot = snapshot.model_copy(update={"marks": Marks()})
        return build_package(snapshot).marks_after
    except Exception as error:  # noqa: BLE001  an unreadable record must not keep its symbol from being decided
        _log.warning(f"record {entry.index}: what was believed of its price cannot be read: {in_short(error)}")
        return None
