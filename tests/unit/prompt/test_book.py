import logging
import shutil
from pathlib import Path

import pytest

from llmctx.assets import asset
from llmctx.errors import TemplateError
from llmctx.prompt.book import PromptBook
from tests.unit.makers import template_of


def source(ref: str, user: str = "Decide.") -> str:
    return template_of(user, ref=ref).sources[f"{ref}.md.j2"]


def write(folder: Path, ref: str, text: str | None = None) -> None:
    file = folder / f"{ref}.md.j2"
    file.parent.mkdir(exist_ok=True)
    file.write_text(source(ref) if text is None else text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "mine/v1")
    write(tmp_path, "perp/v1")
    return tmp_path


def test_a_symbol_is_asked_with_the_first_pattern_that_matches_and_any_other_with_the_default(folder: Path) -> None:
    book = PromptBook(folder, "mine", {"BTC*": "perp/v1", "*USD": "mine/v1"})
    assert book.of("BTCUSD").ref == "perp/v1"
    assert [book.of(symbol).ref for symbol in ("ETHUSD", "AAPL")] == ["mine/v1", "mine/v1"]


def test_a_prompt_that_does_not_exist_is_named_at_once(folder: Path) -> None:
    with pytest.raises(TemplateError, match="nothing"):
        PromptBook(folder, "mine", {"BTC*": "nothing"})


def test_a_new_version_is_taken_and_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = PromptBook(folder, "mine", {"BTC*": "perp/v1"})
    write(folder, "mine/v2")
    write(folder, "perp/v2")
    with caplog.at_level(logging.WARNING):
        book.refresh()
        book.refresh()
    assert (book.of("AAPL").ref, book.of("BTC").ref) == ("mine/v2", "perp/v1")  # a named version stays
    assert [record.message for record in caplog.records] == ["mine/v2 is asked with from now on, instead of mine/v1"]


@pytest.mark.parametrize(
    "text",
    [
        "no front matter",
        source("mine/v2").replace("Decide.", "{% for %}"),
        source("mine/v2").replace("mine", "other"),
        source("mine/v2", "{% for a in range(99999) %}too long{% endfor %}"),
    ],
)
def test_the_old_version_is_kept_until_the_new_one_passes_and_that_is_said_once(
    text: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = PromptBook(folder, "mine")
    write(folder, "mine/v2", text)
    with caplog.at_level(logging.WARNING):
        book.refresh()
        book.refresh()
    assert book.of("AAPL").ref == "mine/v1"
    (record,) = caplog.records
    assert record.message.startswith("mine/v1 is still asked with: ")
    write(folder, "mine/v2")
    book.refresh()
    assert book.of("AAPL").ref == "mine/v2"


def test_a_version_that_is_not_accepted_is_not_taken(folder: Path) -> None:
    def accept(template: object) -> None:
        if getattr(template, "ref", "").endswith("v2"):
            raise TemplateError("It is not wanted.", "Write another.")

    book = PromptBook(folder, "mine", accept=accept)
    write(folder, "mine/v2")
    book.refresh()
    assert book.of("AAPL").ref == "mine/v1"


def test_a_version_in_use_is_not_replaced_by_an_edit_of_its_file(folder: Path) -> None:
    book = PromptBook(folder, "mine")
    before = book.of("AAPL")
    write(folder, "mine/v1", source("mine/v1", "Decide otherwise."))
    book.refresh()
    assert book.of("AAPL") is before


def test_a_folder_that_vanishes_changes_nothing(folder: Path) -> None:
    book = PromptBook(folder, "mine")
    shutil.rmtree(folder / "mine")
    book.refresh()
    assert book.of("AAPL").ref == "mine/v1"


def test_a_single_template_is_the_choice_of_every_symbol() -> None:
    single = template_of("Decide.")
    assert single.of("AAPL") is single
    assert single.templates == (single,)
    assert PromptBook(asset("prompts"), "position").of("AAPL").front_matter.name == "position"
