"""Another mandate beside the one in force: in a backtest, in a replay that asks nobody, and in a comparison."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.decision.mandate.mandate import Group, Limits, Mandate
from llmctx.llm.standin import Standin
from llmctx.replay.mandate_check import judge_again
from tests.integration.conftest import hold
from tests.integration.program import Program
from tests.integration.test_mandate import ADD, trail_on

STRICT = '[mandate]\nadds_per_position = 0\nby = "R. Ohm"\nwhy = "review"\n'
OPEN = (
    'loser_pct = "off"\nadds_per_position = "off"\nadds_per_day = "off"\norder_expiry_s = "off"\nmax_times_opened = 9\n'
)


@pytest.mark.more
async def test_mandates_trade_beside_each_other_and_are_compared_rule_by_rule(tmp_path: Path, standin: Standin) -> None:
    made = Program("redis://127.0.0.1:1/0", tmp_path, standin.base_url)
    (tmp_path / "strict.toml").write_text(STRICT)
    (tmp_path / "open.toml").write_text(OPEN)
    simulated = ("--news", "n.jsonl", "--sectors", "s.json", "--days", "1", "--minutes", "45", "--seed", "6")
    assert (await made("simulate", "b.csv", *simulated)).code == 0
    both = ("--mandate", "open.toml", "--mandate", "strict.toml", "--keep", "kept")
    ended = await made("backtest", "b.csv", "--news", "n.jsonl", "--sectors", "s.json", *both, "--json")
    assert ended.code == 0, ended.err
    loose, strict = ended.lines
    assert loose["mandate"] != strict["mandate"]
    assert loose["actions"]["add"] > 0
    assert "adds" not in loose["limits"]
    assert "add" not in strict["actions"]
    assert strict["limits"]["adds"] > 0

    kept = ("--redis-url", "embedded:kept/position-v4-open/redis")
    ended = await made("replay", *kept, "--mandate", "strict.toml", "--out", "strict.jsonl")
    assert ended.code == 0, ended.err
    assert "mandate: nobody is asked" in ended.out
    compared = await made("compare", "recorded", "strict.jsonl", "--json")
    (adds,) = [limit for limit in compared.document["limits"] if limit["rule"] == "adds"]
    assert adds["a"] == 0
    assert adds["instead"] == {"add -> hold": adds["b"]}
    assert compared.document["flip_causes"] == {"mandate": loose["actions"]["add"]}
    checked = await made("mandate", "check", *kept, "--mandate", "strict.toml", "--json")
    assert checked.lines[-1]["limits"] == compared.document["limits"]
    asked = await made("replay", "limit=3", *kept, "--mandate", "strict.toml", "--prompt", "position/v1", "--json")
    assert (asked.document["mode"], asked.document["asked"]) == ("prompt and mandate", 3)


async def test_a_malformed_mandate_names_the_file_and_the_limit(program: Program) -> None:
    (program.folder / "odd.toml").write_text("adds_per_day = -1\n")
    ended = await program("mandate", "--mandate", "odd.toml")
    assert (ended.code, "odd.toml is malformed: adds_per_day" in ended.err) == (2, True)


async def test_limits_that_positions_share_are_checked_over_the_sequence(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    trail = await trail_on(valkey, valkey_url, tmp_path)
    await hold(valkey, "MSFT")
    for symbol in ("AAPL", "MSFT", "AAPL"):
        await trail.decide(ADD, mandate=None, symbol=symbol)  # of 2 shares at 100 to 10 that are held
    recorded = await trail.recorded()

    def after(**totals: int) -> list[str]:
        mandate = Mandate.model_validate({"account": Limits(), **totals})
        return [each.after.action for each in judge_again(*recorded, mandate)]

    assert after() == ["add", "add", "add"]
    assert after(gross_max=2600) == ["add", "add", "add"]
    assert after(gross_max=2500) == ["add", "add", "hold"]
    assert after(net_max=2300) == ["add", "hold", "hold"]
    grouped = Mandate(account=Limits(), groups={"m": Group(symbols=("M*",), gross_max=1100)})
    assert [each.after.action for each in judge_again(*recorded, grouped)] == ["add", "hold", "add"]
    refused = await trail.decide(ADD, mandate=Mandate(account=Limits(), gross_max=2100))
    *_, last = judge_again(*await trail.recorded(), Mandate(account=Limits(), gross_max=2100))
    assert last.before.action == last.after.action == refused[0]["action"] == "hold"
    assert (
        last.before.reason
        == refused[0]["reason"]
        == "gross_max is 2100, and the positions would come to 2200.00: add becomes hold"
    )
