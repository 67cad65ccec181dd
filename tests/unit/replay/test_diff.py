from hypothesis import given, settings
from hypothesis import strategies as st

from llmctx.replay.diff import Line, Span, diff

TEXTS = st.lists(st.sampled_from(["a b c", "a x c", "other", "", "e"]), min_size=1, max_size=30).map("\n".join)


def text_of(line: Line | None) -> str:
    return "" if line is None else "".join(span.text for span in line)


def test_equal_texts_have_no_rows() -> None:
    assert diff("a\nb", "a\nb") == []


def test_changed_words_are_marked_on_both_sides() -> None:
    (row,) = diff("the stop moves to 145", "the stop moves to 146")
    assert row.left is not None
    assert row.right is not None
    assert [span.text for span in row.left if span.marked] == ["145"]
    assert [span.text for span in row.right if span.marked] == ["146"]


def test_lines_with_little_in_common_are_marked_entirely() -> None:
    (row,) = diff("hold, nothing speaks for a change", "RSI 77 is an extreme")
    assert row.left == (Span("hold, nothing speaks for a change", marked=True),)


def test_distant_equal_lines_become_a_gap() -> None:
    common = [f"line {n}" for n in range(20)]
    rows = diff("\n".join(["a", *common, "z"]), "\n".join(["b", *common, "z"]))
    assert [row.kind for row in rows] == ["changed", "same", "same", "gap"]
    assert rows[-1].hidden == 19


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_no_line_is_lost_on_either_side(left: str, right: str) -> None:
    rows = diff(left, right)
    hidden = sum(row.hidden for row in rows)
    ours = [row for row in rows if row.left is not None]
    theirs = [row for row in rows if row.right is not None]
    if left != right:
        assert len(ours) + hidden == left.count("\n") + 1
        assert len(theirs) + hidden == right.count("\n") + 1
        assert all(text_of(row.left) == text_of(row.right) for row in rows if row.kind == "same")
