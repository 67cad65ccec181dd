"""Large response bodies wait for room, in the order in which they came, and nothing is lost when one gives up."""

import asyncio

from llmctx.limits import MAX_BODIES_BYTES
from llmctx.llm.body_room import BodyRoom, holding_bodies, room_for_body


async def test_who_finds_no_room_waits_in_turn() -> None:
    room, order = BodyRoom(10), list[int]()

    async def wait(size: int) -> None:
        order.append(await room.take(size))

    assert await room.take(6) == 6
    waiting = [asyncio.create_task(wait(size)) for size in (8, 2)]
    await asyncio.sleep(0)
    assert order == []
    room.give_back(6)
    await asyncio.gather(*waiting)
    assert order == [8, 2]


async def test_who_wants_more_than_there_is_gets_all_of_it() -> None:
    assert await BodyRoom(10).take(11) == 10


async def test_who_gives_up_holds_up_nobody_and_keeps_nothing() -> None:
    room = BodyRoom(10)
    await room.take(10)
    first, second = (asyncio.create_task(room.take(10)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    room.give_back(10)
    assert await second == 10
    third = asyncio.create_task(room.take(1))
    await asyncio.sleep(0)
    room.give_back(10)
    third.cancel()  # it has the room already, but will not learn of it
    await asyncio.gather(third, return_exceptions=True)
    assert await asyncio.wait_for(room.take(10), 1) == 10


async def test_a_tick_takes_room_once_and_gives_it_back_at_its_end() -> None:
    async def tick(entered: asyncio.Event, leave: asyncio.Event) -> None:
        with holding_bodies():
            await room_for_body(MAX_BODIES_BYTES)
            await room_for_body(MAX_BODIES_BYTES)  # a second answer to the same tick
            entered.set()
            await leave.wait()

    events = [(asyncio.Event(), asyncio.Event()) for _ in range(2)]
    tasks = [asyncio.create_task(tick(*each)) for each in events]
    await events[0][0].wait()
    await asyncio.sleep(0.01)
    assert not events[1][0].is_set()
    events[0][1].set()
    await events[1][0].wait()
    events[1][1].set()
    await asyncio.gather(*tasks)


async def test_outside_of_a_tick_nothing_is_waited_for() -> None:
    for _ in range(3):
        await asyncio.wait_for(room_for_body(MAX_BODIES_BYTES), 1)
