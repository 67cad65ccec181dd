"""The day's trades: what follows from wins and losses, and how often one has to win."""

from collections.abc import Iterator

from llmctx.decision.numbers.amount import Amount
from llmctx.decision.numbers.claim import Claim, Form
from llmctx.decision.numbers.ledger import Ledger
from llmctx.decision.numbers.ratios import derived, ratios, signed

_HUNDRED = 100
_EVEN = frozenset({"breakeven", "break-even", "even", "break"})
_WON = frozenset({"wins", "winrate", "ratio", "reward"})


def of_day(ledger: Ledger, claim: Claim, topics: frozenset[str]) -> Iterator[Amount]:
    """Profit factor, expectancy of a trade, and the win rate at which a bracket comes out even."""
    if claim.form is Form.PERCENT:
        if topics & _WON and _EVEN & claim.words:
            yield from (derived("the win rate to break even", _HUNDRED / (1 + ratio.value)) for ratio in ratios(ledger))
        return
    if "payoff" in topics:
        yield from _factor(ledger)
    if "expectancy" in topics:
        yield from _expectancy(ledger)


def _read(ledger: Ledger, *names: str) -> list[float] | None:
    """The readings of the day; None where one is missing."""
    found = [ledger.value(f"performance.{name}") for name in names]
    return None if None in found else [value for value in found if value is not None]


def _factor(ledger: Ledger) -> Iterator[Amount]:
    read = _read(ledger, "avg_win", "avg_loss", "win_count", "loss_count")
    if read is not None and read[1] and read[3]:
        won, lost, wins, losses = read
        yield derived("the profit factor", abs(won * wins / (lost * losses)))


def _expectancy(ledger: Ledger) -> Iterator[Amount]:
    read = _read(ledger, "avg_win", "avg_loss", "win_count", "loss_count")
    if read is None:
        return
    won, lost, wins, losses = read
    rates = [ledger.value("performance.win_rate"), wins / (wins + losses) if wins + losses else None]
    for rate in rates:
        if rate is not None:
            yield signed("what a trade makes on average", rate * won - (1 - rate) * abs(lost))
