"""What people say of records: approvals, overrides and annotations, recorded by the owner as a signed request asks.

What waits for an approval is judged again once it is approved, by the limits and the data of that moment, and what the
guardrails leave of it is published under the address of the approval; what a person decides in a decision's place is
published too. Whether somebody may is judged by the owner's settings, not by those of
whoever asks.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError

from llmctx import clock
from llmctx.context.tick import Tick
from llmctx.decision.approved import Approved
from llmctx.decision.conclude import Conclusion
from llmctx.errors import RequestError
from llmctx.publication import expires_ms, position_of
from llmctx.record import RecordMetadata, people_fields
from llmctx.statement import Act, approved_in, compose_act, compose_approval
from llmctx.symbols.memory import SymbolMemory
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Draft
from llmctx.trail.log.people import PEOPLE_KEY, NameTable
from llmctx.trail.log.reader import LogReader
from llmctx.trail.proof.request import Request
from llmctx.worker.broken_step import dispensable
from llmctx.worker.tick_map import IdMap

REQUEST = "act"
"""The kind of a request to record a person's statement."""
JudgeAgain = Callable[[str, str, Approved], Awaitable[Conclusion]]
"""Judges an approved decision by the current limits and data, under the id of the act, for a symbol."""
_SEE = "`llmctx show ADDRESS` shows the record and what was said about it."


class People:
    """Records people's statements, as the owner of a partition."""

    def __init__(
        self,
        names: NameTable,
        said: IdMap,
        memory: SymbolMemory,
        log: LogReader,
        *,
        settle: Callable[[Draft], Awaitable[Entry]],
        metadata: Callable[[], Awaitable[RecordMetadata]],
    ) -> None:
        """`names` gives people their ids, `settle` appends a record, `metadata` has the server's time."""
        self.roles: Mapping[str, tuple[str, ...]] = {}
        """Who may act: each id with its roles; empty for everybody."""
        self.sha256 = ""
        """The digest by which records refer to them; empty if there are none."""
        self._unknown: Mapping[str, tuple[str, ...]] = {}
        self._names = names
        self._said = said
        self._memory = memory
        self._log = log
        self._settle = settle
        self._metadata = metadata
        self.judge_again: JudgeAgain | None = None
        """Without it no approval that acts is possible."""

    async def open(self, people: Mapping[str, tuple[str, ...]]) -> None:
        """Find the ids of those who may; if the table cannot be used, nobody may, until it can.

        Raises TrailError if the server does not answer.
        """
        self._unknown = people
        with dispensable(f"Reading the table of people in {PEOPLE_KEY}", "Nobody may approve or override meanwhile"):
            await self._know()

    async def _know(self) -> None:
        ids = await self._names.ids_of(self._unknown)
        self.roles = {ids[name]: roles for name, roles in self._unknown.items()}
        self.sha256 = people_fields(self.roles)["people_sha256"] if self.roles else ""
        self._unknown = {}

    async def named_by_id(self, tick: Tick) -> Tick:
        """The tick, with the person who confirms a price by it named by id.

        Raises TrailError if the server does not answer.
        """
        confirmed = tick.confirmation
        if confirmed is None:
            return tick
        confirmed = confirmed._replace(by=await self._names.id_of(confirmed.by))
        return tick.model_copy(update={"confirmation": confirmed})

    async def fulfil(self, request: Request) -> None:
        """Append a person's statement, unless it is already recorded.

        Raises RequestError if the request is malformed, or the person may not do it; LeaseError if another owner has
        the partition now; SnapshotError or TrailError if Redis does not answer.
        """
        try:
            act = Act.model_validate(request.body)
        except ValidationError as error:
            raise RequestError(f"A request to record an act is malformed: {error}", "Use one version.") from error
        if request.id in await self._said.settled({request.id}):
            return
        if self._unknown:
            await self._know()
        act = act.model_copy(update={"by": await self._names.id_of(act.by)})
        check_name(self.roles, act)
        if act.kind == "approval":
            symbol = (await _about(self._log, act)).record.get("symbol", "")
            async with self._memory.turn(symbol):  # a tick may add something meanwhile that counts
                await self._approve(act, request.id)
            return
        metadata = await self._metadata()
        entry, verdict = await judge(self._log, act, metadata.recorded_at_ms)
        made = await self._settle(compose_act(act, request.id, entry, metadata, verdict))
        if verdict is not None:
            await self._memory.stand_for(entry, made)

    async def _approve(self, act: Act, act_id: str) -> None:
        """Judge a waiting decision again by the current limits and data, and append the approval with the result."""
        metadata = await self._metadata()
        entry, waits = await judge(self._log, act, metadata.recorded_at_ms)
        if waits is None:
            await self._settle(compose_act(act, act_id, entry, metadata))
            return
        if self.judge_again is None:
            raise RequestError(
                "No service is running that could judge it by the current limits.", "Start `llmctx run` first."
            )
        approved = approved_in(entry)
        conclusion = await self.judge_again(act_id, entry.record["symbol"], approved)
        made = await self._settle(compose_approval(act, act_id, entry, metadata, approved, conclusion))
        self._memory.count(conclusion.package, conclusion.verdict.action, made)


def check_name(people: Mapping[str, tuple[str, ...]], act: Act) -> None:
    """Raise RequestError if the settings name people and this one is not allowed."""
    if people and act.by not in people:
        raise RequestError(f"{act.by} is not among the people in the settings.", "Name them in [people], with a role.")
    if people and act.kind != "annotation" and "approver" not in people[act.by]:
        raise RequestError(f"{act.by} may not do this: {act.kind} needs the role approver.", "See [people].")


async def judge(log: LogReader, act: Act, now_ms: int) -> tuple[Entry, dict[str, Any] | None]:
    """The record that an act is about, and the new verdict, or what waits if it is an approval; None without one.

    Raises RequestError if there is no such record, or it cannot be approved or overridden (any more).
    """
    entry = await _about(log, act)
    if act.kind == "annotation":
        return entry, None
    record, verdict = entry.record, entry.record["verdict"]
    if "tick" not in record or verdict["action"] == "none":
        raise RequestError(f"Record {act.index} has no verdict on a position.", _SEE)
    await _check_newest(log, entry)
    if act.kind == "override":
        held = {} if act.action != "exit" else _held(entry)
        return entry, {"action": act.action or "hold"} | held
    until_ms = expires_ms(record)
    if until_ms is None:
        return entry, None
    if now_ms > until_ms:
        raise RequestError(f"Record {act.index} could be approved until {clock.iso(until_ms)}.", "Decide again.")
    return entry, verdict["awaits"]


async def _about(log: LogReader, act: Act) -> Entry:
    entry = await log.entry(act.index)
    if entry is None or entry.unreadable is not None:
        raise RequestError(f"There is no record {act.index} in partition {log.partition}.", "See `llmctx decisions`.")
    return entry


async def _check_newest(log: LogReader, entry: Entry) -> None:
    """Raise RequestError if a later decision, approval or override was made on the symbol."""
    async for other in log.read_back_of(entry.record["symbol"]):
        if other.index <= entry.index:
            return
        record = other.record
        decides = record["kind"] in ("approval", "override") or "tick" in record
        if decides and record["verdict"]["action"] not in ("hold", "none"):
            why = f"record {other.index} is newer and says {record['verdict']['action']}"
            raise RequestError(f"Record {entry.index} is not the last word on its position: {why}.", _SEE)
        if record["kind"] in ("approval", "override") and record["about"]["index"] == entry.index:
            raise RequestError(f"Record {entry.index} is settled: {record['verdict']['reason']}.", _SEE)


def _held(entry: Entry) -> dict[str, str]:
    held = position_of(entry).get("held")
    return {} if held is None else {"quantity": f"{held:f}"}
