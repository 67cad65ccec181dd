from typing import Any

import pytest

from llmctx.cli.show import print_verdict
from tests.unit.audit.test_schema import CITED, FINDING, OF_0_1_0, leaf_of


@pytest.mark.parametrize(
    ("grounding", "lines"),
    [
        (
            CITED | {"false_prices": [FINDING]},
            [
                "grounding numbers: 2 cited, 0 uncited, 0 unread; 1 miscited, 1 false prices",
                "  not so       5 in evidence[0].reading: null (x.y, which is null)",
                "  not so       5 in evidence[0].reading: null (x.y)",
            ],
        ),
        (
            OF_0_1_0,
            [
                "grounding 0 of 1 evidence items and 2 of 3 numbers stand in the facts",
                "  not so       x = 1: no such path",
                "  not so       5 in the reasoning; nearest is x.y = 6",
            ],
        ),
    ],
)
def test_what_the_facts_do_not_bear_out_is_told_of_new_and_old_records(
    capsys: pytest.CaptureFixture[str], grounding: dict[str, Any], lines: list[str]
) -> None:
    print_verdict(leaf_of("decision") | {"grounding": grounding})
    assert [
        line.rstrip() for line in capsys.readouterr().out.split("\n") if line.startswith(("grounding", "  not so"))
    ] == lines
