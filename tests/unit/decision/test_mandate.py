"""The mandate: each rule by itself, and all of them over sequences of ticks, whatever the model says."""

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical, clock
from llmctx.context.ledger import Ledger, Pending
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.decision.approved import Approved
from llmctx.decision.decision import Decision
from llmctx.decision.guards import guard
from llmctx.decision.mandate.case import ledger_after
from llmctx.decision.mandate.mandate import PRUDENT, Group, Limits, Mandate
from llmctx.decision.mandate.rules import RULES
from llmctx.decision.parse import Misfit, parse
from llmctx.decision.verdict import GuardPolicy, Rest, Verdict
from llmctx.schema import keys
from tests.conftest import present
from tests.unit.makers import NOW, NOW_MS, answer_text, decision, market, package_of, snapshot_of

ENTRY_MS = 1746783932000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
PERFORMANCE = {
    "daily_pnl": 0, "daily_pnl_pct": Decimal("0.1"), "win_count": 0, "loss_count": 0, "win_rate": None, "avg_win": None,
    "avg_loss": None, "largest_win": None, "largest_loss": None, "timestamp": "2025-05-09T10:15:30.123Z",
}  # fmt: skip


def account(at: str = NOW, **changes: Any) -> RawSection:
    """The portfolio of an account of 100,000, as it is read."""
    document = {"equity": 100_000, "drawdown_pct": 0, "holdings": [], "unknown": [], "timestamp": at} | changes
    return RawSection(keys.PORTFOLIO, canonical.wire(document))


def built(documents: dict[str, Any], portfolio: RawSection, **known: Any) -> Package:
    """The package of some documents and a portfolio, with what the trail said before."""
    snapshot = snapshot_of(documents)
    return build_package(snapshot.model_copy(update={"sections": snapshot.sections | {"portfolio": portfolio}} | known))


def package(
    *,
    ledger: Ledger | None = None,
    performance: dict[str, Any] | None = None,
    portfolio: dict[str, Any] | None = None,
    **at: Any,
) -> Package:
    """A position of 10 at 150, its price 152.5, its stop 145, in an account of 100,000."""
    documents = market(**at) | {"performance": PERFORMANCE | (performance or {})}
    return built(documents, account(**portfolio or {}), ledger=ledger or Ledger())


def verdict(facts: Package, mandate: Mandate | None = None, **said: Any) -> Verdict:
    """The verdict on an answer, under the shipped mandate unless another one is given."""
    return guard(facts, decision(**said), GuardPolicy(grounding="off", mandate=mandate or Mandate()))


def fired(found: Verdict) -> list[str]:
    return [one.name for one in found.guards]


def before(**fields: Any) -> Ledger:
    """A ledger about the position of the package."""
    known: dict[str, Any] = {"entry_ms": ENTRY_MS, "opened": Decimal(10), "day": NOW_MS // DAY_MS}
    return Ledger(**known | fields)


def test_an_add_within_every_limit_passes_as_the_model_decided() -> None:
    found = verdict(package(), action="add", quantity=5)
    assert (found.action, found.quantity, found.limited, found.guards) == ("add", Decimal(5), None, ())


BLOCKED: Sequence[tuple[str, dict[str, Any], dict[str, Any]]] = (
    ("no_add_to_loser", {"price": "149.99"}, {"action": "add", "quantity": 5}),
    ("no_add_to_loser", {"price": "150.5", "side": "short", "stop": "155", "target": "140"}, {"action": "add", "quantity": 5}),
    ("add_needs_stop", {"stop": None}, {"action": "add", "quantity": 5}),
    ("adds", {"ledger": before(adds=3)}, {"action": "add", "quantity": 5}),
    ("adds", {"ledger": before(entry_ms=1, adds_today=3)}, {"action": "add", "quantity": 5}),
    ("daily_loss", {"performance": {"daily_pnl_pct": -3}}, {"action": "add", "quantity": 5}),
    ("position_size", {"quantity": "100"}, {"action": "add", "quantity": 5}),
    ("position_size", {"ledger": before(opened=Decimal(5))}, {"action": "add", "quantity": 5}),
    ("order_size", {"quantity": "100"}, {"action": "reduce", "quantity": Decimal("0.9")}),
    ("actions_per_hour", {"ledger": before(actions=(NOW_MS - MINUTE_MS,) * 12)}, {"action": "reduce", "quantity": 5}),
    ("stop", {}, {"action": "adjust_stops", "stop_loss": Decimal("144.99")}),
    ("stop", {}, {"action": "adjust_stops", "stop_loss": 145}),
)  # fmt: skip


@pytest.mark.parametrize(("rule", "facts", "said"), BLOCKED, ids=[f"{one[0]} {n}" for n, one in enumerate(BLOCKED)])
def test_what_a_rule_refuses_becomes_a_hold(rule: str, facts: dict[str, Any], said: dict[str, Any]) -> None:
    found = verdict(package(**facts), **said)
    assert (found.action, fired(found), found.limited) == ("hold", [rule], "block")


EVIDENCE = {"path": "price.price.last", "value": "152.5", "reading": ""}
CONTRADICTING: dict[str, dict[str, Any]] = {
    "a confidence of 0": {"confidence": 0},
    "own stop_loss 152.5 is reached at 152.5": {"stop_loss": Decimal("152.5")},
    "own take_profit 150 lies behind 152.5": {"take_profit": 150},
    "not fresh: indicators (missing)": {"evidence": [EVIDENCE | {"path": "indicators.rsi_14 / 2", "value": "30"}]},
    "own evidence does not hold: 160": {"evidence": [EVIDENCE | {"value": "160"}]},
}


@pytest.mark.parametrize("why", CONTRADICTING)
def test_nothing_is_added_by_an_answer_that_speaks_against_itself(why: str) -> None:
    policy = GuardPolicy(confidence_floor=Decimal(0), mandate=Mandate())
    said: dict[str, Any] = {"action": "add", "quantity": 5}
    assert guard(package(), decision(**said), policy).action == "add"
    found = guard(package(), decision(**said | CONTRADICTING[why]), policy)
    assert (found.action, fired(found)[-1]) == ("hold", "contradiction")
    assert why in found.reason


LOCKING = Mandate(account=PRUDENT.model_copy(update={"profit_lock_pct": Decimal(40), "profit_lock_from_pct": 1}))


def test_a_new_stop_keeps_its_share_of_a_large_profit_and_nothing_is_added_before() -> None:
    found = verdict(package(), LOCKING, action="adjust_stops", stop_loss=146)
    assert (found.action, found.stop_loss, fired(found)) == ("adjust_stops", Decimal(151), ["profit_lock"])
    assert verdict(package(), LOCKING, action="adjust_stops", stop_loss=152).guards == ()
    assert fired(verdict(package(), LOCKING, action="add", quantity=1)) == ["profit_lock"]
    assert verdict(package(stop="151"), LOCKING, action="add", quantity=1).action == "add"
    assert verdict(package(price="151"), LOCKING, action="add", quantity=1).action == "add"  # no large profit yet
    short = package(side="short", price="147.5", stop="155", target="140")
    assert verdict(short, LOCKING, action="adjust_stops", stop_loss=154).stop_loss == 149


def holdings(*sectors: str | None) -> dict[str, Any]:
    """An account that holds AAPL, worth 1,525, and MSFT, worth 8,000, in these sectors."""
    named = zip(("AAPL", "MSFT"), (1525, 8000), sectors, strict=True)
    held = [{"symbol": name, "side": "long", "quantity": 1, "value": worth, "sector": of} for name, worth, of in named]
    return {"holdings": held, "gross_exposure": 9525}


def test_a_sector_has_its_share_of_the_account_and_the_account_its_leverage() -> None:
    of_sector = Mandate(account=Limits(sector_share_pct=Decimal(10)))
    add: dict[str, Any] = {"action": "add", "quantity": 5}
    found = verdict(package(portfolio=holdings("tech", "tech")), of_sector, **add)
    assert (found.quantity, fired(found), found.limited) == (Decimal(3), ["account_size"], "clamp")
    assert verdict(package(portfolio=holdings("tech", "energy")), of_sector, **add).quantity == 5
    for known in (holdings("tech", None), holdings(None, "tech"), {}):
        unknown = verdict(package(portfolio=known), of_sector, **add)
        assert (unknown.quantity, fired(unknown)) == (Decimal(5), ["mandate_unchecked"])
    leverage = Mandate(account=Limits(max_leverage=Decimal("0.098")))
    assert verdict(package(portfolio=holdings("tech", "tech")), leverage, **add).quantity == 1
    assert fired(verdict(package(), leverage, **add)) == ["mandate_unchecked"]


def test_a_partial_close_says_what_stop_and_target_the_rest_keeps() -> None:
    found = verdict(package(), action="reduce", quantity=4)
    assert found.rest == Rest(Decimal(6), Decimal(145), Decimal(160))
    assert verdict(package(stop=None), action="reduce", quantity=4).rest == Rest(Decimal(6), None, Decimal(160))
    assert verdict(package(), action="reduce", quantity=10).rest is None  # all of it: an exit
    assert verdict(package(), action="add", quantity=1).rest is None


CLAMPED: Sequence[tuple[str, dict[str, Any], dict[str, Any], tuple[str, str]]] = (
    ("position_size", {"quantity": "60"}, {"action": "add", "quantity": 10}, ("quantity", "5")),
    ("stop", {}, {"action": "adjust_stops", "stop_loss": Decimal("152.4")}, ("stop_loss", "152.19")),
    ("stop", {"stop": None}, {"action": "adjust_stops", "stop_loss": Decimal("0.01")}, ("stop_loss", "129.63")),
    ("stop", {"side": "short", "stop": None, "target": "140"}, {"action": "adjust_stops", "stop_loss": 999},
     ("stop_loss", "175.37")),
    ("target", {}, {"action": "adjust_stops", "take_profit": 999}, ("take_profit", "228.75")),
)  # fmt: skip


@pytest.mark.parametrize(("rule", "facts", "said", "left"), CLAMPED)
def test_what_a_rule_changes_stays_as_near_as_the_limit_allows(
    rule: str, facts: dict[str, Any], said: dict[str, Any], left: tuple[str, str]
) -> None:
    found = verdict(package(**facts), **said)
    assert (found.action, fired(found), found.limited) == (said["action"], [rule], "clamp")
    assert getattr(found, left[0]) == Decimal(left[1])


@pytest.mark.parametrize("name", ["position", "price", "system"])
def test_nothing_is_added_while_a_section_that_it_needs_is_not_fresh(name: str) -> None:
    documents = market() | {"performance": PERFORMANCE}
    stamp = {"position": "last_update"}.get(name, "timestamp")
    documents[name][stamp] = "2025-05-09T09:55:30.123Z"
    found = verdict(package_of(documents), action="add", quantity=5)
    assert found.action == "hold"


def test_a_rule_that_lacks_what_it_needs_says_so_and_changes_nothing() -> None:
    found = verdict(package_of(market()), action="add", quantity=5)
    assert (found.action, found.quantity, found.limited) == ("add", Decimal(5), None)
    assert [detail.partition(":")[0] for name, detail in found.guards] == ["daily_loss", "position_size"]
    assert found.reason == "as the model decided"


def test_an_action_is_not_repeated_while_nothing_is_seen_of_the_last_one() -> None:
    pending = Pending("7", "add", NOW_MS - MINUTE_MS, Decimal(10), Decimal(145), Decimal(160))
    found = verdict(package(ledger=before(pending=(pending,))), action="add", quantity=5)
    assert (found.action, fired(found)) == ("hold", ["unacknowledged"])
    assert "record 7" in found.reason
    seen = verdict(package(ledger=before(pending=(pending._replace(quantity=Decimal(5)),))), action="add", quantity=5)
    assert seen.action == "add"
    reduced = verdict(package(ledger=before(pending=(pending,))), action="reduce", quantity=5)
    assert reduced.action == "reduce"
    old = verdict(package(ledger=before(pending=(pending._replace(at_ms=NOW_MS - HOUR_MS),))), action="add", quantity=5)
    assert old.action == "add"


def test_an_exit_is_repeated_and_names_the_first_one() -> None:
    pending = Pending("7", "exit", NOW_MS - MINUTE_MS, Decimal(12), Decimal(145), Decimal(160))
    facts = package(ledger=before(pending=(pending,), actions=(NOW_MS,) * 50))
    found = verdict(facts, action="exit")
    assert (found.order, found.repeat_of, found.guards) == ("exit", "7", ())
    after = present(ledger_after(facts, found.order, "9"))
    assert after.pending == (pending._replace(again_ms=NOW_MS),)


@pytest.mark.parametrize(("ago_s", "timeout_s", "waits"), [(29, 30, True), (30, 30, False), (1, None, False)])
def test_an_exit_stays_one_but_is_published_again_only_after_the_timeout(
    ago_s: int, timeout_s: int | None, waits: bool
) -> None:
    told_ms = NOW_MS - ago_s * 1000
    pending = Pending("7", "exit", NOW_MS - HOUR_MS, Decimal(10), Decimal(145), Decimal(160), again_ms=told_ms)
    facts = package(price="144", ledger=before(pending=(pending,)))
    found = verdict(facts, Mandate(account=Limits(ack_timeout_s=timeout_s)), action="hold")
    assert (found.action, found.quantity, found.repeat_of) == ("exit", Decimal(10), "7")
    assert found.order == ("hold" if waits else "exit")
    assert found.again_ms == (told_ms + 30_000 if waits else None)
    assert fired(found) == ["stop_loss_breached"] + ["exit_pending"] * waits
    after = present(ledger_after(facts, found.order, "9"))
    assert [one.again_ms for one in after.pending] == [told_ms if waits else NOW_MS]
    assert len(after.actions) == (0 if waits else 1)


def test_an_exit_whose_first_record_nobody_can_name_is_published() -> None:
    pending = Pending("", "exit", NOW_MS, Decimal(10))
    found = verdict(package(price="144", ledger=before(pending=(pending,))), action="hold")
    assert (found.order, found.repeat_of, found.again_ms) == ("exit", None, None)


def test_what_the_account_does_not_say_of_its_losses_the_ledger_says() -> None:
    mandate = Mandate(account=Limits(daily_loss_pct=Decimal(3), drawdown_pct=Decimal(10)))
    silent: dict[str, Any] = {
        "performance": {"daily_pnl_pct": None},
        "portfolio": {"equity": 97_000, "drawdown_pct": None},
    }

    def judged(**known: Any) -> Verdict:
        return verdict(package(ledger=before(**known), **silent), mandate, action="add", quantity=1)

    assert fired(judged(day_equity=Decimal(100_000))) == ["daily_loss"]
    assert judged(day_equity=Decimal(99_999)).action == "add"
    assert fired(judged(peak_equity=Decimal("107777.78"))) == ["drawdown"]
    assert judged(peak_equity=Decimal(107_777)).action == "add"
    said = package(ledger=before(day_equity=Decimal(200_000), peak_equity=Decimal(200_000)))
    assert verdict(said, mandate, action="add", quantity=1).action == "add"


def test_the_ledger_keeps_the_first_equity_of_the_day_and_the_highest() -> None:
    position = package().position
    first = Ledger().at(position, NOW_MS, Decimal(100))
    later = first.at(position, NOW_MS + MINUTE_MS, Decimal(120)).at(position, NOW_MS + HOUR_MS, Decimal(90))
    assert (later.day_equity, later.peak_equity) == (Decimal(100), Decimal(120))
    unknown = later.at(position, NOW_MS + DAY_MS)
    assert (unknown.day_equity, unknown.peak_equity) == (None, Decimal(120))
    assert Ledger.parse(canonical.loads(canonical.dumps(later.document()))) == later


def test_a_group_a_symbol_and_a_short_position_have_limits_of_their_own() -> None:
    mandate = Mandate(
        groups={"tech": Group(symbols=("AA*",), limits=Limits(max_quantity=Decimal(12)))},
        symbols={"AAPL": Limits(adds_per_day=None, max_times_opened=None)},
        shorts=Limits(max_quantity=Decimal(11)),
    )
    assert mandate.limits_of("MSFT", "long") == PRUDENT
    assert verdict(package(), mandate, action="add", quantity=5).quantity == 2
    short: dict[str, Any] = {"side": "short", "price": "149", "stop": "155", "target": "140"}
    assert verdict(package(**short), mandate, action="add", quantity=5).quantity == 1
    assert Mandate.from_blob(mandate.blob).blob == mandate.blob
    assert Mandate.from_blob(mandate.blob).limits_of("AAPL", "long").adds_per_day is None


def test_nothing_is_added_far_below_the_accounts_peak() -> None:
    mandate = Mandate(account=Limits(drawdown_pct=Decimal(10)))
    assert fired(verdict(package(portfolio={"drawdown_pct": 10}), mandate, action="add", quantity=1)) == ["drawdown"]
    assert verdict(package(portfolio={"drawdown_pct": 9}), mandate, action="add", quantity=1).action == "add"
    assert fired(verdict(package_of(market()), mandate, action="add", quantity=1)) == ["mandate_unchecked"]


def test_each_limit_belongs_to_a_rule() -> None:
    assert sorted(name for rule in RULES for name in rule.limits) == sorted(Limits.model_fields)


def test_a_ledger_comes_back_from_the_evidence_of_its_record() -> None:
    pending = Pending("7", "add", NOW_MS, Decimal("10.50"), None, Decimal(160))
    ledger = before(pending=(pending,), actions=(NOW_MS,), adds=1, exited_ms=5)
    snapshot = snapshot_of(market()).model_copy(update={"ledger": ledger, "halts": {"controls:halt": "why"}})
    again = Snapshot.from_evidence(snapshot.evidence())
    assert (again.ledger, again.halts) == (ledger, snapshot.halts)


def test_while_something_says_halt_nothing_is_added_and_a_stop_is_obeyed() -> None:
    halted = snapshot_of(market()).model_copy(update={"halts": {"controls:halt:AAPL": "results"}})
    policy = GuardPolicy(grounding="off")
    found = guard(build_package(halted), decision(action="add", quantity=5), policy)
    assert (found.action, fired(found)) == ("hold", ["halted"])
    breached = snapshot_of(market(price="144")).model_copy(update={"halts": {"controls:halt:AAPL": "results"}})
    assert guard(build_package(breached), decision(action="add", quantity=5), policy).action == "exit"


def test_a_system_that_does_not_run_halts_under_a_mandate() -> None:
    documents = market()
    documents["system"]["state"] = "paused"
    assert fired(verdict(package_of(documents), action="add", quantity=5)) == ["halted"]
    found = guard(package_of(documents), decision(action="add", quantity=5), GuardPolicy(grounding="off"))
    assert found.action == "add"


prices = st.decimals("100", "200", places=2)
steps = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["add", "add", "reduce", "adjust_stops", "exit", "hold"]),
        "quantity": st.decimals("0.01", "300", places=2) | st.integers(1, 300).map(Decimal),
        "stop": st.none() | st.decimals("0.01", "400", places=2),
        "target": st.decimals("0.01", "999", places=2),
        "price": prices,
        "minutes": st.integers(1, 40),
        "filled": st.booleans(),
        "approved": st.booleans(),
    }
)


EVERY_RULE = Mandate(
    account=PRUDENT.model_copy(
        update={"profit_lock_pct": Decimal(50), "profit_lock_from_pct": Decimal(2), "sector_share_pct": Decimal(25),
                "max_leverage": Decimal("0.5"), "cooldown_min": Decimal(30), "drawdown_pct": Decimal(20)}
    )
)  # fmt: skip
"""The shipped mandate with the rules that are off."""


class Trade:
    """A position that verdicts are given on, and perhaps followed; another one is of the same sector."""

    def __init__(self, side: str, stop: Decimal | None, quantity: int) -> None:
        self.side, self.stop, self.target, self.held = side, stop, Decimal(150), Decimal(quantity)
        self.opened, self.sign = quantity, 1 if side == "long" else -1
        self.now_ms, self.ledger = NOW_MS, Ledger()
        self.adds = 0
        self.actions: list[int] = []
        self.exits: list[int] = []

    def facts(self, price: Decimal) -> Package:
        documents: dict[str, Any] = market(
            side=self.side, price=str(price), quantity=str(self.held), target=str(self.target),
            stop=None if self.stop is None else str(self.stop),
        )  # fmt: skip
        at = clock.iso(self.now_ms)
        for name, stamp in (("price", "timestamp"), ("position", "last_update"), ("system", "timestamp")):
            documents[name][stamp] = at
        documents["performance"] = PERFORMANCE | {"timestamp": at}
        worth = self.held * price
        others = {"MSFT": (Decimal(15_500), "tech"), "XOM": (Decimal(25_300), "energy")}
        held = [
            {"symbol": name, "side": "long", "quantity": 1, "value": value, "sector": sector}
            for name, (value, sector) in ({"AAPL": (worth, "tech")} | others).items()
        ]
        return built(
            documents,
            account(at, holdings=held, gross_exposure=worth + 40_800),
            ledger=self.ledger,
            as_of_ms=self.now_ms,
        )

    def lock(self, price: Decimal) -> Decimal | None:
        """Where a stop keeps half of a profit of 2% and more, at least 0.2% away from the price."""
        profit = (price - 150) * self.sign
        at = 150 + profit / 2 * self.sign
        near = price * (1 - Decimal("0.002") * self.sign)
        return None if profit < 3 else min(at, near) if self.sign > 0 else max(at, near)

    def check(self, found: Verdict, price: Decimal) -> None:
        """No limit of the shipped mandate is broken."""
        if found.action == "add":
            assert found.quantity is not None
            assert self.stop is not None
            assert (price - 150) * self.sign >= 0
            assert self.held + found.quantity <= 2 * self.opened
            assert (self.held + found.quantity) * price <= 10_000
            assert self.adds < 3
            assert (self.held + found.quantity) * price <= 9_200  # of the account's 50,000; the sector allows 9,500
            assert self.lock(price) is None or (self.stop - (self.lock(price) or 0)) * self.sign >= 0
            assert not [at for at in self.exits if self.now_ms - at < 30 * MINUTE_MS]
        if found.action == "reduce":
            assert found.quantity is not None
            assert found.quantity * 100 >= self.held
            assert found.rest == Rest(self.held - found.quantity, self.stop, self.target)
        if found.stop_loss is not None:
            lock = self.lock(price)
            assert lock is None or (found.stop_loss - lock) * self.sign >= Decimal("-0.01")
            assert self.stop is None or (found.stop_loss - self.stop) * self.sign > 0
            assert Decimal("0.2") <= abs(price - found.stop_loss) / price * 100 <= 15
        if found.take_profit is not None:
            assert abs(found.take_profit - price) / price * 100 <= 50
        if found.action not in ("hold", "exit"):
            assert len([at for at in self.actions if self.now_ms - at < HOUR_MS]) < 12

    def follow(self, found: Verdict, facts: Package, *, filled: bool) -> None:
        self.actions += [] if found.order == "hold" else [self.now_ms]
        self.adds += 1 if found.action == "add" else 0
        self.exits += [self.now_ms] if found.action == "exit" else []
        after = present(ledger_after(facts, found.order, str(len(self.actions))))
        self.ledger = after
        if filled:
            change = found.quantity or Decimal(0)
            self.held += {"add": change, "reduce": -change}.get(found.action, Decimal(0))
            self.stop, self.target = found.stop_loss or self.stop, found.take_profit or self.target


def one_of(seed: Random, *actions: str) -> dict[str, Any]:
    """What a model says that means one of these actions and has no measure."""
    size = Decimal(seed.choice(["0.001", "1", "10", "1000000"]))
    stop, target = seed.choice([None, "0.01", "149", "151"]), seed.choice([None, "0.01", "151", "999999"])
    levels = {
        name: None if level is None else Decimal(level)
        for name, level in (("stop_loss", stop), ("take_profit", target))
    }
    action = seed.choice([one for one in actions if one != "adjust_stops" or stop or target] or ["hold"])
    return {"action": action, "quantity": size} | levels


PERSONS: dict[str, tuple[str, ...]] = {
    "greedy": ("add",),
    "frightened": ("reduce", "adjust_stops"),
    "random": ("add", "reduce", "adjust_stops", "hold", "exit"),
}


@pytest.mark.more
@pytest.mark.parametrize("filled", [True, False], ids=["obeyed", "not obeyed"])
@pytest.mark.parametrize("person", PERSONS)
def test_over_two_thousand_ticks_no_limit_is_broken_and_no_order_repeated(person: str, filled: bool) -> None:
    seed, trade, price = Random(7), Trade("long", Decimal(149), 40), Decimal(150)
    ordered: dict[str, int] = {}
    for _ in range(2000):
        trade.now_ms += seed.choice([10_000, MINUTE_MS])
        price = max(Decimal("149.5"), price + Decimal(seed.randint(-50, 52)) / 100)
        answered = parse(answer_text(**one_of(seed, *PERSONS[person])))
        assert not isinstance(answered, Misfit)
        facts = trade.facts(price)
        found = guard(facts, answered, GuardPolicy(grounding="off", mandate=EVERY_RULE))
        trade.check(found, price)
        if found.action not in ("hold", "exit"):
            assert filled or trade.now_ms - ordered.get(found.action, 0) >= 900_000
            ordered[found.action] = trade.now_ms
        assert found.action != "exit" or found.repeat_of is not None or "exit" not in ordered
        if found.order == "exit":
            assert trade.now_ms - ordered.get("exit", 0) >= 30_000
            ordered["exit"] = trade.now_ms
        trade.follow(found, facts, filled=filled)
    assert trade.actions


def approved(facts: Package, answered: Decision, policy: GuardPolicy) -> Verdict:
    """The verdict on what a model said earlier and a person approves now; what never waits is judged as it is."""
    if answered.action not in ("add", "reduce", "adjust_stops"):
        return guard(facts, answered, policy)
    levels = (answered.quantity, answered.stop_loss, answered.take_profit)
    position = facts.position
    return Approved(answered.action.value, *levels, clock.iso_of(position.entry_time), position.side).judge(
        facts, policy
    )


@given(
    side=st.sampled_from(["long", "short"]),
    stop=st.none() | prices,
    quantity=st.integers(1, 200),
    told=st.lists(steps, min_size=1, max_size=30),
)
def test_over_a_sequence_of_ticks_no_verdict_breaks_a_limit(
    side: str, stop: Decimal | None, quantity: int, told: list[dict[str, Any]]
) -> None:
    trade = Trade(side, stop, quantity)
    for step in told:
        trade.now_ms += step["minutes"] * MINUTE_MS
        said = {"quantity": step["quantity"], "stop_loss": step["stop"], "take_profit": step["target"]}
        answered = parse(answer_text(action=step["action"], **said))
        assert not isinstance(answered, Misfit)
        facts = trade.facts(step["price"])
        policy = GuardPolicy(grounding="off", mandate=EVERY_RULE)
        found = approved(facts, answered, policy) if step["approved"] else guard(facts, answered, policy)
        trade.check(found, step["price"])
        trade.follow(found, facts, filled=step["filled"])
