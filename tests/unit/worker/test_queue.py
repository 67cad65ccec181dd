from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmctx.context.tick import Tick
from llmctx.limits import MAX_CONFLATED
from llmctx.worker.queue import Batch, TickQueue


def tick(name: str, symbol: str = "AAPL") -> Tick:
    return Tick(id=name, symbol=symbol)


def at(name: str) -> str:
    """The stream entry of a tick: entries are in the order of the names."""
    place = 1000 if name == "again" else int(name) if name.isdigit() else ord(name)
    return f"{place}-0"


def queue_of(*names: str, symbol: str = "AAPL") -> TickQueue:
    """A queue with these ticks, each from a stream entry of its own."""
    queue = TickQueue()
    for name in names:
        queue.add(at(name), tick(name, symbol), redelivered=False)
    return queue


def take(queue: TickQueue, room: int = 100) -> list[Batch]:
    return list(queue.take(room))


def test_a_new_queue_is_empty() -> None:
    queue = TickQueue()
    assert queue.empty
    assert (len(queue), queue.busy, take(queue)) == (0, 0, [])


def test_one_tick_is_one_batch() -> None:
    (batch,) = take(queue_of("a"))
    assert batch == Batch(tick("a"), [], [at("a")], redelivered=False)


def test_ticks_that_wait_are_conflated_into_the_newest() -> None:
    (batch,) = take(queue_of("a", "b", "c"))
    assert (batch.tick.id, batch.conflated) == ("c", ["a", "b"])
    assert batch.entry_ids == [at("a"), at("b"), at("c")]


def test_an_older_tick_that_is_read_again_does_not_replace_a_newer_one() -> None:
    queue = queue_of("b", "c")
    queue.add(at("a"), tick("a"), redelivered=True)
    (batch,) = take(queue)
    assert (batch.tick.id, batch.conflated, batch.redelivered) == ("c", ["b", "a"], True)


def test_symbols_are_batches_of_their_own() -> None:
    queue = queue_of("a")
    queue.add(at("b"), tick("b", "MSFT"), redelivered=False)
    assert [batch.tick.id for batch in take(queue)] == ["a", "b"]


def test_no_more_batches_are_taken_than_there_is_room_for() -> None:
    queue = queue_of("a")
    queue.add(at("b"), tick("b", "MSFT"), redelivered=False)
    assert [batch.tick.id for batch in take(queue, 1)] == ["a"]
    assert [batch.tick.id for batch in take(queue, 1)] == ["b"]


@pytest.mark.parametrize("room", [0, -1])
def test_without_room_nothing_is_taken(room: int) -> None:
    assert take(queue_of("a"), room) == []


def test_a_busy_symbol_is_not_taken_until_its_batch_is_done() -> None:
    queue = queue_of("a")
    (first,) = take(queue)
    queue.add(at("b"), tick("b"), redelivered=False)
    assert take(queue) == []
    queue.done(first)
    assert [batch.tick.id for batch in take(queue)] == ["b"]


def test_a_busy_symbol_leaves_its_room_to_others() -> None:
    queue = queue_of("a")
    take(queue)
    queue.add(at("b"), tick("b"), redelivered=False)
    queue.add(at("c"), tick("c", "MSFT"), redelivered=False)
    assert [batch.tick.id for batch in take(queue, 1)] == ["c"]


def test_the_same_stream_entry_twice_changes_nothing() -> None:
    queue = queue_of("a")
    queue.add(at("a"), tick("a"), redelivered=True)
    (batch,) = take(queue)
    assert batch == Batch(tick("a"), [], [at("a")], redelivered=False)


def test_a_tick_raised_twice_only_brings_its_stream_entry() -> None:
    queue = queue_of("a")
    queue.add(at("again"), tick("a"), redelivered=False)
    (batch,) = take(queue)
    assert (batch.tick.id, batch.conflated, batch.entry_ids) == ("a", [], [at("a"), at("again")])


def test_a_conflated_tick_raised_again_only_brings_its_stream_entry() -> None:
    queue = queue_of("a", "b")
    queue.add(at("again"), tick("a"), redelivered=False)
    (batch,) = take(queue)
    assert (batch.tick.id, batch.conflated) == ("b", ["a"])
    assert batch.entry_ids == [at("a"), at("b"), at("again")]


def test_a_tick_raised_again_while_it_is_decided_belongs_to_that_batch() -> None:
    queue = queue_of("a")
    (batch,) = take(queue)
    queue.add(at("again"), tick("a"), redelivered=False)
    assert batch.entry_ids == [at("a"), at("again")]
    queue.done(batch)
    assert queue.empty


@pytest.mark.parametrize("redelivered", [(True, False), (False, True)])
def test_one_redelivered_tick_makes_the_batch_redelivered(redelivered: tuple[bool, bool]) -> None:
    queue = TickQueue()
    for name, again in zip("ab", redelivered, strict=True):
        queue.add(at(name), tick(name), redelivered=again)
    (batch,) = take(queue)
    assert batch.redelivered


def test_what_is_done_is_forgotten_and_may_come_again() -> None:
    queue = queue_of("a", "b")
    (batch,) = take(queue)
    queue.done(batch)
    assert not queue.holds(at("a"))
    queue.add(at("a"), tick("a"), redelivered=True)
    assert take(queue) == [Batch(tick("a"), [], [at("a")], redelivered=True)]


def test_what_is_in_hand_is_counted_until_it_is_done() -> None:
    queue = queue_of("a", "b")
    (batch,) = take(queue)
    assert (len(queue), queue.busy, queue.empty, queue.holds(at("a"))) == (2, 1, False, True)
    queue.done(batch)
    assert (len(queue), queue.busy, queue.empty, queue.holds(at("a"))) == (0, 0, True, False)


def test_a_record_lists_at_most_so_many_conflated_ticks() -> None:
    queue = queue_of(*(str(number) for number in range(MAX_CONFLATED + 2)))
    (first,) = take(queue)
    assert (first.tick.id, len(first.conflated)) == (str(MAX_CONFLATED), MAX_CONFLATED)
    queue.done(first)
    assert take(queue) == [Batch(tick("501"), [], [at("501")])]


def test_ticks_beyond_the_cap_wait_for_the_first_batch() -> None:
    queue = queue_of(*(str(number) for number in range(MAX_CONFLATED + 2)))
    take(queue)
    assert take(queue) == []
    assert not queue.empty


def test_a_conflated_tick_never_replaces_a_newer_one_beyond_the_cap() -> None:
    queue = queue_of(*(str(number) for number in range(MAX_CONFLATED + 3)))
    (first,) = take(queue)
    queue.done(first)
    (second,) = take(queue)
    assert (second.tick.id, second.conflated) == ("502", ["501"])


def test_a_part_of_a_batch_has_just_its_own_ticks_and_entries() -> None:
    queue = queue_of("a", "b", "c")
    queue.add(at("again"), tick("a"), redelivered=False)
    (batch,) = take(queue)
    assert batch.only(lambda name: name == "a") == Batch(tick("a"), [], [at("a"), at("again")])
    assert batch.only(lambda name: name != "c") == Batch(tick("a"), ["b"], [at("a"), at("b"), at("again")])
    assert batch.only(lambda name: name != "a") == Batch(tick("c"), ["b"], [at("b"), at("c")])
    assert batch.only(lambda _: False) is None


class AnyOrder(RuleBasedStateMachine):
    """Stream entries come, batches are taken and done, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = TickQueue()
        self.taken: list[Batch] = []
        self.given = 0
        self.in_hand: set[str] = set()
        self.done_entries: Counter[str] = Counter()

    @rule(name=st.integers(0, 6), symbol=st.sampled_from(["A", "B", "C"]), redelivered=st.booleans())
    def add_new(self, name: int, symbol: str, *, redelivered: bool) -> None:
        entry_id = f"{self.given}-0"
        self.given += 1
        self.in_hand.add(entry_id)
        self.queue.add(entry_id, tick(f"{symbol}{name}", symbol), redelivered=redelivered)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def add_again(self, data: st.DataObject) -> None:
        entry_id = data.draw(st.sampled_from(sorted(self.in_hand)))
        self.queue.add(entry_id, tick("another", "A"), redelivered=True)

    @rule(room=st.integers(0, 3))
    def take(self, room: int) -> None:
        batches = list(self.queue.take(room))
        assert len(batches) <= room
        self.taken += batches

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        batch = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.done_entries.update(batch.entry_ids)
        self.in_hand.difference_update(batch.entry_ids)
        self.queue.done(batch)

    @invariant()
    def no_symbol_is_busy_twice(self) -> None:
        symbols = [batch.tick.symbol for batch in self.taken]
        assert len(symbols) == len(set(symbols)) == self.queue.busy

    @invariant()
    def no_tick_is_in_two_batches(self) -> None:
        ticks = Counter(name for batch in self.taken for name in (batch.tick.id, *batch.conflated))
        assert not ticks or max(ticks.values()) == 1

    @invariant()
    def a_batch_is_of_one_symbol(self) -> None:
        for batch in self.taken:
            assert {name[0] for name in (batch.tick.id, *batch.conflated)} == {batch.tick.symbol}

    @invariant()
    def what_is_in_hand_is_known(self) -> None:
        assert len(self.queue) == len(self.in_hand)
        assert all(self.queue.holds(entry_id) for entry_id in self.in_hand)

    def teardown(self) -> None:
        while not self.queue.empty:
            self.taken += self.queue.take(9)
            for batch in self.taken:
                self.done_entries.update(batch.entry_ids)
                self.queue.done(batch)
            self.taken.clear()
        assert self.done_entries == Counter(f"{number}-0" for number in range(self.given))
        assert len(self.queue) == 0


AnyOrder.TestCase.settings = settings(stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase
