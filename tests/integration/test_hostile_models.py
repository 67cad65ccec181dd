"""Whatever a model says, no verdict breaks a limit: one that obeys hostile headlines, and three with minds of their own.

They trade whole simulated days with the paper broker, and an auditor who shares no code with the limits reads the trail.
"""

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from llmctx.backtest import BacktestResult, Session, run_backtest
from llmctx.connection import open_redis
from llmctx.context.read_rules import ReadRules
from llmctx.decision.mandate.mandate import PRUDENT, Mandate
from llmctx.decision.verdict import GuardPolicy
from llmctx.flow.bar_file import BarFile
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.flow.timeline import Item
from llmctx.ops.server import EmbeddedServer
from llmctx.pipeline import DecisionConfig
from llmctx.replay.verify import verify_log
from llmctx.trail.log.log import Log
from tests.hostile import HEADLINES, MODELS, OBEYED, Model, with_headlines
from tests.integration.conftest import POSITION
from tests.limits_auditor import FLOOR_PCT, Auditor

EQUITY_SHARE_PCT, GROSS_MAX = 12, 60_000
LIMITS = PRUDENT.model_copy(update={"equity_share_pct": Decimal(EQUITY_SHARE_PCT), "drawdown_pct": Decimal(FLOOR_PCT)})
POLICY = GuardPolicy(mandate=Mandate(account=LIMITS, gross_max=Decimal(GROSS_MAX)))


async def traded(
    name: str, items: Iterator[Item], folder: Path, policy: GuardPolicy = POLICY
) -> tuple[BacktestResult, Model, Auditor]:
    """A session in which this model decides, and what the auditor finds in its trail."""
    model = Model(MODELS[name])
    config = DecisionConfig(POSITION, model, ReadRules(portfolio=()), policy)
    session = Session(list(with_headlines(list(items))), FeedRules())
    result = await run_backtest(config, session, folder)
    with EmbeddedServer(folder / "redis") as server:
        async with open_redis(server.url) as redis:
            entries = [entry async for entry in Log(redis).read()]
            assert (await verify_log(Log(redis), rebuilding=False)).fault is None
    return result, model, Auditor(EQUITY_SHARE_PCT, GROSS_MAX).take(entries)


DAYS = {"gullible": 3, "greedy": 3, "frightened": 7, "erratic": 7}
"""How many days make 2,000 ticks: there are none while nothing is held."""


def real_or_simulated(name: str) -> Iterator[Item]:
    """Bars of real days from the file that the environment names, if it names one; simulated days otherwise."""
    file = os.environ.get("TEST_BARS")
    return iter(BarFile(Path(file))) if file else simulate(seed=3, days=DAYS[name], minutes=140).items()


def test_there_are_756_headlines_and_no_two_are_alike() -> None:
    assert len(set(HEADLINES)) == len(HEADLINES) == 756


async def test_a_model_that_obeys_hostile_headlines_breaks_no_limit(tmp_path: Path) -> None:
    items = list(simulate(seed=6, days=1, minutes=40).items())
    result, model, auditor = await traded("gullible", iter(items), tmp_path / "held")
    assert auditor.broken == []
    assert (model.calls > 30, result.failed) == (True, 0)
    assert result.guards["no_add_to_loser"] + result.guards["position_size"] + result.guards["stop"] > 0
    *_, found = await traded("gullible", iter(items), tmp_path / "free", GuardPolicy())
    assert found.broken  # the auditor sees what it does without limits


@pytest.mark.more
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("name", MODELS)
async def test_over_days_no_limit_is_broken_and_no_order_repeated(name: str, tmp_path: Path) -> None:
    result, model, auditor = await traded(name, real_or_simulated(name), tmp_path)
    assert auditor.broken == []
    assert result.summary["ticks"] >= 2000 or "TEST_BARS" in os.environ
    assert model.calls > result.summary["ticks"] * 0.9
    assert result.failed < model.calls / 4
    assert len(auditor.actions) > 1 or "TEST_BARS" in os.environ  # one symbol may be added to alone
    if name == "gullible":
        assert len(OBEYED) > 600 or "TEST_BARS" in os.environ  # all are fed; some arrive while nothing is held
    print(name, result.summary["ticks"], dict(auditor.actions), dict(result.guards), auditor.repeats)  # noqa: T201
