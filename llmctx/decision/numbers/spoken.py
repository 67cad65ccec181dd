"""What a text has spoken of: the levels that it names by their value, and its numbers that facts have borne out."""

from bisect import bisect
from collections.abc import Iterator

from llmctx.decision.numbers.claim import Claim, Form, rounds_to
from llmctx.decision.numbers.ledger import Amount, Ledger
from llmctx.decision.numbers.ratios import derived

_PRICED = {Form.PLAIN, Form.MONEY}
_BACK = 2
"""How many sentences back a level is still spoken of."""
_AHEAD = 4
_DISTINCT = 10
"""A half is spoken of by its value where that is as large."""


class Spoken:
    """The numbers of one text, in order."""

    def __init__(self, claims: list[Claim], ledger: Ledger) -> None:
        items = claims[0].items if claims else []
        self._breaks = [i for i, item in enumerate(items) if item.kind == "break"]
        self._halved = next((i for i, item in enumerate(items) if item.topic == "half"), None)
        self._levels: list[tuple[int, int, Amount]] = []
        self._units: list[tuple[int, float]] = []
        self._said: list[tuple[int, Claim, Amount]] = []
        halves = {ledger.quantity // 2, ledger.quantity - ledger.quantity // 2}
        for claim in claims:
            if self._halved is None and claim.whole and claim.value in halves and claim.value >= _DISTINCT:
                self._halved = claim.i
            if claim.form is Form.UNITS:
                self._units.append((self.sentence(claim), claim.value))
            elif claim.may_be_level and (level := ledger.level_at(claim.value, claim.step)) is not None:
                self._levels.append((claim.i, self.sentence(claim), level))

    def sentence(self, claim: Claim) -> int:
        """Which sentence it stands in."""
        return bisect(self._breaks, claim.i)

    def add(self, claim: Claim, support: Amount) -> None:
        """Remember a number that was borne out."""
        self._said.append((self.sentence(claim), claim, support))

    def levels(self, claim: Claim) -> list[Amount]:
        """The levels that its sentence names by their value, the nearest first; those of the one before if it has none."""
        own = self.sentence(claim)
        for sentence in range(own, max(own - _BACK, 0) - 1, -1):
            found = [(abs(i - claim.i), level) for i, where, level in self._levels if where == sentence and i != claim.i]
            if found:
                return [level for _, level in sorted(found, key=lambda one: one[0])]
        return []

    def halved(self, claim: Claim) -> bool:
        """Whether a half has been spoken of, by name or value; the rest of the text may be about that."""
        return self._halved is not None and self._halved < claim.i + _AHEAD

    def units(self, claim: Claim) -> list[float]:
        """The multiples of risk that its sentence speaks of."""
        own = self.sentence(claim)
        return [value for where, value in self._units if where == own]

    def again(self, claim: Claim) -> Amount | None:
        """What bore the same number out before."""
        for _, said, support in self._said:
            if (said.form is claim.form or {said.form, claim.form} == _PRICED) and said.value == claim.value and said.step == claim.step:
                return support
        return None

    def pairs(self, claim: Claim) -> Iterator[Amount]:
        """Difference and ratios of the two numbers that it was last preceded by, where they are of one kind."""
        own = self.sentence(claim)
        near = [said for where, said, _ in self._said if own - 1 <= where <= own and said.i < claim.i][-2:]
        if len(near) < 2 or near[0].form is not near[1].form:
            return
        one, other = (said.value * (said.sign or 1) for said in near)
        yield derived("the difference of the two numbers before it", one - other)
        if one and other:
            yield derived("the ratio of the two numbers before it", one / other)
            yield derived("the ratio of the two numbers before it", other / one)
