import pytest

from llmctx.decision.grounding import ground
from tests.unit.decision.scene import DOCUMENTS, found, item
from tests.unit.makers import decision, market, package_of


@pytest.mark.parametrize(
    "text",
    [
        "The price of $648.41 trades above the entry of 645.10, about 648.4.",
        "Opening price is 646.25, the open being 646.25.",
        "The bands run from 644.88 to 650.12 around 647.50; the range is 645.75-649.37.",
        "Stop 638.65, target 658, SL: 638.65 / TP: 658.0.",
        "The midpoint between stop and target is 648.325.",
        "Resistance waits at 649.37, and MSFT is at 412.30.",
        "The stop moves to 645.10.",
        "It stands open at 645.10.",
        "A win of 651.55 is 1R away.",
        "RSI 61.3, 650 shares, 648.41%, -655.20, 655.2k, 655.2R, 2025, 14:30, 35% of 120.",
        "止损638.65\uff0c目标658\uff0c现价648.41。",
        "Der Stopp liegt bei 638,65 und das Ziel bei 658,00, der Einstieg bei 645,10.",
        "Le stop est à 638,65, l'objectif à 658,00.",
        "損切りは638.65、利確は658、建値645.10、現在値は648.41。",
    ],
)
def test_a_known_price_is_not_false(text: str) -> None:
    assert found(text).false_prices == ()


@pytest.mark.parametrize(
    ("text", "number", "why", "nearest"),
    [
        ("The last price is 655.20.", "655.20", "the name of another level", "price.price.last"),
        ("It trades at 655.20.", "655.20", "no such price", "position.take_profit"),
        ("The stop at 658.00 holds.", "658.00", "the name of another level", "position.stop_loss"),
        ("Stop loss: 120, no", None, "", ""),
        ("Stop loss: 520.5", "520.5", "the name of another level", "position.stop_loss"),
        ("SL 645.1 [position.entry_price * 0 + 645.1]", "645.1", "the name of another level", "position.stop_loss"),
        ("target=645.10", "645.10", "the name of another level", "position.take_profit"),
        ("the entry is 638.65", "638.65", "the name of another level", "signals.entry.price"),
        ("a high of 645.75", "645.75", "the name of another level", "price.price.high"),
        ("the low (649.37)", "649.37", "the name of another level", "price.price.low"),
        ("open 648.41", "648.41", "the name of another level", "price.price.open"),
        ("Der Stopp bei 658,00", "658,00", "the name of another level", "position.stop_loss"),
        ("l'objectif est 638,65", "638,65", "the name of another level", "position.take_profit"),
        ("損切りラインは658.00", "658.00", "the name of another level", "position.stop_loss"),
        ("止损\uff16\uff15\uff18\uff0e\uff10\uff10", "658.00", "the name of another level", "position.stop_loss"),
    ],
)
def test_a_price_that_nothing_has_or_that_is_another_levels_is_false(
    text: str, number: str | None, why: str, nearest: str
) -> None:
    false = found(text).false_prices
    assert [(one.text, one.why, one.citation) for one in false] == ([] if number is None else [(number, why, nearest)])


def test_prices_of_the_invalidation_are_counted_and_not_judged() -> None:
    grounding = found("A close below 621.40.", field="invalidation")
    assert (grounding.uncited, grounding.false_prices) == (1, ())


def test_the_answers_own_levels_are_known() -> None:
    assert found("The stop moves to 643.21.", action="adjust_stops", stop_loss=643.21).false_prices == ()
    assert len(found("The stop moves to 643.21.").false_prices) == 1


@pytest.mark.parametrize("field", ["reasoning", "reason", "invalidation"])
def test_what_was_decided_before_and_what_strangers_wrote_bear_out_only_what_cites_them(field: str) -> None:
    said = {"headline": "Target raised to 655.20", "source": "x", "timestamp": "2025-05-09T10:00:00.000Z", "url": "u"}
    sentiment = DOCUMENTS["sentiment"] | {"latest_news": [said]}
    thesis = {
        "address": "1", "kind": "decision", "tick": "t", "symbol": "AAPL", "as_of": "2025-05-09T10:10:00.000Z",
        "entry_time": "2025-05-09T09:45:32.000Z", "action": "hold", "quantity": None, "stop_loss": 641.5,
        "take_profit": None, "reason": "", "decided": "hold", "confidence": 0.5, "reasoning": "", "invalidation": "",
        "valid_for": 5,
    } | {field: "641.50 and 655.20"}  # fmt: skip
    facts = package_of(DOCUMENTS | {"sentiment": sentiment, "thesis": thesis})
    for cited, false in (("", 2), (f" [thesis.{field}]", 0)):
        text = f"It was at 655.20{cited} and at 641.50{cited}."
        grounding = ground(facts, decision(reasoning=text, evidence=[item("position.side", "long")]))
        assert (len(grounding.false_prices), grounding.cited) == (false, 2 - false)


def test_a_stop_that_is_not_set_is_named_as_null() -> None:
    facts = package_of(market(stop=None))
    (false,) = ground(
        facts, decision(reasoning="The stop is 150.00.", evidence=[item("position.side", "long")])
    ).false_prices
    assert (false.citation, false.fact) == ("position.stop_loss", "null")
