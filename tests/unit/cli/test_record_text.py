from typing import Any

import pytest

from llmctx.cli.shared.record_text import print_verdict
from tests.unit.audit.test_schema import CITED, FINDING, OF_0_1_0, leaf_of


@pytest.mark.parametrize(
    ("grounding", "lines"),
    [
        (
            CITED | {"false_prices": [FINDING]},
            [
                "grounding numbers: 2 cited, 0 uncited, 0 unread; 1 miscited, 1 false prices",
                "  miscited     5 in evidence[0].reading: null (x.y, which is null)",
                "  false price  5 in evidence[0].reading: null (x.y)",
            ],
        ),
        (
            OF_0_1_0,
            [
                "grounding 0 of 1 evidence items and 2 of 3 numbers match the facts",
                "  miscited     x = 1: no such path",
                "  unsupported  5 in the reasoning; nearest is x.y = 6",
            ],
        ),
    ],
)
def test_wrong_citations_and_prices_are_printed_for_new_and_old_records(
    capsys: pytest.CaptureFixture[str], grounding: dict[str, Any], lines: list[str]
) -> None:
    print_verdict(leaf_of("decision") | {"grounding": grounding})
    assert [
        line.rstrip()
        for line in capsys.readouterr().out.split("\n")
        if line.startswith(("grounding", "  miscited", "  false price", "  unsupported"))
    ] == lines
