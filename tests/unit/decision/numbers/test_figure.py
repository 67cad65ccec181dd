import re

import pytest

from llmctx.decision.numbers.figure import FIGURE, decimals_of, float_of, read


@pytest.mark.parametrize(
    ("figure", "value", "decimals"),
    [
        ("141.95", 141.95, 2),
        ("1204", 1204, 0),
        ("1,204,332", 1204332, 0),
        ("1'204.5", 1204.5, 1),
        ("10 930", 10930, 0),
        ("1.204.332", 1204332, 0),
        ("141,95", 141.95, 2),
        ("2.7e-2", 0.027, 3),
        (".5", 0.5, 1),
    ],
)
def test_a_figure_is_read_as_it_is_written(figure: str, value: float, decimals: int) -> None:
    assert re.fullmatch(FIGURE, figure)
    assert (float_of(figure), decimals_of(figure)) == (value, decimals)
    assert read(figure) == (value, decimals)


@pytest.mark.parametrize(("text", "first"), [("1,2 and 3", "1"), ("20,200", "20,200"), ("5.", "5"), ("12, 26", "12")])
def test_a_list_and_the_end_of_a_sentence_are_no_decimals(text: str, first: str) -> None:
    found = re.match(FIGURE, text)
    assert found is not None
    assert found[0] == first
