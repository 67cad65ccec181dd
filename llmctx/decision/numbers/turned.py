"""Turned round: a profit that is told as a loss, a day or a move told with the other sign."""

from llmctx.decision.numbers.claim import Claim
from llmctx.decision.numbers.ledger import Ledger


def is_turned_round(claim: Claim, ledger: Ledger) -> bool:
    """Whether a profit is told as a loss, or a loss as a profit."""
    told = claim.sign or claim.sense
    if not told:
        return False
    value, half = claim.value, claim.step / 2
    close = [result for result in ledger.results if -half <= abs(result[1]) - value <= half]
    if not close:
        return False
    meant = [result for topic, result in close if topic == "pnl" or topic in claim.topics]
    if not meant or any(result * told > 0 for result in meant):
        return False
    if "open" in claim.topics and any(topic == "open" for topic, _ in close):
        return True
    # a short position gains where its price is down
    return claim.against is None and not (ledger.short and not (claim.sign and "pnl" in claim.around))
