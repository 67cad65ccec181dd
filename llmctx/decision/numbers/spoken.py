"""What a text has spoken of: the levels that it names by their value, and its numbers that facts have borne out."""

from bisect import bisect
from collections.abc import Iterator

from llmctx.decision.numbers.amount import Amount
from llmctx.decision.numbers.claim import Claim, Form
from llmctx.decision.numbers.ledger import Ledger
from llmctx.decision.numbers.once import once
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
        self._claims, self._ledger = claims, ledger
        self._said: list[tuple[Claim, Amount]] = []
        self._near: dict[int, list[Amount]] = {}

    @once
    def _breaks(self) -> list[int]:
        return [i for i, item in enumerate(self._claims[0].items) if item.kind == "break"]

    @once
    def _levels(self) -> list[tuple[int, int, Amount]]:
        """Where levels are named by their value: the item, the sentence, the level."""
        named = (
            (claim, self._ledger.level_at(claim.value, claim.step)) for claim in self._claims if claim.may_be_level
        )
        return [(claim.i, self.sentence(claim), level) for claim, level in named if level is not None]

    @once
    def _halved(self) -> int | None:
        """The item that first speaks of a half of the position."""
        whole = self._ledger.quantity
        halves = {half for half in (whole // 2, whole - whole // 2) if half >= _DISTINCT}
        named = (i for i, item in enumerate(self._claims[0].items) if "half" in item.topics)
        told = (claim.i for claim in self._claims if claim.value in halves and claim.whole)
        return min((*named, *told), default=None)

    def sentence(self, claim: Claim) -> int:
        """Which sentence it stands in."""
        return bisect(self._breaks, claim.i)

    def add(self, claim: Claim, support: Amount) -> None:
        """Remember a number that was borne out."""
        self._said.append((claim, support))

    def levels(self, claim: Claim) -> list[Amount]:
        """The levels that its sentence names by their value, the nearest first; those of one before if it has none."""
        found = self._near.get(claim.i)
        if found is None:
            found = self._near[claim.i] = self._levels_near(claim)
        return found

    def _levels_near(self, claim: Claim) -> list[Amount]:
        own = self.sentence(claim)
        for sentence in range(own, max(own - _BACK, 0) - 1, -1):
            found = [
                (abs(i - claim.i), level) for i, where, level in self._levels if where == sentence and i != claim.i
            ]
            if found:
                return [level for _, level in sorted(found, key=lambda one: one[0])]
        return []

    def halved(self, claim: Claim) -> bool:
        """Whether a half has been spoken of, by name or value; the rest of the text may be about that."""
        return self._halved is not None and self._halved < claim.i + _AHEAD

    def units(self, claim: Claim) -> list[float]:
        """The multiples of risk that its sentence speaks of."""
        own = self.sentence(claim)
        multiples = (claim for claim in self._claims if claim.form is Form.UNITS)
        return [claim.value for claim in multiples if self.sentence(claim) == own]

    def stand_before(self, claim: Claim) -> bool:
        """Whether the two numbers right before it, the terms of a sum, have been borne out."""
        before = [one for one in self._claims if one.i < claim.i][-2:]
        return len(before) > 1 and [said for said, _ in self._said[-2:]] == before

    def again(self, claim: Claim) -> Amount | None:
        """What bore the same number out before."""
        for said, support in self._said:
            if (
                (
                    said.form is claim.form
                    or {said.form, claim.form} == _PRICED
                    or (claim.term and claim.form is Form.PLAIN)
                )
                and said.value == claim.value
                and said.step == claim.step
            ):
                return support
        return None

    def bracketed(self, claim: Claim) -> Amount | None:
        """The percentage of the field that bore out the number right before it: -354.67 (-0.81%)."""
        if not self._said or claim.form is not Form.PERCENT:
            return None
        said, support = self._said[-1]
        between = claim.items[said.i + 1 : claim.i]
        if any(item.kind != "mark" for item in between):
            return None
        percent = self._ledger.fact(f"{support.source}_pct")
        return (
            None if percent is None else Amount(percent.path, float(str(percent.value)), Form.PERCENT, support.topics)
        )

    def pairs(self, claim: Claim) -> Iterator[Amount]:
        """Difference and ratios of the two numbers that it was last preceded by, where they are of one kind."""
        own = self.sentence(claim)
        earlier = [said for said, _ in self._said if said.i < claim.i][-2:]
        near = [said for said in earlier if self.sentence(said) >= own - 1]
        if len(near) < 2 or near[0].form is not near[1].form:  # noqa: PLR2004
            return
        one, other = (said.value * (said.sign or 1) for said in near)
        yield derived("the difference of the two numbers before it", one - other)
        if one and other:
            yield derived("the ratio of the two numbers before it", one / other)
            yield derived("the ratio of the two numbers before it", other / one)
