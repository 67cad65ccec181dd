"""Results of replays: which there are, two of them side by side, and what others said of one decision."""

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from llmctx.console.judged import HORIZON, read_series
from llmctx.console.measured import decided_of
from llmctx.console.subject import Subject
from llmctx.errors import ConsoleError, ReplayError
from llmctx.replay.answer import Answer
from llmctx.replay.compare import RECORDED, Comparison, compare_results
from llmctx.replay.outcome import DecisionOutcome, judged, outcome_of
from llmctx.replay.page import Served, render_page
from llmctx.replay.price_series import PriceSeries
from llmctx.replay.results import RESULTS, read_results
from llmctx.replay.stats import Calibration, calibrate
from llmctx.trail.log.entry import Entry
from llmctx.trail.source.lookup import blobs_of

_HEAD_BYTES = 4096
_MAX_KEPT = 8
_MAX_JUDGED = 2000
"""Decisions of a comparison whose outcome is looked up."""
_SERVED = Served(
    "/static/comparison.css",
    (
        ("Desk", "/"), ("Approvals", "/approvals"), ("Find", "/find"), ("Compare", "/compare"), ("Quality", "/quality"),
        ("Health", "/health"), ("API", "/api"),
    ),
)  # fmt: skip


class ListedResults(NamedTuple):
    """One file of results."""

    name: str
    """Its name."""
    size_bytes: int
    """Its size."""
    changed_ms: int
    """When it was last written."""


class OtherAnswer(NamedTuple):
    """What somebody else said of a decision."""

    who: str
    """The prompt and the model, and the file it stands in."""
    label: str
    """The action."""
    confidence: str | None
    """The confidence."""
    reasoning: str | None
    """The reasoning."""


def comparisons_in(folder: Path | None) -> list[ListedResults]:
    """The files of results in a folder, the newest first."""
    found = []
    for path in sorted(folder.glob("*.jsonl")) if folder is not None and folder.is_dir() else ():
        with path.open("rb") as file:
            if not RESULTS.matches(file.read(_HEAD_BYTES)):
                continue
        about = path.stat()
        found.append(ListedResults(path.name, about.st_size, int(about.st_mtime * 1000)))
    return sorted(found, key=lambda file: -file.changed_ms)


class ComparisonReader:
    """Compares results; a comparison is made once, until its files or the trail change."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._made: dict[tuple[object, ...], str] = {}

    async def page(self, first: str, second: str) -> str:
        """The page that compares two files of results, one of which may be `recorded`.

        Raises ConsoleError if there is no such file, ReplayError if the two cannot be compared.
        """
        folder = self._subject.replays
        if folder is None:
            raise ConsoleError("There are no results.", "Start the console with --replays DIR.")
        found = {file.name: file for file in comparisons_in(folder)}  # only these: a path may lead anywhere
        for name in (first, second):
            if name != RECORDED and name not in found:
                raise ConsoleError(f"There are no results {name!r} in {folder}.", "Choose two of the list.")
        if first == second == RECORDED:
            raise ConsoleError("There is nothing to compare.", "Choose at least one file of results.")
        sizes = [await part.size() for part in (await self._subject.source()).parts]
        key = (first, second, found.get(first), found.get(second), *sizes)
        if key not in self._made:
            paths = [name if name == RECORDED else str(folder / name) for name in (first, second)]
            comparison, questions = await asyncio.to_thread(compare_results, *paths)
            page = render_page(comparison, questions, await _calibrations(self._subject, comparison), _SERVED)
            self._made = dict([*self._made.items(), (key, page)][-_MAX_KEPT:])
        return self._made[key]


async def _calibrations(subject: Subject, comparison: Comparison) -> list[Calibration]:
    """How the confidence of both sides held up, by the bars in the live server; empty without one.

    Raises LlmctxError if the trail cannot be read, RedisError if the server does not answer.
    """
    if subject.live is None:
        return []
    source = await subject.source()
    parts = {part.partition: part for part in source.parts}
    series = dict[str, PriceSeries]()
    outcomes: tuple[list[DecisionOutcome], list[DecisionOutcome]] = ([], [])
    for pair in comparison.pairs[:_MAX_JUDGED]:
        part = parts.get(pair.result.partition)
        if part is None or pair.result.origin != source.origin:
            continue
        entry = await part.entry(pair.result.index)
        decided = None if entry is None else decided_of(entry, await blobs_of(source, entry))
        if decided is None:
            continue
        if decided.symbol not in series:
            series[decided.symbol] = await read_series(subject.live.redis, decided.symbol)
        for answer, found in zip((pair.a, pair.b), outcomes, strict=True):
            answered = decided.answered(answer.verdict, answer.decided, answer.confidence)
            found.append(outcome_of(answered, series, {}))
    return [calibrate(judged(found, HORIZON)) for found in outcomes]


def answers_of(folder: Path | None, origin: str, entry: Entry) -> list[OtherAnswer]:
    """What the results in a folder say of one record; a file that cannot be read says nothing."""
    found: list[OtherAnswer] = []
    for file in comparisons_in(folder):
        assert folder is not None  # there are no files without it
        try:
            answers = _by_place(folder / file.name, file.changed_ms, file.size_bytes)
        except ReplayError:
            continue
        for answer in answers.get((origin, entry.partition, entry.index), ()):
            decision = answer.decision or {}
            who = f"{answer.template or 'no prompt'}, {answer.served or answer.requested or 'no model'} ({file.name})"
            found.append(OtherAnswer(who, answer.label, decision.get("confidence"), decision.get("reasoning")))
    return found


@lru_cache(maxsize=8)
def _by_place(path: Path, _changed_ms: int, _size_bytes: int) -> dict[tuple[str, int, int], list[Answer]]:
    """The answers of a file by record; read again once the file has changed."""
    found: dict[tuple[str, int, int], list[Answer]] = {}
    for result in read_results(path).results:
        found.setdefault((result.origin, result.partition, result.index), []).append(result.replayed)
    return found
