"""Time frames from the feed to the prompt: written, read in the same call, shown, cited, aged, and free while off."""

from typing import cast

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.assets import asset
from llmctx.context.package import Package, build_package
from llmctx.context.read_rules import DEFAULT_MAX_AGE_S, ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.context.snapshot import Snapshot
from llmctx.context.staleness import Status
from llmctx.decision.grounding import ground
from llmctx.flow.feed import Feed
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.flow.timeframes import FrameRules
from llmctx.prompt.render import render
from llmctx.prompt.template import load_template
from llmctx.schema import keys
from tests.unit.makers import decision

MARKET = simulate(seed=7, days=1, minutes=40)
RULES = ReadRules(timeframes=True, max_age_s=DEFAULT_MAX_AGE_S | {"timeframes": 180})


async def fed(redis: Redis, frames: FrameRules) -> Snapshot:
    """The snapshot of a held symbol after a session."""
    await redis.flushall()
    await Feed(Store(redis, 1), FeedRules(frames=frames)).run(MARKET.items())
    held = [key.decode() async for key in redis.scan_iter("positions:active:*")]
    return await read_snapshot(redis, held[0].removeprefix("positions:active:"), 0, RULES)


def shown(package: Package) -> list[str]:
    prompt = render(load_template(asset("prompts"), "position/v4"), package)
    return prompt.messages[1].content.splitlines()


async def test_the_section_is_shown_cited_and_rebuilt(valkey: Redis) -> None:
    snapshot = await fed(valkey, FrameRules(("1m", "5m"), 3))
    package = build_package(snapshot)
    section = package.sections["timeframes"]
    assert (section.status, section.key) == (Status.FRESH, f"stocks:timeframes:{snapshot.symbol}")
    facts = {fact.path: fact for fact in package.facts["timeframes"]}
    assert {path.split(".")[1] for path in facts} == {"m1", "m5", "timestamp"}
    minute = facts["timeframes.m1.rsi_14"]
    assert minute.unit == "0 to 100"
    lines = shown(package)
    assert f"- timeframes.m1.rsi_14: {minute.value} [0 to 100]" in lines
    assert any(line.startswith('- timeframes.m5.closes: "') and line.endswith('" [price]') for line in lines)
    assert any(line.startswith("- (about this section): Indicators of bars") for line in lines)
    reasoning = f"RSI is {minute.value} [timeframes.m1.rsi_14], and not 1.5 [timeframes.m1.rsi_14]."
    result = ground(package, decision(reasoning=reasoning, invalidation="x", evidence=[
        {"path": "timeframes.m1.rsi_14", "value": str(minute.value), "reading": "momentum"},
    ]))  # fmt: skip
    assert [one.text for one in result.miscited] == ["1.5"]
    again = build_package(Snapshot.from_evidence(snapshot.evidence()))
    assert again.facts["timeframes"] == package.facts["timeframes"]


async def test_the_section_ages_like_any_other(valkey: Redis) -> None:
    snapshot = await fed(valkey, FrameRules(("5m",)))
    later = snapshot.model_copy(update={"as_of_ms": snapshot.as_of_ms + 181_000})
    assert build_package(later).sections["timeframes"].status is Status.STALE
    earlier = snapshot.model_copy(update={"as_of_ms": snapshot.as_of_ms - 10_000})
    assert build_package(earlier).sections["timeframes"].status is Status.INVALID


async def test_while_it_is_off_nothing_is_written_read_or_shown(valkey: Redis) -> None:
    snapshot = await fed(valkey, FrameRules())
    assert await valkey.exists(keys.TIMEFRAMES.key(snapshot.symbol)) == 0
    assert build_package(snapshot).sections["timeframes"].status is Status.MISSING
    off = await read_snapshot(valkey, snapshot.symbol, 0, ReadRules())
    assert "timeframes" not in off.sections
    assert not any("timeframes" in line for line in shown(build_package(off)))


async def test_a_feed_that_resumes_continues_with_the_bars_of_the_stream(valkey: Redis) -> None:
    rules = FeedRules(frames=FrameRules(("5m", "15m"), 2))
    whole = await fed(valkey, rules.frames)
    expected = await valkey.get(keys.TIMEFRAMES.key(whole.symbol))
    await valkey.flushall()
    items = list(MARKET.items())
    for part in (items[: len(items) // 2], items):
        await Feed(Store(valkey, 1), rules).run(part)
    assert await valkey.get(keys.TIMEFRAMES.key(whole.symbol)) == expected


async def test_a_corrected_bar_corrects_its_frames(valkey: Redis) -> None:
    rules, bars = FeedRules(frames=FrameRules(("1m",), 2)), MARKET.bars
    last = next(bar for bar in reversed(bars) if bar.symbol == "ACME")
    await Feed(Store(valkey, 1), rules).run([*bars, last._replace(close=last.low)])
    raw = cast("bytes", await valkey.get(keys.TIMEFRAMES.key("ACME")))
    assert canonical.loads(raw)["m1"]["close"] == last.low != last.close
