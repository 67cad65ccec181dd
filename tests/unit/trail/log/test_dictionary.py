import pytest

from llmctx.trail.log.dictionary import Dictionary, Trainer
from llmctx.trail.log.packing import pack, unpack

TEXTS = [
    f"record {n} says that price {n * 7} lies between {n} and {n * 13}, as the model decided. ".encode() * 9
    for n in range(500)
]


def trainer(count: int, trained_at: int = -1, *, size: int = 0) -> Trainer:
    """One that has seen so many records of a log of this size."""
    made = Trainer(trained_at)
    for text in TEXTS[:count]:
        made.add(text, size)
    return made


@pytest.mark.parametrize(
    ("trained_at", "size", "is_due"),
    [(-1, 7, False), (-1, 8, True), (8, 127, False), (8, 128, True), (130, 1023, False), (130, 1024, True),
     (1024, 5119, False), (1024, 5120, True), (5125, 9215, False), (5125, 9216, True), (-1, 100_000, True)],
)  # fmt: skip
def test_dictionaries_are_due_early_and_then_ever_more_seldom(trained_at: int, size: int, *, is_due: bool) -> None:
    assert trainer(500, trained_at, size=size).due(size) is is_due


def test_only_what_the_next_dictionary_is_trained_on_is_kept() -> None:
    made = trainer(500, 5125, size=8815)
    assert not made.due(9216)
    for text in TEXTS[:400]:
        made.add(text, 8816)
    assert made.due(9216)
    made.train(9217)
    made.add(TEXTS[0], 9218)
    assert not made._samples


def test_of_large_records_beginning_and_end_are_kept() -> None:
    made = Trainer()
    for text in TEXTS[:8]:
        made.add(text + b"x" * 1_000_000 + text, 0)
    assert {len(sample) for sample in made._samples} == {32 * 1024}
    trained = made.train(8)
    assert trained is not None
    assert TEXTS[3][:200] in trained.content


def test_a_new_owner_trains_once_it_has_seen_enough_records() -> None:
    assert not trainer(399).due(100_000)
    assert trainer(400).due(100_000)


def test_a_trained_dictionary_makes_records_smaller() -> None:
    made = trainer(8)
    dictionary = made.train(8)
    assert dictionary is not None
    packed = pack(TEXTS[9], {}, dictionary)
    assert len(packed) < len(pack(TEXTS[9], {}))
    assert unpack(packed, Dictionary(dictionary.content))[0] == TEXTS[9]
    assert not made.due(8)


def test_records_that_have_nothing_in_common_give_no_dictionary_and_are_not_tried_again_at_once() -> None:
    made = Trainer()
    for _ in range(8):
        made.add(b"", 0)
    assert made.train(8) is None
    assert not made.due(100)
