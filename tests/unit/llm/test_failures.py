"""What is said of calls that fail in a row."""

from llmctx.llm.failures import failure_of, remedy


def test_an_answer_that_fits_no_form_is_named_as_one() -> None:
    failure = failure_of({"outcome": "answered"})
    assert failure == "the answer does not fit the form"
    assert "output mode" in remedy(failure)
