"""An error is raised, again and again, in every step of a service's start: either the service settles a tick with a
breached stop and names what broke, or it ends with one sentence, and the next start settles the tick, once.
"""

import asyncio
from pathlib import Path
from pkgutil import resolve_name

import pytest
from redis.asyncio import Redis

from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.verdict import GuardPolicy
from llmctx.errors import BrokenStepError
from llmctx.pipeline import DecisionConfig
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker import broken_step
from llmctx.worker.broken_step import Breakdowns
from llmctx.worker.home import TrailHome
from llmctx.worker.serve import ServeOptions, serve
from llmctx.worker.service_notice import Service
from tests.integration.breaking import ALWAYS, exit_of, exits, failing
from tests.integration.conftest import POSITION, ByRules, live, raise_tick
from tests.integration.program import until

pytestmark = pytest.mark.usefixtures("short_pauses")

GOES_ON = {
    "llmctx.trail.log.people.NameTable.ids_of": "Nobody may approve",
    "llmctx.trail.log.people.NameTable.mend": "Nobody may approve",
    "llmctx.trail.log.people.copied_rows": "Nobody may approve",
    "llmctx.trail.log.people.NameTable.id_of": "The mandate holds",
    "llmctx.worker.people.people_fields": "Nobody may approve",
    "llmctx.worker.partition.note_mandate": "It holds all the same",
    "llmctx.worker.mandate_notice._mandate_in": "It holds all the same",
    "llmctx.worker.partition.note_start": "under which settings",
    "llmctx.worker.service_notice._last": "under which settings",
    "llmctx.worker.partition.note_stop": "No notice says so",
    "llmctx.worker.partition.note_prompts": "Noting which prompts",
    "llmctx.worker.partition.remind": "Reminding of stops",
    "llmctx.worker.unconfirmed.held_symbols": "Reminding of stops",
    "llmctx.worker.memory.MemoryWatch.check": "Watching the server's memory",
    "llmctx.worker.balancing.Balancer.beat": "Sharing the partitions",
    "llmctx.trail.proof.notary_service.Notary": "The notary of partition 0",
    "llmctx.trail.proof.notary_service.load_notary_key": "The notary of partition 0",
    "llmctx.trail.proof.notary.Notary.open": "The notary of partition 0",
    "llmctx.trail.proof.notary.Notary.attend": "The notary of partition 0",
}
"""A step without which the service goes on, and what it says."""
ENDS = (
    "llmctx.worker.server_check.ServerCheck.contents",
    "llmctx.worker.server_check.ServerCheck.instance",
    "llmctx.worker.enrolment.load_or_make_writer",
    "llmctx.worker.enrolment.Roster",
    "llmctx.trail.proof.roster.read_lines",
    "llmctx.trail.log.lease.Lease.take",
    "llmctx.trail.spool.recovery.Spool",
    "llmctx.trail.spool.recovery.Segment",
    "llmctx.trail.spool.comparison.Comparison.run",
    "llmctx.trail.spool.comparison.genuine_first",
    "llmctx.trail.spool.walk.raw_entries",
    "llmctx.worker.publish.Publisher.resume",
    "llmctx.worker.enrolment.Enrolment.first_record",
    "llmctx.worker.trail_clock._shown_by",
    "llmctx.worker.partition.Pipeline",
    "llmctx.worker.partition.Reservations",
    "llmctx.worker.partition.EffectRecorder",
    "llmctx.worker.partition.Settler",
    "llmctx.worker.ticks.TickStream.open",
    "llmctx.worker.ticks.TickStream.pending",
    "llmctx.worker.tick_map.TickMap.settled",
)
"""A step without which nothing can be decided, or not be recorded for certain."""


class Start:
    """A trail whose service is started again and again."""

    def __init__(self, redis: Redis, url: str, state_dir: Path) -> None:
        self._redis, self._url, self._state_dir = redis, url, state_dir
        self.ticks: list[str] = []

    async def tick(self) -> str:
        """Raise the next tick, on one more position whose stop is breached."""
        number = len(self.ticks)
        self.ticks.append(f"t{number}")
        await self._redis.mset(live(f"S{number}", price=85.0))
        await raise_tick(self._redis, self.ticks[-1], f"S{number}")
        return self.ticks[-1]

    async def serve(self, tick: str, *, notary: bool = False) -> Entry | None:
        """Serve until the tick is settled, and return its record; None if the service ends before."""
        instance, _ = await bind_instance(self._redis, self._state_dir)
        home = TrailHome(self._redis, self._url, instance, self._state_dir, people={"R. Meier": ("approver",)})
        policy = GuardPolicy(mandate=Mandate.model_validate({"by": "R. Meier"}))
        config, stop, entries = DecisionConfig(POSITION, ByRules(), policy=policy), asyncio.Event(), list[Entry]()
        options = ServeOptions(notary=notary, service=Service("0" * 64, ()))
        serving = asyncio.create_task(serve(home, config, stop, options, on_entry=entries.append))
        await until(lambda: serving.done() or any(tick in entry.ticks for entry in entries))
        await asyncio.sleep(0.05 if notary else 0)
        stop.set()
        (ended,) = await asyncio.gather(serving, return_exceptions=True)
        if ended is not None:
            assert isinstance(ended, BrokenStepError), ended
            assert (ended.exit_code, ended.what.count("\n")) == (3, 0)
            assert "OverflowError: cannot convert Infinity to integer" in ended.what
            return None
        return next(entry for entry in entries if tick in entry.ticks)

    async def check(self) -> None:
        """Each tick is one exit, in order, the trail verifies, and nothing waits."""
        records = [entry.record async for entry in Log(self._redis).read() if "tick" in entry.record]
        assert [record["tick"] for record in records] == self.ticks
        assert {exit_of(record) for record in records} == {("exit", "10", "stop_loss_breached")}
        assert len(await exits(self._redis)) == len(self.ticks)
        assert (await verify_log(Log(self._redis))).fault is None
        assert await self._redis.xlen(keys.ticks(0)) == 0


@pytest.fixture
async def start(valkey: Redis, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A trail with a decision."""
    monkeypatch.setattr(broken_step, "_RETRY_S", 0.01)
    monkeypatch.setattr(Breakdowns, "MAX_IN_A_ROW", 1)
    made = Start(valkey, valkey_url, tmp_path)
    assert await made.serve(await made.tick()) is not None
    return made


async def test_a_step_without_which_the_service_goes_on(start: Start, logged: list[str]) -> None:
    for step, said in GOES_ON.items():
        logged.clear()
        tick = await start.tick()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(step, failing(ALWAYS, resolve_name(step)))
            assert await start.serve(tick, notary="notary" in step) is not None, step
        assert any(said in line and "OverflowError" in line for line in logged), (step, logged)
        assert not any("Traceback" in line for line in logged), step
    await start.check()


async def test_a_step_without_which_the_service_ends(start: Start) -> None:
    for step in ENDS:
        tick = await start.tick()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(step, failing(ALWAYS, resolve_name(step)))
            assert await start.serve(tick) is None, step
        assert await start.serve(tick) is not None, step
    await start.check()


async def test_a_partition_that_breaks_off_does_not_end_the_others(
    logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broken_step, "_RETRY_S", 0.01)
    breakdowns, error = Breakdowns(2), BrokenStepError("It broke off.", "Look.")
    for _ in range(Breakdowns.MAX_IN_A_ROW):
        await breakdowns.add(0, error)
    for _ in range(Breakdowns.MAX_IN_A_ROW - 1):
        await breakdowns.add(1, error)
    assert [line for line in logged if "is not served" in line] == [
        "Partition 0 is not served: It broke off. It is tried again. Look.",
        "Partition 1 is not served: It broke off. It is tried again. Look.",
    ]
    with pytest.raises(BrokenStepError):
        await breakdowns.add(1, error)
    breakdowns.settled(0)
    await breakdowns.add(1, error)  # it is tried again, because partition 0 is served
