"""Every shape through the whole door, over HTTP, and what must come of it."""

from collections.abc import AsyncIterator

import pytest

from llmctx.decision.decision import OUTPUT
from llmctx.decision.parse import judge
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Outcome
from llmctx.llm.usage import Usage
from tests.conftest import ROOT
from tests.llm.shapes import SHAPES
from tests.llm.shapes.server import ShapeServer
from tests.unit.llm.calls import KEY, PROMPT, ask


@pytest.fixture
async def server() -> AsyncIterator[ShapeServer]:
    async with ShapeServer() as played:
        yield played


@pytest.mark.parametrize("name", SHAPES)
async def test_a_shape_comes_to_what_is_wanted(name: str, server: ShapeServer) -> None:
    shape = SHAPES[name]
    timeout_s = 0.3 if shape.wanted == "timeout" else 20
    completion = await ask(server.url_of(name), max_attempts=3, timeout_s=timeout_s)
    decision, failure = judge(completion)
    came_of_it = "decision" if decision else "misfit" if completion.outcome is Outcome.ANSWERED else completion.outcome
    assert (came_of_it, shape.says in failure) == (shape.wanted, True), failure
    assert completion.answer_from == shape.steps
    assert tuple(attempt.result for attempt in completion.attempts) == shape.results
    assert KEY not in completion.model_dump_json(exclude={"body"})
    if decision:
        assert (decision.action, decision.evidence[0].value) == ("hold", "152.5")
        assert completion.usage in (Usage(900, 120), None)


async def test_a_prompt_with_less_time_left_than_the_client_gives_ends_in_that_time(server: ShapeServer) -> None:
    client = EndpointClient(server.url_of("silence"), KEY, "asked-model")
    completion = await client.complete(PROMPT.model_copy(update={"within_s": 0.2}), OUTPUT)
    await client.aclose()
    assert (completion.outcome, [attempt.result for attempt in completion.attempts]) == (
        Outcome.TIMEOUT,
        ["cancelled at the deadline"],
    )
    assert (completion.detail or "").endswith("within 0.2 s)")


def test_the_shapes_are_enough_and_each_is_its_own() -> None:
    assert len(SHAPES) >= 70
    assert len({shape.answers for shape in SHAPES.values()}) == len(SHAPES)


def test_the_documents_show_every_shape() -> None:
    shown = (ROOT / "docs" / "models.md").read_text()
    missing = [row for row in rows() if row not in shown]
    assert not missing, "docs/models.md, Answer shapes, lacks:\n" + "\n".join(missing)


def rows() -> list[str]:
    """The table of docs/models.md."""
    return [
        f"| {shape.what} | {shape.seen_at} | {shape.wanted} | {', '.join(shape.steps)} |" for shape in SHAPES.values()
    ]
