"""Quality: how well answers were grounded, whether confidence held up, what they cost and earned, and which versions
were in use when.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from statistics import median, quantiles

from llmctx import clock
from llmctx.console.judged import Judgement, Judgements
from llmctx.console.listing import read_query
from llmctx.console.measured import Answers, Measured
from llmctx.console.quality_figures import Bin, Group, Quality, Use
from llmctx.console.subject import Subject
from llmctx.errors import ConsoleError
from llmctx.replay.corpus import Place
from llmctx.replay.stats import Calibration, calibrate

TERMS = ("symbol", "prompt", "model", "since", "until", "limit")
"""The terms of a query."""
DEFAULT_LIMIT = 2000
"""Answers that are measured, the newest."""
_MAX_PERIODS = 48
_STEPS_MS = tuple(minutes * 60_000 for minutes in (1, 5, 15, 60, 240, 1440, 10_080, 43_200))
_FEW = 2


class QualityReader:
    """Measures the answers of one subject."""

    def __init__(self, subject: Subject) -> None:
        self._answers, self._judgements = Answers(subject), Judgements(subject)

    async def read(self, terms: Mapping[str, str]) -> Quality:
        """Measure the answers that are asked for.

        Raises ConsoleError if a term is malformed, LlmctxError if the source cannot be read, RedisError if the server
        does not answer.
        """
        if unknown := [name for name, value in terms.items() if value.strip() and name not in TERMS]:
            raise ConsoleError(f"There is no term {unknown[0]!r}.", f"Use {', '.join(TERMS)}.")
        query = read_query(
            {"limit": str(DEFAULT_LIMIT), **{name: text for name, text in terms.items() if text.strip()}}
        )
        answers = await self._answers.newest(query.filter, query.limit)
        decisions = (answer.decided for answer in answers if answer.decided is not None)
        return quality_of(answers, await self._judgements.of(decisions))


def quality_of(answers: Sequence[Measured], judgements: Mapping[Place, Judgement]) -> Quality:
    """The quality of answers, oldest first, with the outcomes of their decisions."""
    step_ms = _period_ms(answers)
    periods = _groups(answers, lambda answer: clock.iso(answer.at_ms // step_ms * step_ms), judgements)
    places = {group.name: place for place, group in enumerate(periods)}
    uses = [
        *_uses("prompt and model", answers, lambda answer: answer.version, step_ms, places),
        *_uses("llmctx", answers, lambda answer: answer.code, step_ms, places),
        *_uses("limits", answers, lambda answer: answer.mandate, step_ms, places),
    ]
    return Quality(
        answers=len(answers),
        period_ms=step_ms,
        by_version=tuple(_groups(answers, lambda answer: answer.version, judgements)),
        by_period=tuple(periods),
        calibration=tuple(_bins(_calibration(answers, judgements))),
        in_use=tuple(uses),
    )


def _period_ms(answers: Sequence[Measured]) -> int:
    """The shortest step that leaves few enough periods with answers."""
    times = [answer.at_ms for answer in answers]
    counts = ((step, len({at_ms // step for at_ms in times})) for step in _STEPS_MS)
    return next((step for step, count in counts if count <= _MAX_PERIODS), _STEPS_MS[-1])


def _calibration(answers: Iterable[Measured], judgements: Mapping[Place, Judgement]) -> Calibration:
    """How confidence held up. Decisions that a guardrail changed are left out: the confidence was in another action."""
    found = []
    for answer in answers:
        decided, confidence = answer.decided, answer.confidence
        if decided is None or confidence is None or decided.decided != decided.action:
            continue
        judgement = judgements.get(decided.place)
        if judgement is not None and judgement.right is not None:
            found.append((confidence, judgement.right))
    return calibrate(found)


def _bins(calibration: Calibration) -> list[Bin]:
    return [
        Bin(
            low=found.low,
            high=found.high,
            confidence=found.confidence,
            judged=found.right.of,
            right=found.right.count,
            interval=found.right.interval or (0, 1),
        )
        for found in calibration.bins
    ]


def _by_name(answers: Iterable[Measured], name_of: Callable[[Measured], str | None]) -> dict[str, list[Measured]]:
    groups: dict[str, list[Measured]] = {}
    for answer in answers:
        if (name := name_of(answer)) is not None:
            groups.setdefault(name, []).append(answer)
    return groups


def _uses(
    kind: str,
    answers: Sequence[Measured],
    name_of: Callable[[Measured], str | None],
    step_ms: int,
    places: Mapping[str, int],
) -> list[Use]:
    return [
        Use(
            kind=kind,
            name=name,
            first_ms=found[0].at_ms,
            last_ms=found[-1].at_ms,
            answers=len(found),
            periods=tuple(sorted({places[clock.iso(answer.at_ms // step_ms * step_ms)] for answer in found})),
            newest=name == name_of(answers[-1]),
        )
        for name, found in _by_name(answers, name_of).items()
    ]


def _groups(
    answers: Iterable[Measured], name_of: Callable[[Measured], str], judgements: Mapping[Place, Judgement]
) -> list[Group]:
    return [_group(name, found, judgements) for name, found in _by_name(answers, name_of).items()]


def _group(name: str, answers: Sequence[Measured], judgements: Mapping[Place, Judgement]) -> Group:
    confidences = [answer.confidence for answer in answers if answer.confidence is not None]
    took = [answer.took_ms for answer in answers if answer.took_ms is not None]
    costs = [answer.cost for answer in answers if answer.tokens]
    places = [answer.decided.place for answer in answers if answer.decided is not None]
    gains = [judgements[place].gain for place in places if place in judgements]
    calibration = _calibration(answers, judgements)
    return Group(
        name=name,
        first_ms=answers[0].at_ms,
        last_ms=answers[-1].at_ms,
        asked=len(answers),
        failed=sum(answer.failed for answer in answers),
        guarded=sum(answer.guarded for answer in answers),
        numbers=sum(answer.numbers for answer in answers),
        cited=sum(answer.cited for answer in answers),
        wrong=sum(answer.wrong for answer in answers),
        confidence=sum(confidences) / len(confidences) if confidences else None,
        judged=calibration.decisions,
        right=calibration.base.count,
        gain=sum(gains, Decimal(0)) if gains else None,
        brier=calibration.brier,
        tokens=sum(answer.tokens for answer in answers),
        cost=None if not costs or None in costs else sum((cost for cost in costs if cost is not None), Decimal(0)),
        p50_ms=median(took) if took else None,
        p95_ms=quantiles(took, n=20)[-1] if len(took) >= _FEW else None,
    )
